// Reference numbers from files, each leaf of which must be either read as an input or compared: Golden.run fails on a leaf
// that a test never touched. A test runs on the small copy in the tree (always) and on the full set (where it is there).
module PeftAlign.Core.Tests.Golden

open System
open System.Collections.Generic
open System.IO
open System.Text.Json
open NUnit.Framework

/// "copy" is golden/ beside the tests; "full" the reference folder that a checkout may have beside it.
type Source =
    static member All = [| "copy"; "full" |]

let private full =
    lazy
        let rec up (folder: DirectoryInfo | null) =
            match folder with
            | null -> None
            | f when Directory.Exists(Path.Combine(f.FullName, "shared", "golden")) -> Some(Path.Combine(f.FullName, "shared"))
            | f -> up f.Parent

        match Environment.GetEnvironmentVariable "PEFTALIGN_SHARED" with
        | null
        | "" -> up (DirectoryInfo AppContext.BaseDirectory)
        | folder -> Some folder

/// A file of the full reference set, or the test is skipped.
let shared (path: string) =
    let missing folder =
        Assert.Ignore $"{path} is not here ({folder}); set PEFTALIGN_SHARED to the reference folder to run this."
        ""

    match full.Value with
    | Some folder when File.Exists(Path.Combine(folder, path)) -> Path.Combine(folder, path)
    | Some folder -> missing $"looked in {folder}"
    | None -> missing "no folder shared/ above the tests"

let locate source path =
    if source = "full" then
        shared (Path.Combine("golden", path))
    else
        Path.Combine(AppContext.BaseDirectory, "golden", path)

type private Ledger() =
    member val Untouched = HashSet<string>() with get
    member val Failures = List<string>() with get
    member val Compared = 0 with get, set

/// How close is close. 1e-9 relative, 1e-7 below 1e-10 in size (tails), unless a test says otherwise.
/// `Noise` is an absolute allowance for numbers that are exactly zero but for rounding in the reference.
type Tolerance = { Relative: float; Noise: float }

let strict = { Relative = 1e-9; Noise = 0.0 }

[<Sealed; AllowNullLiteral>]
type Node private (ledger: Ledger, element: JsonElement, path: string) =
    member _.Path = path
    member _.Element = element

    member _.Item
        with get (key: string) = Node(ledger, element.GetProperty key, path + "/" + key)

    member this.Item
        with get (first: string, second: string) = this[first].[second]

    member this.Item
        with get (first: string, second: string, third: string) = this[first].[second].[third]

    member _.Item
        with get (index: int) = Node(ledger, element[index], path + "/" + string index)

    member _.Has(key: string) =
        element.ValueKind = JsonValueKind.Object
        && (let found, _ = element.TryGetProperty key in found)

    member _.IsNull = element.ValueKind = JsonValueKind.Null
    member this.Keys = [| for p in element.EnumerateObject() -> p.Name |]
    member this.Children = [| for i in 0 .. element.GetArrayLength() - 1 -> this[i] |]

    member private _.Touch() = ledger.Untouched.Remove path |> ignore

    // Inputs.
    member this.Float =
        this.Touch()

        match element.ValueKind with
        | JsonValueKind.Null -> nan
        | JsonValueKind.String ->
            (match element.GetString() with
             | "inf" -> infinity
             | "-inf" -> -infinity
             | s -> failwith $"{path}: {s}")
        | _ -> element.GetDouble()

    member this.Int =
        this.Touch()
        int (element.GetDouble())

    member this.Text =
        this.Touch()

        (match element.GetString() with
         | null -> ""
         | s -> s)

    member this.Floats = this.Children |> Array.map (fun c -> c.Float)
    member this.Ints = this.Children |> Array.map (fun c -> c.Int)
    member this.Texts = this.Children |> Array.map (fun c -> c.Text)
    member this.Table = this.Children |> Array.map (fun c -> c.Floats)

    /// Marks every leaf below as an input or a remark.
    member this.Skip() : unit =
        this.Touch()

        match element.ValueKind with
        | JsonValueKind.Object ->
            for k in this.Keys do
                this[k].Skip()
        | JsonValueKind.Array ->
            for c in this.Children do
                c.Skip()
        | _ -> ()

    // Comparisons.
    member private this.Record(holds: bool, expected: string, actual: string) =
        this.Touch()
        ledger.Compared <- ledger.Compared + 1

        if not holds then
            ledger.Failures.Add $"{path}: expected {expected}, got {actual}"

    member this.Is(actual: float, tolerance: Tolerance) =
        let expected = this.Float

        let relative =
            if abs expected < 1e-10 then
                max tolerance.Relative 1e-7
            else
                tolerance.Relative

        let near =
            Double.IsNaN expected && Double.IsNaN actual
            || expected = actual
            || abs (actual - expected) <= max tolerance.Noise (relative * abs expected)

        this.Record(near, expected.ToString "R", actual.ToString "R")

    member this.Is(actual: float) = this.Is(actual, strict)

    member this.Is(actual: int) =
        this.Record((this.Int = actual), string this.Int, string actual)

    member this.Is(actual: string) =
        this.Record((this.Text = actual), this.Text, actual)

    member this.Is(actual: bool) =
        this.Record((element.GetBoolean() = actual), string (element.GetBoolean()), string actual)

    member this.Are(actual: float[], tolerance: Tolerance) =
        let expected = this.Children
        this.Record((expected.Length = actual.Length), $"{expected.Length} values", $"{actual.Length}")

        Array.iter2
            (fun (e: Node) (a: float) -> e.Is(a, tolerance))
            (Array.truncate actual.Length expected)
            (Array.truncate expected.Length actual)

    member this.Are(actual: float[]) = this.Are(actual, strict)

    static member internal Open(file: string) =
        let ledger = Ledger()
        let root = JsonDocument.Parse(File.ReadAllText file).RootElement

        let rec note (e: JsonElement) path =
            match e.ValueKind with
            | JsonValueKind.Object ->
                for p in e.EnumerateObject() do
                    note p.Value (path + "/" + p.Name)
            | JsonValueKind.Array -> e.EnumerateArray() |> Seq.iteri (fun i v -> note v (path + "/" + string i))
            | _ -> ledger.Untouched.Add path |> ignore

        note root ""
        Node(ledger, root, ""), ledger.Untouched, ledger.Failures, (fun () -> ledger.Compared)

/// Runs a comparison over a whole file and asserts that nothing differs and nothing was left out.
let run source path (body: Node -> unit) =
    let root, untouched, failures, compared = Node.Open(locate source path)

    if root.Has "versions" then
        root["versions"].Skip()

    body root
    TestContext.WriteLine $"{path}: {compared ()} values compared, {failures.Count} differ, {untouched.Count} left out"

    let some (items: seq<string>) =
        items |> Seq.truncate 25 |> String.concat "\n  "

    if failures.Count > 0 then
        Assert.Fail $"{failures.Count} of {compared ()} values differ in {path}:\n  {some failures}"

    if untouched.Count > 0 then
        Assert.Fail $"{untouched.Count} values of {path} were never looked at:\n  {some untouched}"

    if compared () = 0 then
        Assert.Fail $"{path} compared nothing"

/// The message of the StatisticsException that an action must throw.
let throws (action: unit -> unit) =
    match Assert.Throws<PeftAlign.Core.Statistics.StatisticsException>(Action action) with
    | null -> ""
    | error -> error.Message
