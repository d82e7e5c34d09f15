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
    Assert.That(found.Method, Is.EqualTo $"exact, of {n} equal values in their bounds of one seed, so about that training alone")

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

let private took dataset value =
    observed "train" [ "dataset", dataset ] value [||]

/// Of 2.0 and 2.5 t with one degree of freedom has the interval 2.25 -+ 12.706 * 0.25; against 4 it is 7, p 2 atan(1 / 7) / pi.
[<Test>]
let ``A handful of configurations is as sure as t is`` () =
    let claim =
        "  - { id: T, says: s., metric: train, each: [dataset], is: less, than: 4, contrast: [{ plus: {} }] }\n"

    let found = one claim [ took "a" 2.0; took "b" 2.5 ]
    Assert.That(found.Verdict, Is.EqualTo "inconclusive")
    Assert.That(found.Reason, Is.EqualTo "the interval holds both sides")
    Assert.That(found.Method, Is.EqualTo "the wider of bootstrap of configurations, and t over 2 configurations")
    Assert.That(found.Lower, Is.EqualTo(2.25 - 0.25 * 12.706204736432095).Within 1e-9)
    Assert.That(found.Upper, Is.EqualTo(2.25 + 0.25 * 12.706204736432095).Within 1e-9)
    Assert.That(found.PValue, Is.EqualTo(2.0 * Math.Atan(1.0 / 7.0) / Math.PI).Within 1e-9)
    let three = one claim [ took "a" 2.0; took "b" 2.5; took "c" 2.25 ]
    Assert.That(three.Verdict, Is.EqualTo "supported", three.Reason)

/// A share is no mean of its units in the sense of t, and a bootstrap of four is too narrow, however many items there are.
[<Test>]
let ``A handful of units above zero supports nothing`` () =
    let claim =
        "  - { id: K, says: s., metric: quiz, each: dataset, statistic: share, than: 0.1, contrast: [{ plus: {} }, { minus: { method: b } }] }\n"

    let table count =
        [
            for k in 1..count do
                for method, share in [ "a", (if k = 1 then 0.1 else 0.9); "b", 0.5 ] do
                    let items = Array.init 200 (fun i -> if float i < 200.0 * share then 1.0 else 0.0)
                    observed "quiz" [ "dataset", $"d{k}"; "method", method ] (Array.average items) items
        ]

    let claim = claim.Replace("plus: {}", "plus: { method: a }")
    let four = one claim (table 4)
    Assert.That((four.Verdict, four.Estimate), Is.EqualTo(("inconclusive", 0.75)))

    Assert.That(
        four.Reason,
        Is.EqualTo "only 4 configurations: the bootstrap's interval is too narrow, and t is for means; add configurations"
    )

    Assert.That((one claim (table 12)).Verdict, Is.EqualTo "supported")

let private normal (random: Random) =
    Seq.init 12 (fun _ -> random.NextDouble()) |> Seq.sum |> (fun sum -> sum - 6.0)

/// Fifty items around a mean that each training draws anew: the item standard error is 0.005.
let private trained random method (seed: int) deviation shift =
    let mean = shift + deviation * normal random
    let items = Array.init 50 (fun _ -> mean + 0.0354 * normal random)

    { observed "quiz" [] (Array.average items) items with
        Axes =
            dict
                [
                    "benchmark", "quiz"
                    "policy", "trained"
                    "method", method
                    "seed", string seed
                ]
            |> Dictionary
    }

/// No effect, and seeds that differ more, and less, than items make them.
[<TestCase(2, 0.05)>]
[<TestCase(2, 0.001)>]
[<TestCase(3, 0.05)>]
[<TestCase(5, 0.05)>]
[<TestCase(8, 0.05)>]
[<TestCase(3, 0.001)>]
let ``Intervals of few seeds hold the truth`` (seeds: int, deviation: float) =
    let studies, random = 300, Random 7

    let claim =
        "  - { id: N, says: s., metric: quiz, contrast: [{ plus: { method: a } }, { minus: { method: b } }] }\n"

    let results =
        [|
            for _ in 1..studies ->
                one
                    claim
                    [
                        for method in [ "a"; "b" ] do
                            for seed in 1..seeds do
                                trained random method seed deviation 0.0
                    ]
        |]

    let share test =
        float (results |> Array.filter test |> Array.length) / float studies
    // 95 % less three standard errors of 300 studies is 91 %; 76 % was what the bootstrap of three seeds held.
    Assert.That(share (fun r -> r.Lower <= 0.0 && r.Upper >= 0.0), Is.GreaterThanOrEqualTo 0.91)
    Assert.That(share (fun r -> r.Verdict <> "inconclusive"), Is.LessThanOrEqualTo 0.09)

