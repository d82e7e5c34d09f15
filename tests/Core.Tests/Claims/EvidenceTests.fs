// Verdicts on next to no data, and on numbers that do not exist: inconclusive with the reason, and no claim costs another its answer.
module PeftAlign.Core.Tests.Claims.EvidenceTests

open System
open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core.Claims

let private observed benchmark (axes: (string * string) list) value (items: float[]) =
    {
        Axes =
            ("benchmark", benchmark) :: ("policy", "trained") :: ("seed", "1") :: axes
            |> dict
            |> Dictionary
        Metric = "acc"
        IsFirst = true
        Value = value
        Items = items
        HigherIsBetter = true
    }

let private right method count =
    observed "quiz" [ "method", method ] 1.0 (Array.create count 1.0)

let private results (claims: string) (table: Observation list) =
    match (ClaimSets.Read("claims:\n" + claims)).Set with
    | null -> failwith "the set has faults"
    | set -> ClaimSets.Test(set, Array.ofList table, 2000, 0.05, 1L) |> Array.ofSeq

let private one claims table =
    results claims table |> Array.exactlyOne

let private above =
    "  - { id: A, says: s., metric: quiz, contrast: [{ plus: {} }], than: 0.5 }\n"

/// The binomial test and Clopper and Pearson's interval of n right answers of n: 2 * 0.5^n and [0.025^(1/n), 1].
[<TestCase(2, "inconclusive")>]
[<TestCase(5, "inconclusive")>]
[<TestCase(6, "supported")>]
[<TestCase(400, "supported")>]
let ``All items right is as sure as their number`` (n: int, verdict: string) =
    let found = one above [ right "sft" n ]
    Assert.That(found.Verdict, Is.EqualTo verdict, found.Reason)
    Assert.That(found.PValue, Is.EqualTo(2.0 * Math.Pow(0.5, n)).Within 1e-12)
    Assert.That(found.Lower, Is.EqualTo(Math.Pow(0.025, 1.0 / float n)).Within 1e-12)
    Assert.That(found.Upper, Is.EqualTo 1.0)
    Assert.That((found.Reason = ""), Is.EqualTo((verdict = "supported")))

[<Test>]
let ``The height of a curve is a mean of shares`` () =
    let claim =
        above.Replace("plus: {}", "plus: {}, curve: { along: checkpoint, scale: linear, take: height }")

    let at step =
        observed "quiz" [ "checkpoint", $"step:{step}" ] 1.0 (Array.create 3 1.0)

    let found = one claim [ at 1; at 2; at 4 ]
    Assert.That(found.PValue, Is.EqualTo(2.0 * Math.Pow(0.5, 3.0)).Within 1e-12)
    Assert.That(found.Lower, Is.EqualTo(Math.Pow(0.025, 1.0 / 3.0)).Within 1e-12)
    Assert.That(found.Reason, Is.EqualTo "every resampling gives the same number, and the exact interval of 3 holds both sides")

/// A pair of policies that answer all alike: of n items none differs, and 1 - margin of them at least would not have.
[<TestCase(20, "inconclusive")>]
[<TestCase(400, "supported")>]
let ``Equal answers are equivalent where there are enough`` (n: int, verdict: string) =
    let claim =
        "  - { id: W, says: s., metric: quiz, is: within, than: 0.02, contrast: [{ plus: { method: a } }, { minus: { method: b } }] }\n"

    let found = one claim [ right "a" n; right "b" n ]
    Assert.That(found.Verdict, Is.EqualTo verdict, found.Reason)
    Assert.That(found.PValue, Is.EqualTo(Math.Pow(0.98, n)).Within 1e-12)

[<Test>]
let ``Two times of one seed each support nothing`` () =
    let claim =
        "  - { id: T, says: s., metric: train, each: [dataset], is: less, than: 9, contrast: [{ plus: {} }] }\n"

    let took dataset value =
        observed "train" [ "dataset", dataset ] value [||]

    let found = one claim [ took "a" 2.0; took "b" 2.5 ]
    Assert.That(found.Verdict, Is.EqualTo "inconclusive")
    Assert.That(found.Reason, Does.StartWith "only 2 configurations and nothing else to resample")
    Assert.That(found.AdjustedP, Is.EqualTo 0.5, "two sign flips of four are as far away")

    let six = [ for k in 1..6 -> took $"d{k}" (2.0 + 0.1 * float k) ]
    Assert.That((one claim six).Verdict, Is.EqualTo "supported")

[<Test>]
let ``Sign flips of one unit say what they lack`` () =
    let claim = above.Replace("than: 0.5", "than: 0.5, test: sign_flip")

    let found =
        one claim [ observed "quiz" [] 0.75 [| 1.0; 1.0; 0.0; 1.0; 1.0; 1.0; 0.0; 1.0 |] ]

    Assert.That(
        (found.Verdict, found.Reason),
        Is.EqualTo(("inconclusive", "sign flips need the mean of at least two units; name axes in each, or leave test out"))
    )

[<Test>]
let ``A ratio to nothing is inconclusive and the others are answered`` () =
    let ratio =
        "  - { id: R, says: s., metric: quiz, where: { method: [a, b] }, ratio: true, than: 1, contrast: [{ plus: { method: a } }, { minus: { method: b } }] }\n"

    let table =
        [ right "a" 40; observed "quiz" [ "method", "b" ] 0.0 (Array.zeroCreate 40) ]

    for pair in [ table; List.rev table ] do
        match results (ratio + above.Replace("{ plus: {} }", "{ plus: { method: a } }")) pair with
        | [| first; second |] ->
            Assert.That(first.Verdict, Is.EqualTo "inconclusive")
            Assert.That(first.Reason, Does.Contain "a ratio needs scores above 0")
            Assert.That(second.Verdict, Is.EqualTo "supported", second.Reason)
        | other -> Assert.Fail $"{other.Length} results"
