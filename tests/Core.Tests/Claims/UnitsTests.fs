// Which policies a claim's terms take: of untouched models, of rows that ask alike, of trainings that got unequally far.
module PeftAlign.Core.Tests.Claims.UnitsTests

open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core.Claims

let private axesOf (written: string) =
    written.Split ' '
    |> Array.map (fun pair -> let at = pair.IndexOf '=' in pair.Substring(0, at), pair.Substring(at + 1))
    |> dict
    |> Dictionary

/// A hundred yes-or-no items with the given share of yes.
let private scored (axes: string) share =
    let items = Array.init 100 (fun i -> if float i < 100.0 * share then 1.0 else 0.0)

    {
        Axes = axesOf ("benchmark=quiz " + axes)
        Metric = "acc"
        IsFirst = true
        Value = share
        Items = items
        HigherIsBetter = true
    }

let private text claim =
    $"claims:\n  - {{ id: A, says: s., metric: quiz, {claim} }}\n"

let private lacking claim (table: Observation list) (pending: string list) =
    match (ClaimSets.Read(text claim)).Set with
    | null -> failwith "the set has faults"
    | set ->
        let pending: IReadOnlyList<IReadOnlyDictionary<string, string>> =
            [| for axes in pending -> axesOf ("benchmark=quiz " + axes) |]

        ClaimSets.Test(set, Array.ofList table, pending, 500, 0.05, 1L)
        |> Seq.exactlyOne

let private one claim table = lacking claim table []

let private tagged =
    [
        scored "policy=untouched model=base" 0.3
        scored "policy=untouched model=tuned tags=instruct" 0.6
        scored "policy=trained model=base dataset=d method=dpo seed=1 tags=hh" 0.4
        scored "policy=trained model=tuned dataset=d method=dpo seed=1 tags=instruct,hh" 0.55
    ]

/// 0.55 - 0.60; with both untouched models it would be 0.55 - 0.45. A tag of the data says nothing of what was not trained on them.
[<TestCase("instruct", -0.05)>]
[<TestCase("'!instruct'", 0.1)>]
[<TestCase("hh", 0.025)>]
[<TestCase("[instruct, hh]", -0.125)>]
let ``A model's tag chooses untouched models, too`` (tag: string, expected: float) =
    let found =
        one $"where: {{ tag: {tag} }}, contrast: [{{ plus: {{ method: dpo }} }}, {{ minus: {{ kind: untouched }} }}]" tagged

    Assert.That(found.Estimate, Is.EqualTo(expected).Within 1e-12)

[<Test>]
let ``A model whose untouched self nobody measured has no other in its place`` () =
    let table =
        tagged
        |> List.filter (fun o -> not (o.Axes["policy"] = "untouched" && o.Axes["model"] = "tuned"))

    let found =
        one "where: { tag: instruct }, contrast: [{ plus: { method: dpo } }, { minus: { kind: untouched } }]" table

    Assert.That(found.Reason, Is.EqualTo "no finished evaluations fit the claim")

let private rows =
    [
        scored "policy=trained model=m dataset=x method=sft seed=1 row=all tags=one job=a" 0.8
        scored "policy=trained model=m dataset=x method=sft seed=1 row=base tags=two job=a" 0.8
        scored "policy=trained model=m dataset=y method=sft seed=1 row=all tags=one job=b" 0.3
    ]

/// x and y are two policies, though two rows ask for x.
[<TestCase("contrast: [{ plus: { method: sft } }]", 0.55)>]
[<TestCase("contrast: [{ plus: { tag: two } }]", 0.8)>]
[<TestCase("contrast: [{ plus: { row: [all, base] } }]", 1.9 / 3.0)>]
[<TestCase("each: row, contrast: [{ plus: { method: sft } }]", 0.675)>]
let ``What two rows ask alike counts once`` (claim: string, expected: float) =
    Assert.That((one claim rows).Estimate, Is.EqualTo(expected).Within 1e-12)

[<Test>]
let ``Rows that share a seed ask for one configuration`` () =
    let at row seed share =
        scored $"policy=trained model=m dataset=x method=sft seed={seed} row={row} job=s{seed}" share

    let table = [ at "a" 1 0.2; at "a" 2 0.3; at "b" 2 0.3; at "b" 3 0.7 ]
    Assert.That((one "contrast: [{ plus: {} }]" table).Estimate, Is.EqualTo(0.4).Within 1e-12)

