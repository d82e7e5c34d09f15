// Claims at their borders: six of something, a tie, a number that the scores cannot reach, a policy without a value on an axis. What is
// expected follows from the definitions in docs/report.md.
module PeftAlign.Core.Tests.Claims.BorderTests

open System
open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core.Claims
open PeftAlign.Core.Tests.Language.TestManifests

let draws = 2000

let observed (axes: string) value (items: float[]) =
    let pairs =
        ("benchmark=quiz policy=trained seed=1 " + axes).Split ' '
        |> Array.map (fun pair -> let at = pair.IndexOf '=' in pair.Substring(0, at), pair.Substring(at + 1))

    let named = Dictionary<string, string>()

    for key, value in pairs do
        named[key] <- value

    {
        Axes = named
        Metric = "acc"
        IsFirst = true
        Value = value
        Items = items
        HigherIsBetter = true
    }

let items count share =
    Array.init count (fun i -> if float i < float count * share then 1.0 else 0.0)

let scored axes share = observed axes share (items 100 share)

/// Of the same answer to each of 200 items.
let private alike axes value =
    observed axes value (Array.create 200 value)

let measured axes value = observed axes value [||]

let read claim =
    ClaimSets.Read $"claims:\n  - {{ id: A, says: s., metric: quiz, {claim} }}\n"

let test (set: ClaimSetResult) (table: Observation list) pending =
    let pending: IReadOnlyList<IReadOnlyDictionary<string, string>> =
        [| for axes in pending -> (observed axes 0.0 [||]).Axes |]

    match set.Set with
    | null -> failwith $"the set has faults: {set.Faults[0]}"
    | set -> ClaimSets.Test(set, Array.ofList table, pending, draws, 0.05, 1L)

let one claim table =
    test (read claim) table [] |> Seq.exactlyOne

// ---- which policies a term takes ----

[<Test>]
let ``A benchmark's name is its first metric`` () =
    let second =
        { scored "method=sft" 0.9 with
            Metric = "f1"
            IsFirst = false
        }

    Assert.That((one "contrast: [{ plus: {} }]" [ second; scored "method=sft" 0.4 ]).Estimate, Is.EqualTo(0.4).Within 1e-12)

/// An untouched model has no data set, and is what each is compared with.
[<Test>]
let ``A policy without a value on an axis stands in every unit`` () =
    let found =
        one
            "each: dataset, contrast: [{ plus: {} }, { minus: { kind: untouched } }]"
            [
                scored "policy=untouched model=m" 0.3
                scored "model=m dataset=a" 0.5
                scored "model=m dataset=b" 0.8
            ]

    same [ "a", 0.2; "b", 0.5 ] [ for unit in found.Units -> unit.Label, Math.Round(unit.Value, 9) ]

/// What the claim says of tags holds beside what a term says of them.
[<Test>]
let ``Tags of the claim and of a term both hold`` () =
    let table =
        [
            scored "model=m method=sft tags=small,news" 0.4
            scored "model=n method=sft tags=news" 0.9
            scored "model=o method=sft tags=small" 0.7
        ]

    Assert.That((one "where: { tag: small }, contrast: [{ plus: { tag: news } }]" table).Estimate, Is.EqualTo(0.4).Within 1e-12)

/// Of models, too: another untouched model is no part of the comparison.
[<Test>]
let ``What a claim says of models holds for untouched ones`` () =
    let table =
        [
            scored "policy=untouched model=m" 0.3
            scored "policy=untouched model=n" 0.9
            scored "model=m method=sft" 0.5
        ]

    let found =
        one "where: { model: m }, contrast: [{ plus: {} }, { minus: { kind: untouched } }]" table

    Assert.That(found.Estimate, Is.EqualTo(0.2).Within 1e-12)

