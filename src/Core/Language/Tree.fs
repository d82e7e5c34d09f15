// The plan's data: JSON with three leaves of our own, in two renderings. "Options" is what a job reads; "identity" is what is
// hashed. Canonical: keys in ordinal order, shortest round-trip numbers, no spaces; so equal meaning gives equal bytes.
namespace PeftAlign.Core.Language

open System
open System.Globalization
open System.Security.Cryptography
open System.Text
open System.Text.Encodings.Web
open System.Text.Json

type internal Tree =
    | Null
    | Flag of bool
    | Whole of int64
    | Real of float
    | Text of string
    | List of Tree list
    | Map of (string * Tree) list
    /// A file or folder: its path in the options, its content's hash in the identity.
    | Content of path: string * mark: Place
    /// The output of a job of this plan (a checkpoint of it where the second is not empty).
    | Output of job: string * checkpoint: string
    /// A contract's qualified name and the plugin that a job loads for it.
    | Provided of name: string * plugin: string
    /// Written for the job, left out of the identity: it cannot change the result.
    | Recorded of Tree
    /// A model, dataset or judge of the manifest by name; the planner puts what it stands for in its place.
    | Refer of kind: string * name: string * mark: Place
    /// One of several values: each makes a variant of its own.
    | Grid of Tree list

module internal Tree =
    let private quote (text: string) =
        "\""
        + JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).ToString()
        + "\""

    /// Shortest text that reads back to the same double; whole numbers without a point, so that 1.0 and 1 are one.
    let number (value: float) =
        if value = Math.Floor value && abs value < 9007199254740992.0 then
            (int64 value).ToString CultureInfo.InvariantCulture
        elif Double.IsFinite value then
            value.ToString("R", CultureInfo.InvariantCulture)
        else
            quote (value.ToString CultureInfo.InvariantCulture)

    let private isLeftOut identity (tree: Tree) = identity && tree.IsRecorded

    let rec private write (out: StringBuilder) identity (hash: string -> string) tree =
        let add (text: string) = out.Append text |> ignore

        let separated items writeItem =
            items
            |> List.iteri (fun i item ->
                if i > 0 then
                    add ","

                writeItem item)

        match tree with
        | Null -> add "null"
        | Flag value -> add (if value then "true" else "false")
        | Whole value -> add (value.ToString CultureInfo.InvariantCulture)
        | Real value -> add (number value)
        | Text value -> add (quote value)
        | List items ->
            add "["
            separated items (write out identity hash)
            add "]"
        | Map entries ->
            let entries =
                entries
                |> List.filter (fun (_, value) -> not (isLeftOut identity value))
                |> List.sortWith (fun (a, _) (b, _) -> String.CompareOrdinal(a, b))

            add "{"

            separated entries (fun (key, value) ->
                add (quote key)
                add ":"
                write out identity hash value)

            add "}"
        | Content(path, _) when identity -> add (quote ("content:" + hash path))
        | Content(path, _) -> add (quote path)
        | Output(job, "") -> write out identity hash (Map [ "job", Text job ])
        | Output(job, checkpoint) -> write out identity hash (Map [ "job", Text job; "checkpoint", Text checkpoint ])
        | Recorded inner -> write out identity hash inner
        | Provided(name, _) -> add (quote name)
        | Refer(kind, name, _) -> add (quote $"{kind}:{name}")
        | Grid items -> write out identity hash (Map [ "grid", List items ])

    /// What the job reads.
    let options tree =
        let out = StringBuilder()
        write out false id tree
        out.ToString()

    /// What is hashed; hash gives a path's content hash.
    let identity hash tree =
        let out = StringBuilder()
        write out true hash tree
        out.ToString()

    /// The first 128 bits of SHA-256, in hexadecimal: short enough for a folder's name, no collisions in practice.
    let id (identity: string) =
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes identity), 0, 16)

    /// Every leaf with its place ("dataset.path"), depth first.
    let leaves (place: string) tree : ResizeArray<struct (string * Tree)> =
        let found = ResizeArray()

        let rec go place tree =
            let under key =
                if place = "" then key else place + "." + key

            match tree with
            | List items
            | Grid items -> items |> List.iteri (fun i item -> go (under (string i)) item)
            | Map entries ->
                for key, value in entries do
                    go (under key) value
            | Recorded inner -> go place inner
            | leaf -> found.Add(struct (place, leaf))

        go place tree
        found

    /// Replaces leaves; the function sees every leaf once.
    let rec replace (f: Tree -> Tree) tree =
        match tree with
        | List items -> List(items |> List.map (replace f))
        | Grid items -> Grid(items |> List.map (replace f))
        | Map entries -> Map(entries |> List.map (fun (key, value) -> key, replace f value))
        | Recorded inner -> Recorded(replace f inner)
        | leaf -> f leaf

    let rec private ofElement (element: JsonElement) =
        match element.ValueKind with
        | JsonValueKind.Object ->
            Map
                [
                    for property in element.EnumerateObject() -> property.Name, ofElement property.Value
                ]
        | JsonValueKind.Array -> List [ for item in element.EnumerateArray() -> ofElement item ]
        | JsonValueKind.String -> Text(nonNull (element.GetString()))
        | JsonValueKind.True -> Flag true
        | JsonValueKind.False -> Flag false
        | JsonValueKind.Number ->
            match element.TryGetInt64() with
            | true, whole -> Whole whole
            | _ -> Real(element.GetDouble())
        | _ -> Null

    /// Reads JSON text (a plugin's defaults); raises JsonException on what is not JSON.
    let ofJson (text: string) =
        use document = JsonDocument.Parse text
        ofElement document.RootElement

    let find key tree =
        match tree with
        | Map entries -> entries |> List.tryFind (fun (name, _) -> name = key) |> Option.map snd
        | _ -> None