let private curve dataset seed steps =
    [
        for step in steps ->
            scored
                $"policy=trained model=m dataset={dataset} method=sft seed={seed} checkpoint=step:{step}"
                (0.0005 * float step + 0.1)
    ]

let private heights =
    "contrast: [{ plus: { dataset: bt }, curve: { along: checkpoint, take: height } }, { minus: { dataset: hh }, curve: { along: checkpoint, take: height } }]"

/// The two learn alike; on its own points the one that got further would stand higher.
[<Test>]
let ``Curves are compared where both have points`` () =
    let table = curve "bt" 1 [ 100; 200; 400; 600 ] @ curve "hh" 1 [ 100; 200 ]
    Assert.That((one heights table).Estimate, Is.EqualTo(0.0).Within 1e-12)

/// Folders of checkpoints are called so: with a sign the curve would fall where it rises.
[<TestCase("init_adapter=sft/checkpoint-100", "init_adapter=sft/checkpoint-300", 0.001)>]
[<TestCase("shift=-300", "shift=-100", 0.001)>]
[<TestCase("beta=0.1,rate=1e-2", "beta=0.1,rate=3e-2", 10.0)>]
let ``A hyphen before a number is no sign`` (low: string, high: string, slope: float) =
    let table =
        [
            scored $"policy=trained model=m dataset=x method=sft seed=1 variant={low}" 0.2
            scored $"policy=trained model=m dataset=x method=sft seed=1 variant={high}" 0.4
        ]

    let found =
        one "contrast: [{ plus: {}, curve: { along: variant, scale: linear } }]" table

    Assert.That(found.Estimate, Is.EqualTo(slope).Within 1e-12)

/// And where all of a curve's seeds have them: the late points would be of the first seed alone.
[<Test>]
let ``A seed that stopped early ends the curve`` () =
    let better =
        curve "bt" 2 [ 100; 200 ]
        |> List.map (fun o ->
            { o with
                Value = o.Value + 0.2
                Items = [||]
            })

    let table = curve "bt" 1 [ 100; 200; 400 ] @ better @ curve "hh" 1 [ 100; 200; 400 ]
    Assert.That((one heights table).Estimate, Is.EqualTo(0.1).Within 1e-12)

[<Test>]
let ``Curves without two common points are not compared`` () =
    let table = curve "bt" 1 [ 200; 400 ] @ curve "hh" 1 [ 100; 200 ]
    Assert.That((one heights table).Reason, Is.EqualTo "no finished evaluations fit the claim")

let private merge =
    "each: model, than: -0.5, contrast: [{ plus: { merge: dare } }, { minus: { dataset: [x, y], method: sft } }]"

let private merged model =
    scored $"policy=merged model={model} dataset=x+y method=sft merge=dare seed=1" 0.5

let private parent model dataset share =
    scored $"policy=trained model={model} dataset={dataset} method=sft seed=1" share

/// The better parent alone would make the merge look bad, the worse one good.
[<Test>]
let ``A claim on unfinished evaluations has no verdict and names them`` () =
    let whole = [ merged "m"; parent "m" "x" 0.7; parent "m" "y" 0.3 ]
    let found = one merge whole
    Assert.That((found.Verdict, found.Estimate), Is.EqualTo(("supported", 0.0)), found.Reason)

    let pending =
        [
            "policy=trained model=m dataset=x method=sft seed=1"
            "policy=trained model=n dataset=x method=dpo seed=1"
        ]

    let found = lacking merge [ merged "m"; parent "m" "y" 0.3 ] pending
    Assert.That((found.Verdict, found.Reason), Is.EqualTo(("inconclusive", "not finished: quiz of m/x/sft; finish the run")))
    Assert.That(found.Estimate, Is.EqualTo(0.2).Within 1e-12, "of what is there")

    // Another seed of what is finished is no gap; another model is.
    let seed = "policy=trained model=m dataset=x method=sft seed=2"
    Assert.That((lacking merge whole [ seed ]).Verdict, Is.EqualTo "supported")

    let model =
        [
            for axes in
                [
                    "policy=merged dataset=x+y merge=dare"
                    "policy=trained dataset=x"
                    "policy=trained dataset=y"
                ] -> $"{axes} method=sft seed=1 model=n"
        ]

    Assert.That(
        (lacking merge whole model).Reason,
        Does.StartWith "not finished: quiz of dare/n/x+y/sft, quiz of n/x/sft, quiz of n/y/sft;"
    )
    // No merge of n is planned: n is no unit, and its trainings are not waited for.
    Assert.That((lacking merge whole model.Tail).Verdict, Is.EqualTo "supported")

    Assert.That(
        (lacking merge [] model).Reason,
        Does.StartWith "no finished evaluations fit the claim; not finished: quiz of dare/n"
    )