/// Seeds of two rows whose tags differ are one configuration's: (0.2 + 0.4) / 2 beside 0.9.
[<TestCase("sft")>]
[<TestCase("sft>dpo>sft")>]
let ``Tags tell no configurations apart, and a chain is its last method`` (chain: string) =
    let table =
        [
            scored $"dataset=x method={chain} seed=1 tags=one" 0.2
            scored $"dataset=x method={chain} seed=2 tags=two" 0.4
            scored $"dataset=y method={chain} seed=1" 0.9
            scored "dataset=y method=dpo seed=1" 0.1
        ]

    Assert.That((one "contrast: [{ plus: { method: sft } }]" table).Estimate, Is.EqualTo(0.6).Within 1e-12)

[<Test>]
let ``Where nothing fits no name is to blame`` () =
    let found =
        one "where: { model: [m, n] }, contrast: [{ plus: { method: orpo } }]" [ scored "model=m method=sft" 0.5 ]

    Assert.That(found.Reason, Is.EqualTo "no finished evaluations fit the claim")

[<Test>]
let ``A merge's name means merges and not what was trained on them`` () =
    let table =
        [
            scored "policy=merged model=m merge=dare" 0.4
            scored "policy=trained model=m merge=dare" 0.9
        ]

    Assert.That((one "contrast: [{ plus: { merge: dare } }]" table).Estimate, Is.EqualTo(0.4).Within 1e-12)

/// A score that is not a number is none.
[<Test>]
let ``A score that is no number is left out`` () =
    let table =
        [ scored "method=sft dataset=a" 0.4; measured "method=sft dataset=b" nan ]

    Assert.That((one "contrast: [{ plus: {} }]" table).Estimate, Is.EqualTo(0.4).Within 1e-12)

[<TestCase(0.5, "; quiz of both stands on both sides")>]
[<TestCase(1.0, "; quiz of both stands on both sides")>]
let ``Half a policy cancels, too`` (weight: float, told: string) =
    let weight = weight.ToString(Globalization.CultureInfo.InvariantCulture)

    let found =
        one
            $"contrast: [{{ plus: {{ method: a }}, weight: {weight} }}, {{ minus: {{ method: a }} }}]"
            [ scored "method=a configuration=both" 0.5 ]

    Assert.That(found.Statement, Does.EndWith(told.Replace("quiz of ", "")))

/// Five names are told, of six five and how many more.
[<TestCase(5, "m5; finish")>]
[<TestCase(6, "m5 and 1 more; finish")>]
let ``The first five gaps are named`` (count: int, told: string) =
    let pending = [ for k in 1..count -> $"model=m{k} method=sft" ]

    let found =
        test (read "each: model, contrast: [{ plus: {} }]") [ scored "model=m0 method=sft" 0.5 ] pending
        |> Seq.exactlyOne

    Assert.That(found.Reason.Replace("/sft", ""), Does.Contain told)

// ---- what has no spread ----

let private right = [ alike "method=a" 1.0; alike "method=b" 1.0 ]

/// Shares cannot lie below zero, so nothing but chance of zero speaks for it.
[<TestCase(2)>]
[<TestCase(3)>]
let ``A number that scores cannot reach has a p of zero`` (count: int) =
    let found =
        one "than: -0.5, contrast: [{ plus: {} }]" [ observed "method=a" 1.0 (Array.create count 1.0) ]

    Assert.That(found.PValue, Is.Zero)

/// Each policy's score is q away at most: of a ratio's middle point of three nothing comes; the best of all right and all wrong is the right;
/// a distance of one shrinks by 2 q.
[<TestCase("ratio: true, than: 0.99, contrast: [{ plus: { method: c }, curve: { along: checkpoint } }]", 0.9801)>]
[<TestCase("ratio: true, is: less, than: 1.01, contrast: [{ plus: { method: c }, curve: { along: checkpoint } }]",
           0.9802960494069208)>]
