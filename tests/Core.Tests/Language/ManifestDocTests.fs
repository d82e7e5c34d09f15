// docs/manifest.md and its second half are executed: each example plans the jobs, or has the fault, that the comment above it says.
module PeftAlign.Core.Tests.Language.ManifestDocTests

open System
open System.IO
open System.Text.RegularExpressions
open NUnit.Framework
open PeftAlign.Core.Tests.Language.TestManifests

let private text =
    lazy
        String.Join(
            "\n",
            [
                for page in [ "manifest.md"; "manifest-policies.md" ] ->
                    File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "docs", page))
            ]
        )

/// The comment and the YAML of each example.
let private examples () =
    [
        for found in Regex.Matches(text.Value, @"(<!-- (?<say>[^>]*) -->\n)?```yaml\n(?<yaml>.*?)```", RegexOptions.Singleline) ->
            found.Groups["say"].Value, found.Groups["yaml"].Value
    ]

let private sections (yaml: string) =
    [
        for found in Regex.Matches(yaml, @"^(?<key>\w+):.*\n(?:[ #].*\n)*", RegexOptions.Multiline) ->
            found.Groups["key"].Value, found.Value
    ]

let private declarations = [ "models"; "datasets"; "adapters"; "methods"; "judges" ]

/// The example's sections over those of the base; declarations are added.
let private over (head: string) (example: string) =
    let own = sections example

    let find key =
        own |> List.tryFind (fun (name, _) -> name = key) |> Option.map snd

    let body (section: string) =
        section.Substring(section.IndexOf '\n' + 1)

    let kept =
        [
            for key, section in sections head do
                match find key with
                | Some mine when List.contains key declarations -> section + body mine
                | Some mine -> mine
                | None -> section
        ]

    let added =
        own
        |> List.filter (fun (key, _) -> not (sections head |> List.exists (fun (name, _) -> name = key)))

    String.Join("", kept @ List.map snd added)

/// What differs between the comment and the plan. Kinds that a comment does not name are not planned, but for the report.
let private wrongCounts (say: string) (yaml: string) =
    let plan = plan yaml

    let said =
        [
            for part in say.Substring(say.IndexOf "plans:" + 6).Split(',', StringSplitOptions.TrimEntries) do
                match part.Split ' ' with
                | [| kind; number |] -> kind, int number
                | _ -> failwith $"'{part}' is no count"
        ]

    let unsaid =
        plan.Counts.Keys
        |> Seq.filter (fun kind -> kind <> "report" && not (List.exists (fst >> (=) kind) said))

    [
        for kind, number in said do
            if count kind plan <> number then
                $"{count kind plan} {kind} jobs where '{say}' is said"
        for kind in unsaid do
            $"{kind} jobs where '{say}' is said"
    ]

let private wrong (head: string) (say: string, yaml: string) =
    let whole = if say.StartsWith "base" then yaml else over head yaml

    if say.StartsWith "fault: " then
        let found = faults whole

        if found |> List.exists (fun fault -> fault.Message.Contains(say.Substring 7)) then
            []
        else
            [ $"'{say}' is said and the faults are {found}" ]
    elif say.Contains "plans:" then
        [
            yield! wrongCounts say whole

            if not (JsonSchemaTests.check whole) then
                $"the JSON Schema refuses\n{yaml}"
        ]
    else
        [ $"nothing is said above\n{yaml}" ]

[<Test>]
let ``every example does what is said above it`` () =
    let all = examples ()
    let head = all |> List.find (fun (say, _) -> say.StartsWith "base") |> snd
    Assert.That(all.Length, Is.GreaterThan 20)
    Assert.That(String.Join("\n", all |> List.collect (wrong head)), Is.Empty)

[<Test>]
let ``every section and axis of the language is in the document`` () =
    let shape = PeftAlign.Core.Language.Document.reader.Shape

    let keys =
        match shape with
        | PeftAlign.Core.Language.Record specs -> specs |> List.map _.Name
        | _ -> []

    Assert.That(keys.Length, Is.EqualTo 16)

    for key in
        keys
        @ PeftAlign.Core.Language.Selections.axes
        @ [ "checkpoints"; "until"; "grid"; "select"; "mixture"; "across" ] do
        Assert.That(text.Value, Does.Match $@"\b{key}\b", key)