[<Test>]
let ``A checkpoint on the way is waited for`` () =
    let table = curve "bt" 1 [ 100; 200; 400 ] @ curve "hh" 1 [ 100; 200 ]

    let found =
        lacking heights table [ "policy=trained model=m dataset=hh method=sft seed=1 checkpoint=step:400" ]

    Assert.That(found.Reason, Is.EqualTo "not finished: quiz of m/hh/sft@step:400; finish the run")

[<Test>]
let ``A name of a list that nobody has is no verdict`` () =
    let whole = [ merged "m"; parent "m" "x" 0.7; parent "m" "y" 0.3 ]
    let reason = "no policy that the claim speaks of has "

    for claim, absent in
        [
            merge.Replace("[x, y]", "[x, z]"), "dataset 'z'"
            "where: { model: [m, n] }, " + merge, "model 'n'"
            merge.Replace("each: model", "each: { model: { one: m, other: n } }"), "model 'n'"
        ] do
        let found = one claim whole
        Assert.That(found.Verdict, Is.EqualTo "inconclusive", claim)
        Assert.That(found.Reason, Is.EqualTo $"{reason}{absent}; correct the names, or leave them out")

[<Test>]
let ``Names that the plan's policies do not have are faults`` () =
    let policies: IReadOnlyList<IReadOnlyDictionary<string, string>> =
        [|
            for axes in
                [
                    "policy=trained model=base dataset=helpful method=sft seed=1 tags=hh"
                    "policy=trained model=base dataset=helpful method=sft>dpo seed=1 checkpoint=step:4"
                ] -> axesOf axes
        |]

    let faults claim =
        [ for fault in (ClaimSets.Read(text claim, policies)).Faults -> fault.Message ]

    let fine =
        "where: { tag: '!hh' }, each: [model, dataset: { a: helpful }], contrast: [{ plus: { method: [dpo, sft>dpo], seed: 1, kind: merged, checkpoint: step:4 } }]"

    Assert.That(faults fine, Is.Empty)
    Assert.That(faults (fine.Replace("'!hh'", "'!unheard-of'")), Is.Empty, "what is left out need not be there")

    for wrong, said in
        [
            fine.Replace("a: helpful", "a: helpfull"), "no policy of the plan has the dataset 'helpfull'; did you mean 'helpful'?"
            fine.Replace("'!hh'", "'!h'"), "no policy of the plan has the tag 'h'; did you mean 'hh'?"
            fine.Replace("seed: 1", "seed: 200"), "no policy of the plan has the seed '200'; known: 1"
            fine.Replace("kind: merged", "kind: merge"), "no policy of the plan has the kind 'merge'; did you mean 'merged'?"
            fine.Replace("seed: 1", "merge: dare"), "no policy of the plan has the merge 'dare'; none is declared"
        ] do
        Assert.That(String.concat "|" (faults wrong), Is.EqualTo said)
        Assert.That((ClaimSets.Read(text wrong)).Faults, Is.Empty, "a set that knows of no plan")

let private chained =
    [
        scored "policy=trained model=base dataset=d method=sft seed=1 stage=1" 0.5
        scored "policy=trained model=base dataset=d method=dpo seed=1 stage=1" 0.4
        scored "policy=trained model=base dataset=d method=sft>dpo seed=1 stage=2 configuration=base/d/sft/d/dpo" 0.8
    ]

/// A chain's last method is the chain's, too: DPO after SFT less DPO takes away half of itself, which is told.
[<TestCase("[{ plus: { method: sft>dpo } }, { minus: { method: dpo } }]", 0.2, "; base/d/sft/d/dpo stands on both sides")>]
[<TestCase("[{ plus: { method: sft>dpo } }, { minus: { method: dpo, stage: 1 } }]", 0.4, "")>]
[<TestCase("[{ plus: { method: [sft, dpo] }, take: max }, { minus: { method: dpo } }]", 0.2, "")>]
let ``Policies on both sides of a contrast are told`` (contrast: string, expected: float, told: string) =
    let found = one $"contrast: {contrast}" chained
    Assert.That(found.Estimate, Is.EqualTo(expected).Within 1e-12)

    if told = "" then
        Assert.That(found.Statement, Does.Not.Contain "both sides")
    else
        Assert.That(found.Statement, Does.EndWith told)