[<TestCase("than: 0.99, contrast: [{ plus: { method: [a, d] }, take: max }]", 0.99)>]
[<TestCase("than: 0.9, contrast: [{ plus: [{ plus: { method: a } }, { minus: { method: d } }], absolute: true }]", 0.95)>]
[<TestCase("than: 0.9, contrast: [{ plus: [{ plus: { method: d } }, { minus: { method: a } }], absolute: true }]", 0.95)>]
let ``What other items would give has limits`` (claim: string, share: float) =
    let table =
        [
            yield! right
            yield alike "method=d" 0.0
            for step in [ 1; 2; 4 ] do
                yield alike $"method=c checkpoint=step:{step}" 1.0
        ]

    Assert.That((one claim table).PValue, Is.EqualTo(2.0 * Math.Pow(share, 200.0)).Within 1e-12)

/// The share that is not seen among 200 with a probability of 0.025, at either end.
[<Test>]
let ``The limits of a ratio are of half the level each`` () =
    let found =
        one "ratio: true, than: 1, contrast: [{ plus: { method: a } }, { minus: { method: b } }]" right

    Assert.That(found.Lower, Is.EqualTo(Math.Pow(0.025, 1.0 / 200.0)).Within 1e-12)
    Assert.That(found.Upper, Is.EqualTo(Math.Pow(0.025, -1.0 / 200.0)).Within 1e-12)

/// Slopes over two points reach from -1 to 1, over three from -1/2 to 1/2: the bounds are the widest of any unit.
[<TestCase("a", "b")>]
[<TestCase("b", "a")>]
let ``Units with other points have other bounds, and the widest count`` (few: string, many: string) =
    let at dataset step =
        alike $"method=c dataset={dataset} checkpoint=step:{step}" 1.0

    let table =
        [
            for step in [ 1; 2 ] -> at few step
            for step in [ 1; 2; 4 ] -> at many step
        ]

    let found =
        one "each: dataset, than: -0.01, contrast: [{ plus: { method: c }, curve: { along: checkpoint } }]" table

    Assert.That(found.PValue, Is.EqualTo(2.0 * Math.Pow(0.99, 200.0)).Within 1e-12)

/// Seconds have no bounds: equal ones are sign flips, and nothing is said of equivalence.
[<Test>]
let ``Equal numbers without bounds are sign flips`` () =
    let table = [ for k in 1..6 -> measured $"dataset=d{k}" 2.0 ]
    let found = one "each: dataset, than: 1.5, contrast: [{ plus: {} }]" table
    Assert.That((found.PValue, found.Verdict), Is.EqualTo((2.0 * Math.Pow(0.5, 6.0), "supported")))

    let equal =
        [
            for method in [ "a"; "b" ] -> observed $"method={method}" 100.0 (Array.create 8 100.0)
        ]

    let found =
        one "is: within, than: 1, contrast: [{ plus: { method: a } }, { minus: { method: b } }]" equal

    Assert.That(found.Reason, Does.EndWith "scores without bounds have no exact test of an equivalence")

// ---- what is refused ----

[<TestCase("ratio: true, than: 1, is: within, contrast: [{ plus: {} }]", "'ratio: true' goes with 'is: greater' or 'is: less'")>]
[<TestCase("statistic: share, contrast: [{ plus: {} }]", "a share or a correlation needs units; give 'each'")>]
[<TestCase("contrast: [{ plus: [{ plus: [{ plus: [{ plus: [{ plus: [{ plus: {} }] }] }] }] }] }]",
           "terms are nested more than 4 deep; write the contrast flatter")>]
let ``What cannot be asked is a fault`` (claim: string, said: string) =
    Assert.That([ for fault in (read claim).Faults -> fault.Message ], Does.Contain said)

[<Test>]
let ``Four levels of terms are read, and a value that is left out names no claim`` () =
    Assert.That((read "contrast: [{ plus: [{ plus: [{ plus: [{ plus: [{ plus: {} }] }] }] }] }]").Faults, Is.Empty)

    let found =
        test (read "per: { dataset: ['!a', b] }, contrast: [{ plus: {} }]") [ scored "dataset=b" 0.5 ] []

    same [ "A/a"; "A/b" ] [ for result in found -> result.Id ]
