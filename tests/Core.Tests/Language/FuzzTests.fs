// Damaged manifests: whatever the text, reading and planning end with a plan or with faults, never with an exception.
module PeftAlign.Core.Tests.Language.FuzzTests

open System
open System.IO
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

let private spice =
    [|
        "{"
        "}"
        "["
        "]"
        ":"
        ": "
        ","
        "- "
        "*s"
        "&s "
        "<<: "
        "!!int "
        "null"
        "~"
        "-1"
        "1e9"
        "''"
        "\""
        "\n"
        "  "
        "\t"
        "#"
        "|"
        ">"
        "?"
        "%"
        "@"
        "é"
    |]

let private damage (random: Random) (text: string) =
    let at = random.Next text.Length
    let length = min (random.Next 12) (text.Length - at)
    let lines = text.Split '\n'
    let line () = lines[random.Next lines.Length]

    match random.Next 6 with
    | 0 -> text.Remove(at, length)
    | 1 -> text.Insert(at, spice[random.Next spice.Length])
    | 2 -> text.Remove(at, length).Insert(random.Next(text.Length - length), text.Substring(at, length))
    | 3 -> text.Insert(text.IndexOf('\n', at) + 1, line () + "\n")
    | 4 ->
        let words = text.Split ' '
        words[random.Next words.Length] <- words[random.Next words.Length]
        String.Join(' ', words)
    | _ -> text.Replace(line () + "\n", line () + "\n")

/// PEFTALIGN_FUZZ_SEED asks for other rounds.
let private seed =
    match Int32.TryParse(Environment.GetEnvironmentVariable "PEFTALIGN_FUZZ_SEED") with
    | true, other -> other * 1_000_003
    | _ -> 0

/// PEFTALIGN_FUZZ asks for more rounds than the default.
let private rounds =
    match Int32.TryParse(Environment.GetEnvironmentVariable "PEFTALIGN_FUZZ") with
    | true, count -> count
    | _ -> 300

[<Test>]
let ``damaged manifests give faults with places, never exceptions`` () =
    let deepDive =
        File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "Language", "deep-dive.yaml"))

    let mutable refused = 0

    for round in 1..rounds do
        let random = Random(seed + round)

        let start =
            if round % 3 = 0 then
                deepDive.Replace("[1, 2, 3, 4, 5]", "[1]")
            else
                quickstart

        let text =
            Seq.fold (fun text _ -> damage random text) start (seq { 0 .. random.Next 4 })

        try
            let result = read [] text

            match result.Experiment with
            | null ->
                refused <- refused + 1
                Assert.That(result.Faults, Is.Not.Empty)
                Assert.That(result.Faults |> Seq.forall (fun fault -> fault.Line > 0 && fault.Column > 0), Is.True)
            | found ->
                let planned = Plans.Create(found, byName)
                Assert.That(isNull planned.Plan, Is.EqualTo(planned.Faults.Count > 0))
        with
        | :? AssertionException -> reraise ()
        | error -> Assert.Fail $"round {round}: {error}\n{text}"

    Assert.That(refused, Is.GreaterThan(rounds / 4))
