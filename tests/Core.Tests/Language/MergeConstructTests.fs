// Merges in the language, by what they plan.
module PeftAlign.Core.Tests.Language.MergeConstructTests

open System
open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Claims
open PeftAlign.Core.Tests.Language.TestManifests

[<Test>]
let ``merges take any axis across, and merges`` () =
    let rows =
        """train:
  - { models: a, datasets: [d, e], methods: [sft, dpo] }
merge:
  - { name: soup, method: dare_linear, of: { method: sft }, across: seed, parameters: { weight: 0.5 }, rescale: l1 }
  - { name: twice, method: slerp, of: { merge: soup }, across: dataset, parameters: { t: 0.25 }, base: w16 }
  - { name: all, method: dare_ties, of: { model: a }, across: [dataset, method], parameters: { density: 0.5 } }
"""

    let plan = planned rows

    same
        [
            "merge/all/a/s1"
            "merge/all/a/s2"
            "merge/soup/a/d/sft"
            "merge/soup/a/e/sft"
            "merge/twice/a/sft/soup"
        ]
        (labels "merge" plan)

    let twice = job "merge/twice/a/sft/soup" plan

    twice.DependsOn
    |> List.ofSeq
    |> same [ (job "merge/soup/a/d/sft" plan).Id; (job "merge/soup/a/e/sft" plan).Id ]

    Assert.That(twice.Options, Does.Contain "\"base\":\"w16\"")
    same 4 (job "merge/all/a/s1" plan).DependsOn.Count
    Assert.That((job "merge/soup/a/d/sft" plan).Options, Does.Contain "\"rescale\":\"l1\"")

[<Test>]
let ``merges of two merges are two policies`` () =
    let merges across =
        $"""train:
  - {{ models: a, datasets: [d, e], methods: dpo }}
merge:
  - {{ name: lin, method: dare_linear, of: {{ method: dpo }}, across: seed, parameters: {{ weight: 0.5 }} }}
  - {{ name: dare, method: dare_ties, of: {{ method: dpo }}, across: seed, parameters: {{ density: 0.5 }} }}
  - {{ name: both, method: dare_ties, of: {{ merge: [lin, dare] }}, across: {across}, parameters: {{ density: 0.25 }} }}
"""
        |> planned

    let plan = merges "dataset"
    let both = labels "merge" plan |> List.filter _.StartsWith("merge/both/")
    same [ "merge/both/a/dpo/dare"; "merge/both/a/dpo/lin" ] both

    for name in [ "lin"; "dare" ] do
        (job $"merge/both/a/dpo/{name}" plan).DependsOn
        |> List.ofSeq
        |> same [ (job $"merge/{name}/a/d/dpo" plan).Id; (job $"merge/{name}/a/e/dpo" plan).Id ]

    let across = merges "[dataset, merge]"
    same 4 (job "merge/both/a/dpo" across).DependsOn.Count

[<Test>]
let ``parameters of merges differ between layers and tensors`` () =
    let merge parameters =
        $"train:\n  - {{ models: a, datasets: [d, e], methods: sft, seeds: 1 }}\nmerge:\n  - {{ name: m, method: dare_ties, of: {{ model: a }}, across: dataset, parameters: {parameters} }}\n"

    let options parameters =
        (job "merge/m/a/sft/s1" (planned (merge parameters))).Options

    let gradient =
        options "{ density: { layers: [0.2, 0.8] }, weight: [{ layers: [1, 0] }, 0.5] }"

    Assert.That(gradient, Does.Contain "\"density\":{\"layers\":[0.2,0.8]}")
    Assert.That(gradient, Does.Contain "\"weight\":[{\"layers\":[1,0]},0.5]")

    let filters =
        options "{ weight: [{ filter: mlp, value: { layers: [0.5, 1] } }, { value: 0.25 }] }"

    Assert.That(filters, Does.Contain "\"weight\":[{\"filter\":\"mlp\",\"value\":{\"layers\":[0.5,1]}},{\"value\":0.25}]")

    for parameters, expected in
        [
            "{ density: { layers: [0.2, 1.5] } }", "1.5 is out of range"
            "{ density: { layers: [2, 0.5] } }", "2 is out of range"
            "{ density: { layers: [] } }", "list of values|a list of 0"
            "{ density: { gradient: [0.2, 0.5] } }", "mapping"
            "{ density: { layers: [0.5], from: 3 } }", "layers: \\[FIRST"
            "{ weight: [{ filter: mlp, value: 1 }, 0.5] }", "filter: PART, value: V"
            "{ weight: [{ filter: mlp, value: 1, layer: 3 }] }", "'filter' and 'value' only"
            "{ weight: [{ filter: '', value: 1 }] }", "empty text"
            "{ weight: [[1, 2], { layers: [1] }] }", "one value here|a number"
            "{ densities: { layers: [0.5] } }", "has no option 'densities'"
        ] do
        let found = faults (header + merge parameters)

        Assert.That(
            found
            |> List.exists (fun fault -> System.Text.RegularExpressions.Regex.IsMatch(fault.Message, expected)),
            Is.True,
            $"{parameters}: %A{found}"
        )