/// Seeds 1 to 3 against 4 to 6: nothing is paired, and each side has too few to resample.
[<Test>]
let ``Policies of few seeds need the same ones`` () =
    let claim =
        "  - { id: N, says: s., metric: quiz, contrast: [{ plus: { method: a } }, { minus: { method: b } }] }\n"

    let random = Random 7

    let table shift =
        [
            for seed in 1..3 do
                trained random "a" seed 0.05 1.0
                trained random "b" (seed + shift) 0.05 0.0
        ]

    let apart = one claim (table 3)

    Assert.That(
        apart.Reason,
        Is.EqualTo
            "only 3 seeds: the bootstrap's interval is too narrow, and the policies share fewer than two of them; give them the same seeds"
    )

    Assert.That(apart.Verdict, Is.EqualTo "inconclusive")
    Assert.That((one claim (table 1)).Method, Does.EndWith "t over 2 seeds", "those that both have")

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


/// All right of 200: with a share q of other items the ratio, the best of one, and the distance are q away at most, and the slope over two
/// doublings half of it; 1 - 0.01 of 200 items is seen once in seven.
[<TestCase("ratio: true, than: 0.99, contrast: [{ plus: { method: a } }, { minus: { method: b } }]", 0.99)>]
[<TestCase("than: -0.01, contrast: [{ plus: { method: a } }, { minus: { method: b }, take: max }]", 0.99)>]
[<TestCase("than: -0.01, contrast: [{ plus: { method: a } }, { minus: { method: b } }]", 0.99)>]
[<TestCase("is: less, than: 0.01, contrast: [{ plus: [{ plus: { method: a } }, { minus: { method: b } }], absolute: true }]", 0.99)>]
[<TestCase("than: -0.01, contrast: [{ plus: { method: c }, curve: { along: checkpoint } }]", 0.98)>]
[<TestCase("is: less, than: 0.01, contrast: [{ plus: { method: c }, curve: { along: checkpoint }, absolute: true }]", 0.98)>]
let ``What is no mean of items is as sure as their number, too`` (claim: string, share: float) =
    let table =
        [
            yield right "a" 200
            yield right "b" 200
            for step in [ 1; 2; 4 ] do
                yield observed "quiz" [ "method", "c"; "checkpoint", $"step:{step}" ] 1.0 (Array.create 200 1.0)
        ]

    let found = one $"  - {{ id: A, says: s., metric: quiz, {claim} }}\n" table
    let p = 2.0 * Math.Pow(share, 200.0)
    Assert.That(found.PValue, Is.EqualTo(p).Within 1e-12)
    Assert.That(found.Verdict, Is.EqualTo(if p <= 0.05 then "supported" else "inconclusive"), found.Reason)
    Assert.That(found.Lower, Is.LessThanOrEqualTo found.Estimate)
    Assert.That(found.Upper, Is.GreaterThanOrEqualTo found.Estimate)

/// Answers that are alike, some of them wrong: the ratio's limits hang on how many are, and there is no exact test.
[<Test>]
let ``A ratio of like answers is inconclusive`` () =
    let half = Array.init 200 (fun i -> float (i % 2))

    let claim =
        "  - { id: A, says: s., metric: quiz, ratio: true, than: 0.99, contrast: [{ plus: { method: a } }, { minus: { method: b } }] }\n"

    let found =
        one
            claim
            [
                observed "quiz" [ "method", "a" ] 0.5 half
                observed "quiz" [ "method", "b" ] 0.5 half
            ]

    Assert.That((found.Verdict, found.PValue), Is.EqualTo(("inconclusive", nan)))
    Assert.That(found.Reason, Does.StartWith "every resampling gives the same number, and no exact test fits it")
    // Lengths have no bounds: there equal ratios are sign flips.
    let length method =
        observed "quiz" [ "method", method ] 100.0 (Array.create 8 100.0)

    Assert.That((one claim [ length "a"; length "b" ]).PValue, Is.EqualTo(2.0 * Math.Pow(0.5, 8.0)).Within 1e-12)

[<TestCase("{ minus: { method: b } }")>]
[<TestCase("{ plus: { method: b }, weight: 2 }")>]
let ``A rank correlation has no signs and weights`` (second: string) =
    let set term =
        ClaimSets.Read
            $"claims:\n  - {{ id: K, says: s., metric: quiz, each: dataset, statistic: rank_correlation, contrast: [{{ plus: {{ method: a }} }}, {term}] }}\n"

    Assert.That((set "{ plus: { method: b } }").Faults, Is.Empty)
    let fault = (set second).Faults |> Seq.exactlyOne
    Assert.That(fault.Message, Does.StartWith "a rank correlation ranks the units by each term as it is; write 'plus' in both")
