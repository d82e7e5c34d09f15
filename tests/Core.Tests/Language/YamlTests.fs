// The YAML that manifests are written in: scalars by the core schema of YAML 1.2, positions, anchors, bounds.
module PeftAlign.Core.Tests.Language.YamlTests

open System
open System.IO
open System.Text.Json
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Language
open PeftAlign.Core.Tests.Language.TestManifests

let private parse text =
    let faults = Faults()
    let root = Yaml.parse text "" faults
    root, List.ofArray (faults.Sorted())

let private scalarCases =
    [
        "2.0e-4", Scalars.Real 2.0e-4
        "5e-5", Scalars.Real 5e-5
        ".5", Scalars.Real 0.5
        "-3", Scalars.Whole -3L
        "+7", Scalars.Whole 7L
        "0x1F", Scalars.Whole 31L
        "0o17", Scalars.Whole 15L
        "017", Scalars.Whole 17L
        "9223372036854775807", Scalars.Whole Int64.MaxValue
        "9223372036854775808", Scalars.Real 9223372036854775808.0
        "-.inf", Scalars.Real Double.NegativeInfinity
        ".INF", Scalars.Real Double.PositiveInfinity
        "true", Scalars.Flag true
        "False", Scalars.Flag false
        "no", Scalars.Text "no"
        "on", Scalars.Text "on"
        "yes", Scalars.Text "yes"
        "~", Scalars.Null
        "null", Scalars.Null
        "", Scalars.Null
        "1_000", Scalars.Text "1_000"
        "1e", Scalars.Text "1e"
        "12:30", Scalars.Text "12:30"
        "1.2.3", Scalars.Text "1.2.3"
        "q64", Scalars.Text "q64"
    ]

[<Test>]
let ``plain scalars mean what YAML 1.2's core schema says`` () =
    for text, expected in scalarCases do
        Scalars.resolve text |> same expected

[<Test>]
let ``quoted scalars are texts and core tags are obeyed`` () =
    match (fst (parse "[ '7', \"true\", !!str 7, !!float 7, !!int 7 ]")) with
    | Some root ->
        match root.Body with
        | Sequence items ->
            items
            |> Array.map (fun item ->
                match item.Body with
                | Body.Scalar(value, _) -> value
                | other -> failwith $"{other}")
            |> List.ofArray
            |> same
                [
                    Scalars.Text "7"
                    Scalars.Text "true"
                    Scalars.Text "7"
                    Scalars.Real 7.0
                    Scalars.Whole 7L
                ]
        | other -> failwith $"{other}"
    | None -> failwith "nothing was read"

[<Test>]
let ``an own key wins over an inherited one and the earlier mapping over the later`` () =
    let root, faults =
        parse "a: &a { x: 1, y: 1 }\nb: &b { y: 2, z: 2 }\nc: { <<: [*a, *b], x: 3 }\n"

    same [] faults

    match root.Value.Body with
    | Mapping entries ->
        Nodes.written [ entries[2] ]
        |> same "c: {x: Whole 3L, y: Whole 1L, z: Whole 2L}"
    | other -> failwith $"{other}"

[<Test>]
let ``a key given twice is a fault at the second that names the line of the first`` () =
    let _, faults = parse "seed: 1\nmodel: a\nseed: 2\n"
    same 1 faults.Length
    expect 3 "'seed' is given twice, first on line 1" faults

/// id, text, line of the fault, what it says.
let private hostile =
    [
        "alias without anchor", "a: *nobody", 1, "no anchor &nobody"
        "alias of itself", "a: &x [1, *x]", 1, "inside its own anchor"
        "foreign tag", "a: !!python/object/apply:os.system ['true']", 1, "asks for an object"
        "foreign tag on a text", "a: !!binary abcd", 1, "asks for an object"
        "tab", "model:\n\tname: a\n", 2, "tab"
        "two documents", "a: 1\n---\nb: 2\n", 2, "second document"
        "nothing", "# only a comment\n", 2, "empty"
        "not closed", "a: [1, 2\n", 2, "not YAML"
        "a list as a key", "? [a, b]\n: c\n", 1, "a key is a text"
        "merge of a text", "a: { <<: text }", 1, "'<<' takes a mapping"
        "deep", "a: " + String('[', 20000), 1, "nested deeper than 64"
        "long", String('#', Yaml.maxText + 1), 1, "the limit is"
    ]

[<Test>]
let ``hostile and broken documents are refused with their place`` () =
    for name, text, line, message in hostile do
        let _, faults = parse text
        Assert.That(faults, Is.Not.Empty, name)
        expect line message faults

[<Test>]
let ``a fault calls its document by its own name`` () =
    let faults = Faults()
    Yaml.parseAs Yaml.claims "claims: !foo []" "claims.yaml" faults |> ignore
    expect 1 "a set of claims holds plain data only" (List.ofArray (faults.Sorted()))

[<Test>]
let ``aliases of aliases are refused before they fill the memory`` () =
    let level (name: char) (inner: string) =
        $"{name}: &{name} [" + String.Join(",", Array.replicate 9 inner) + "]"

    let bomb =
        level 'a' "x"
        :: [ for name in 'b' .. 'i' -> level name $"*{char (int name - 1)}" ]
        |> String.concat "\n"

    let before = GC.GetAllocatedBytesForCurrentThread()
    let _, faults = parse bomb
    let used = GC.GetAllocatedBytesForCurrentThread() - before
    expect 6 "aliases" faults
    Assert.That(used, Is.LessThan 8_000_000L)

[<Test>]
let ``merges count towards the bound too`` () =
    let keys = [ for i in 1..200 -> $"k{i}: 1" ] |> String.concat ", "
    let uses = [ for i in 1..2000 -> $"m{i}: {{ <<: *b }}" ] |> String.concat "\n"
    let _, faults = parse $"b: &b {{ {keys} }}\n{uses}\n"
    Assert.That(faults |> List.exists (fun fault -> fault.Message.Contains "nodes"), Is.True)

[<Test>]
let ``a nest of aliases cannot grow deeper than the limit`` () =
    let text =
        "a0: &a0 [x]\n"
        + String.concat "\n" [ for i in 1..100 -> $"a{i}: &a{i} [*a{i - 1}]" ]

    let _, faults = parse text
    expect 64 "deeper than 64 once aliases" faults

/// The collection of broken files beside a checkout, where it is there.
[<Test>]
let ``every broken manifest of the collection is refused`` () =
    let folder = Shared.folder "golden/badfiles"
    let mutable seen = 0

    for line in File.ReadLines(Path.Combine(folder, "cases.jsonl")) do
        use case = JsonDocument.Parse line
        let root = case.RootElement
        let id = string (root.GetProperty "id")

        if id.StartsWith "yaml/" then
            seen <- seen + 1

            let text =
                match root.TryGetProperty "generate" with
                | true, made ->
                    let file = made.GetProperty "manifest.yaml"
                    let unit = string (file.GetProperty "unit")
                    let count = file.GetProperty("count").GetInt32()
                    string (file.GetProperty "prefix") + String.Join("", Array.replicate count unit)
                | _ -> File.ReadAllText(Path.Combine(folder, string (root.GetProperty "folder"), "manifest.yaml"))

            let faults = (read [] text).Faults
            Assert.That(faults, Is.Not.Empty, id)

            match root.TryGetProperty "message_names" with
            | true, names ->
                for name in names.EnumerateArray() do
                    let said = faults |> Seq.exists (fun fault -> (string fault).Contains(string name))
                    Assert.That(said, Is.True, $"{id}: {name}")
            | _ -> ()

    Assert.That(seen, Is.EqualTo 8)
