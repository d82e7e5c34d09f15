// Which of several values, names and limits counts where a manifest says more than one.
module PeftAlign.Core.Tests.Language.PlanDetailTests

open System
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

let private contains (part: string) (job: PlanJob) =
    Assert.That(job.Options, Does.Contain part, job.Label)

// ---- which of several values wins ----

[<Test>]
let ``each row has its own set`` () =
    let plan =
        plan (
            header
            + "train:\n  - { name: low, models: a, datasets: d, methods: dpo, seeds: 1, set: { beta: 0.2 } }\n"
            + "  - { name: high, models: a, datasets: d, methods: dpo, seeds: 1, set: { beta: 0.3 } }\n"
        )

    job "train/low/a/d/dpo/s1" plan |> contains "\"beta\":0.2"
    job "train/high/a/d/dpo/s1" plan |> contains "\"beta\":0.3"

[<Test>]
let ``a stage's adapter goes before its row's`` () =
    let plan =
        plan (
            header
            + train "models: a, datasets: d, methods: [[{ method: dpo, adapter: l16 }]], adapters: l8, seeds: 1"
        )

    ofKind "train" plan |> List.exactlyOne |> contains "\"rank\":16"

[<Test>]
let ``a run's model has its own chat template before that of what it was trained from`` () =
    let plan =
        header.Replace(
            "datasets:\n",
            "  t: { run: { model: b, dataset: d, method: sft, seed: 1 }, chat_template: zephyr }\ndatasets:\n"
        )
        + "train:\n  - { models: b, datasets: d, methods: sft }\n  - { models: t, datasets: d, methods: dpo }\n"
        |> plan

    job "train/b/d/sft/s1" plan |> contains "\"chat_template\":\"vicuna\""
    let first = job "train/b/d/sft/s1" plan

    // The selection names its seed: both seeds go on from it.
    for seed in [ 1; 2 ] do
        let next = job $"train/t/d/dpo/s{seed}" plan
        contains "\"chat_template\":\"zephyr\"" next
        same [ first.Id ] (List.ofSeq next.DependsOn)

[<Test>]
let ``the base that a chain refers to is the declared model`` () =
    let plan =
        plan (
            header.Replace("max_steps: 100 }", "max_steps: 100, reference: base }")
            + train "models: b, datasets: d, methods: [[sft, dpo]], seeds: 1"
        )

    job "train/b/d/sft/d/dpo/s1" plan
    |> contains "\"base_policy\":{\"chat_template\":\"vicuna\",\"weights\":\"models/b\"}"

[<Test>]
let ``without a length a method trains three epochs`` () =
    let plan =
        plan (
            header.Replace("type: sft, epochs: 9", "type: sft")
            + train "models: a, datasets: d, methods: sft, seeds: 1"
        )

    ofKind "train" plan |> List.exactlyOne |> contains "\"epochs\":3"

// ---- axes and tags ----

[<Test>]
let ``axes tell stages, and variants of all of them`` () =
    let plan =
        plan (
            header
                .Replace("epochs: 9", "epochs: { grid: [1, 2] }")
                .Replace("max_steps: 100", "max_steps: 100, beta: { grid: [0.1, 0.2] }")
            + train "models: a, datasets: d, methods: [[sft, dpo]], seeds: 1"
        )

    let stages =
        ofKind "train" plan
        |> List.map (fun job -> job.Axes["stage"], job.Axes["variant"])
        |> List.sort

    same
        [
            "1", "epochs=1"
            "1", "epochs=2"
            "2", "epochs=1;beta=0.1"
            "2", "epochs=1;beta=0.2"
            "2", "epochs=2;beta=0.1"
            "2", "epochs=2;beta=0.2"
        ]
        stages

[<Test>]
let ``a policy has the tags of its method and of every row that makes it`` () =
    let evaluated tag =
        header.Replace("max_steps: 100", "max_steps: 100, tags: [strong]")
        + "train:\n  - { models: a, datasets: d, methods: [dpo, sft], seeds: 1, tags: one }\n  - { models: a, datasets: d, methods: dpo, seeds: 1, tags: two }\n"
        + $"evaluate:\n  - {{ of: {{ tag: {tag} }}, with: {{ type: mmlu, path: m }} }}\n"
        |> plan
        |> labels "evaluate"

    for tag in [ "strong"; "two" ] do
        same [ "evaluate/mmlu/a/d/dpo/s1" ] (evaluated tag)

    same 2 (evaluated "one").Length

// ---- limits ----

[<Test>]
let ``a stage may hand over at its last epoch, and each chain's point is looked at`` () =
    let chains first second =
        header
        + train $"models: a, datasets: d, seeds: 1, methods: [[{first}, dpo], [{second}, dpo]]"

    same [] (faults (chains "{ method: sft, until: { epoch: 9 } }" "sft"))

    let said =
        faults (chains "{ method: dpo, until: { step: 10 } }" "{ method: dpo, until: { step: 500 } }")
        |> List.map _.Message

    same [ "step 500 lies beyond max_steps 100" ] said

[<Test>]
let ``a choice needs two values, of the method's own adapter if of nothing else`` () =
    let chosen (adapter: string) more =
        header
            .Replace("l8: { type: lora, rank: 8 }", $"l8: {{ type: lora, rank: {adapter} }}")
            .Replace("max_steps: 100 }", "max_steps: 100, eval_data: e, select: { by: eval_loss } }")
        + train $"models: a, datasets: d, methods: dpo, seeds: 1{more}"

    same 1 (count "select" (plan (chosen "{ grid: [4, 8] }" "")))
    same 1 (count "select" (plan (chosen "8" ", set: { beta: { grid: [0.1, 0.2] } }")))

[<Test>]
let ``trainings are counted with their seeds before any is planned`` () =
    let rates = String.Join(", ", [ for k in 1..1000 -> $"{k}e-6" ])
    let seeds count = String.Join(", ", seq { 1..count })

    let text count =
        header.Replace("epochs: 9", $"epochs: 9, learning_rate: {{ grid: [{rates}] }}")
        + train $"models: [a, b], datasets: d, methods: sft, seeds: [{seeds count}]"

    Assert.That((faults (text 60) |> List.exactlyOne).Message, Does.Contain "make 120000 training runs; the limit is 100000")
    Assert.That((read [] (text 50)).Faults, Is.Empty, "100000 are allowed, and 1000 values of a grid")

[<Test>]
let ``two lengths of a warm-up, and a grid where none may stand, are faults`` () =
    let warm =
        header.Replace("epochs: 9", "epochs: 9, warmup_steps: 5, warmup_ratio: 0.1")
        + train "models: a, datasets: d, methods: sft"

    expect 14 "say the same thing in two ways" (faults warm)

    let made =
        header.Replace("  b: {", "  c: { init: llama, set: { hidden_size: { grid: [32, 64] } }, tokenizer: bytes }\n  b: {")

    expect 5 "expected an integer" (faults made)