[<Test>]
let ``parents stand in the order in which the selection lists them`` () =
    let merged order =
        let plan =
            planned
                $"train:\n  - {{ models: a, datasets: [d, e], methods: sft, seeds: 1 }}\nmerge:\n  - {{ name: m, method: slerp, of: {{ dataset: {order} }}, across: dataset, parameters: {{ t: 0.3 }} }}\n"

        (job "merge/m/a/sft/s1" plan).DependsOn
        |> Seq.map (fun id -> (plan.Jobs |> Seq.find (fun job -> job.Id = id)).Label)
        |> List.ofSeq

    same [ "train/a/d/sft/s1"; "train/a/e/sft/s1" ] (merged "[d, e]")
    same [ "train/a/e/sft/s1"; "train/a/d/sft/s1" ] (merged "[e, d]")

[<Test>]
let ``a merged policy may be where training starts`` () =
    let plan =
        plan (
            header.Replace("models:\n", "models:\n  soup: { run: { merge: m } }\n")
            + """train:
  - { models: a, datasets: [d, e], methods: sft }
  - { models: soup, datasets: d, methods: dpo }
merge:
  - { name: m, method: slerp, of: { model: a }, across: dataset, parameters: { t: 0.5 } }
"""
        )

    (job "train/soup/d/dpo/s2" plan).DependsOn
    |> List.ofSeq
    |> same [ (job "merge/m/a/sft/s2" plan).Id ]

/// Evaluated merges of one row, at these steps of trainings of 100, beside their parents at step 40 and at the end.
let private atSteps steps =
    planned
        $"""train:
  - {{ models: a, datasets: [d, e], methods: dpo, seeds: 1 }}
merge:
  - {{ name: m, method: slerp, of: {{ method: dpo, checkpoints: {steps} }}, across: dataset, parameters: {{ t: 0.5 }} }}
evaluate:
  - {{ of: [trained, merged, {{ method: dpo, checkpoints: 40 }}], with: {{ name: quiz, type: perplexity, path: f }} }}
"""

let private axis name (axes: IReadOnlyDictionary<string, string>) =
    match axes.TryGetValue name with
    | true, value -> value
    | _ -> ""

let private places kind (plan: Plan) =
    [
        for job in ofKind kind plan do
            for label, axes in Seq.zip job.Labels job.Places do
                label, axes
    ]

[<Test>]
let ``a merge of checkpoints stands at their step, and at the end where it is every parent's`` () =
    let found kind =
        places kind (atSteps "[20, 100]")
        |> List.filter (fun (_, axes) -> axis "merge" axes = "m")
        |> List.map (fun (label, axes) -> label, axis "checkpoint" axes, axis "variant" axes)

    same
        [
            "evaluate/quiz/m/a/dpo/step:20/s1", "step:20", ""
            "evaluate/quiz/m/a/dpo/step:100/s1", "", ""
            "evaluate/quiz/m/a/dpo/step:100/s1@step:100", "step:100", ""
        ]
        (found "evaluate")

    same
        [
            "merge/m/a/dpo/step:20/s1", "step:20", ""
            "merge/m/a/dpo/step:100/s1", "", ""
        ]
        (found "merge")

[<Test>]
let ``merges of merges keep to one step`` () =
    let plan =
        planned
            """train:
  - { models: a, datasets: [d, e], methods: dpo }
merge:
  - { name: m, method: slerp, of: { method: dpo, checkpoints: [20, 40, 100] }, across: dataset, parameters: { t: 0.5 } }
  - { name: soup, method: dare_ties, of: { merge: m }, across: [seed, method], parameters: { density: 0.5 } }
evaluate:
  - { of: { merge: soup }, with: { name: quiz, type: perplexity, path: f } }
"""

    same [ "step:20"; "step:40"; ""; "step:100" ] (places "evaluate" plan |> List.map (snd >> axis "checkpoint"))

    for step in [ 20; 40; 100 ] do
        (job $"merge/soup/a/d+e/m/step:{step}" plan).DependsOn
        |> List.ofSeq
        |> same [ for seed in [ 1; 2 ] -> (job $"merge/m/a/dpo/step:{step}/s{seed}" plan).Id ]

