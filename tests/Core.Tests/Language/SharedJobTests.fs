// Which parts of an experiment are one job, and which are not.
module PeftAlign.Core.Tests.Language.SharedJobTests

open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

[<Test>]
let ``a job of two names is found by both and called by the first`` () =
    let text =
        header.Replace("methods:\n", "methods:\n  also: { type: sft, epochs: 9 }\n")
        + train "models: a, datasets: d, methods: [sft, also], seeds: 1"

    let plan = plan text
    let one = (ofKind "train" plan) |> List.exactlyOne
    same "train/a/d/also/s1" one.Label
    same "also" one.Axes["method"]
    same [ "train/a/d/also/s1"; "train/a/d/sft/s1" ] (List.ofSeq one.Labels)
    same one.Id (Plans.Only(plan, "train/a/d/sft/*").Jobs |> Seq.exactlyOne).Id

[<Test>]
let ``how often to save may be a grid, and makes one job`` () =
    let plan =
        plan (
            header.Replace("epochs: 9", "epochs: 9, save_every: { grid: [10, 20] }")
            + train "models: a, datasets: d, methods: sft, seeds: 1"
        )

    same 2 ((ofKind "train" plan |> List.exactlyOne).Labels.Count)

[<Test>]
let ``a training goes as far as the last point that is asked for`` () =
    let plan =
        plan (
            header
            + train
                "models: a, datasets: d, seeds: 1, methods: [[{ method: sft, until: { step: 10 } }, dpo], [{ method: sft, until: { step: 9 } }, dpo]]"
        )

    let first = job "train/a/d/sft/s1" plan
    same ([ "step:9"; "step:10" ], "step:10") (List.ofSeq first.Keep, first.Until)

[<Test>]
let ``the order of a grid changes no choice`` () =
    let written grid =
        header.Replace("max_steps: 100", $"max_steps: 100, beta: {{ grid: {grid} }}, eval_data: e, select: {{ by: eval_loss }}")
        + train "models: a, datasets: d, methods: dpo, seeds: 1"
        |> plan
        |> ids

    same (written "[0.1, 0.2]") (written "[0.2, 0.1]")

[<Test>]
let ``a mixture is its parts' shares, in any order and by any name`` () =
    let written mixture =
        header.Replace(
            "mix: { mixture: { d: 1, e: 3 } }",
            $"f: {{ reader: jsonl, path: f.jsonl }}\n  mix: {{ mixture: {mixture} }}"
        )
        + train "models: a, datasets: mix, methods: sft, seeds: 1"

    let first = written "{ d: 0.1, e: 0.2, f: 0.3 }"
    same (ids (plan first)) (ids (plan (written "{ f: 0.3, e: 0.2, d: 0.1 }")))
    let renamed = first.Replace("  f: {", "  g: {").Replace("f: 0.3", "g: 0.3")
    same (ids (plan first)) (ids (plan renamed))
    // The sum of the shares in their order; another share is another job.
    Assert.That(ids (plan first), Is.Not.EqualTo(ids (plan (written "{ d: 0.1, e: 0.2, f: 0.4 }"))))

[<Test>]
let ``a configuration that stands for a folder to come changes no id`` () =
    let rows = train "models: a, datasets: d, methods: sft, seeds: 1"

    let with' =
        header.Replace("path: models/a,", "path: models/a, config: a.json,") + rows

    same (ids (plan (header + rows))) (ids (plan with'))

[<Test>]
let ``reference log-probs are shared by what gives the same, and by nothing else`` () =
    let references (one: string) (other: string) =
        let method more =
            $"{{ type: dpo, max_steps: 100, precompute_reference: true{more} }}"

        header.Replace("methods:\n", $"methods:\n  p: {method one}\n  q: {method other}\n")
        + train "models: a, datasets: d, methods: [p, q], seeds: 1"
        |> plan
        |> count "reference"

    same 1 (references "" ", beta: 0.5, learning_rate: 1e-4")

    for other in
        [
            ", dtype: bfloat16"
            ", max_length: 77"
            ", max_prompt_length: 77"
            ", truncation: keep_end"
        ] do
        same 2 (references "" other)