/// A merge's number is 1 and a twentieth of its step; its parents' is 2 at step 40 and 4 at the end.
[<TestCase("{ plus: { merge: m } }, { minus: { method: dpo } }", 6.0 - 4.0)>]
[<TestCase("{ plus: { merge: m, checkpoint: 'step:40' } }, { minus: { method: dpo, checkpoint: 'step:40' } }", 3.0 - 2.0)>]
[<TestCase("{ plus: { merge: m }, curve: { along: checkpoint, scale: linear } }", 0.05)>]
let ``claims mean merges of the ends, and the others where they name the axis`` (contrast: string, expected: float) =
    let value axes =
        match axis "merge" axes, axis "checkpoint" axes with
        | "m", "" -> 6.0
        | "m", at -> 1.0 + float (at.Substring 5) / 20.0
        | _, "" -> 4.0
        | _ -> 2.0

    let table =
        [|
            for _, axes in places "evaluate" (atSteps "[20, 40, 100]") do
                {
                    Axes = axes
                    Metric = "acc"
                    IsFirst = true
                    Value = value axes
                    Items = [||]
                    HigherIsBetter = true
                }
        |]

    match (ClaimSets.Read $"claims:\n  - {{ id: A, says: s., metric: quiz, contrast: [{contrast}] }}\n").Set with
    | null -> failwith "the set has faults"
    | set ->
        let claim = ClaimSets.Test(set, table, 200, 0.05, 1L) |> Seq.exactlyOne
        Assert.That(claim.Estimate, Is.EqualTo(expected).Within 1e-12)

[<Test>]
let ``a list of values per parent is as long as the parents are many`` () =
    let merge parameters =
        $"train:\n  - {{ models: a, datasets: [d, e], methods: sft, seeds: 1 }}\nmerge:\n  - {{ name: m, method: dare_ties, of: {{ model: a }}, across: dataset, parameters: {parameters} }}\n"

    for parameters, count in
        [
            "{ density: 0.5, weight: [1, 2, 3] }", 3
            "{ density: 0.5, weight: [1] }", 1
            "{ density: 0.5, weight: [1, { layers: [0, 1] }, 2] }", 3
        ] do
        let expected =
            $"merge 'm' gives {count} values of weight for 2 parents: a/d/sft/s1, a/e/sft/s1; give one value for all, or one for each in this order"

        Assert.That(faults (header + merge parameters) |> List.map _.Message, Has.Some.EqualTo expected)

    for parameters in
        [
            "{ density: 0.5, weight: [1, 2] }"
            "{ density: 0.5, weight: 3 }"
            "{ density: 0.5, weight: [{ filter: mlp, value: 1 }, { filter: attn, value: 2 }, { value: 3 }] }"
        ] do
        same 1 (labels "merge" (planned (merge parameters))).Length

/// Policies over the model as it is (dpo), over nf4 (four, both) and over another nf4 (plain), and these merges of them.
let private overFourBits merges =
    header
        .Replace("  l16:", "  q: { type: qlora, rank: 8 }\n  single: { type: qlora, rank: 8, double_quant: false }\n  l16:")
        .Replace(
            "  dpo:",
            "  four: { type: sft, adapter: q, epochs: 1 }\n  both: { type: dpo, adapter: q, max_steps: 9 }\n  plain: { type: sft, adapter: single, epochs: 1 }\n  dpo:"
        )
    + "train:\n  - { models: a, datasets: [d, e], methods: [sft, dpo, four, both, plain, [four, sft]], seeds: 1 }\n"
    + "merge:\n"
    + String.concat "" [ for merge in merges -> $"  - {{ {merge} }}\n" ]

let private byDare axis selection =
    $"name: m, method: dare_ties, of: {selection}, across: {axis}, parameters: {{ density: 0.5 }}"

let private bySlerp name methods =
    $"name: {name}, method: slerp, of: {{ method: {methods} }}, across: method, parameters: {{ t: 0.5 }}"

[<TestCase("[dpo, four]", "a/d/dpo/s1 over it as it is, a/d/four/s1 over nf4 ")>]
[<TestCase("[four, dpo]", "a/d/four/s1 over nf4 .*, a/d/dpo/s1 over it as it is")>]
[<TestCase("[four, plain]", "a/d/four/s1 over nf4 .*true.*, a/d/plain/s1 over nf4 .*false")>]
let ``differences are not measured from two bases`` (methods: string, pattern: string) =
    let row = byDare "method" $"{{ method: {methods} }}"
    let text = overFourBits [ row ]
    let before = text.Substring(0, text.IndexOf "  - { name: m")
    let line = 1 + (before |> Seq.filter ((=) '\n') |> Seq.length)
    faults text |> expect line $"^merge 'm' .*{pattern}.*give base: w16"

    for merge in [ row + ", base: w16"; bySlerp "m" methods ] do
        same 2 (count "merge" (plan (overFourBits [ merge ])))

[<Test>]
let ``policies over one quantisation are merged, and their merges, but none of mixtures`` () =
    let again = byDare "dataset" "{ merge: pair }"
    same 3 (count "merge" (plan (overFourBits [ bySlerp "pair" "[four, both]"; again ])))

    let mixed = faults (overFourBits [ bySlerp "pair" "[dpo, four]"; again ])
    Assert.That(mixed |> List.map _.Message, Has.Some.Contains "over several of them")

[<Test>]
let ``a stage without an adapter holds in its weights what it was trained over`` () =
    let text =
        overFourBits [ byDare "[method, stage]" "{ method: [dpo, [four, sft]], dataset: d }" ]

    let expected = "a/d/dpo/s1 over it as it is, a/d/four/d/sft/s1 over nf4 "
    Assert.That(faults text |> List.map _.Message, Has.Some.Contains expected)
