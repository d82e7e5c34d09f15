// Details of plans that only some manifests show: what shares a job and what does not, which of several names and values wins.
module PeftAlign.Core.Tests.Language.PlanDetailTests

open System
open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

let private train (row: string) = $"train:\n  - {{ {row} }}\n"

let private contains (part: string) (job: PlanJob) =
    Assert.That(job.Options, Does.Contain part, job.Label)

/// transformers' get_*_schedule, by their definitions.
[<TestCase("linear", 0, 0, 10, 1.0)>]
[<TestCase("linear", 12, 0, 10, 0.0)>]
[<TestCase("linear", 10, 9, 10, 0.0)>]
[<TestCase("linear", 3, 4, 10, 0.75)>]
[<TestCase("cosine", 6, 2, 10, 0.5)>]
[<TestCase("constant", 0, 4, 10, 1.0)>]
[<TestCase("constant_with_warmup", 2, 4, 10, 0.5)>]
[<TestCase("inverse_sqrt", 30000, 0, 40000, 0.5)>]
[<TestCase("inverse_sqrt", 16, 4, 40, 0.5)>]
let ``a schedule's factor is its definition's`` (name: string, step: int, warmup: int, total: int, expected: float) =
    Assert.That(Schedules.Factor(name, step, warmup, total), Is.EqualTo(expected).Within 1e-12)

[<TestCase(0, 0.1, 25, 3)>]
[<TestCase(0, 0.0, 25, 0)>]
[<TestCase(7, 0.1, 100, 7)>]
let ``a share of the steps warms up, rounded up`` (steps: int, ratio: float, total: int, expected: int) =
    same expected (Schedules.WarmupSteps(steps, ratio, total))

[<TestCase("*ab", "xab", true)>]
[<TestCase("*aab", "aaab", true)>]
[<TestCase("a?c*", "abc", true)>]
[<TestCase("a?c*d", "abcxxd", true)>]
[<TestCase("*ab", "xac", false)>]
[<TestCase("a", "ab", false)>]
let ``a pattern's star takes as much as it must`` (pattern: string, label: string, expected: bool) =
    same expected (Plans.Matches(pattern, label))

// ---- what is one job ----

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

// ---- plugins ----

/// Models of folder a are computed by acme.zoo.
let private planOverZoo text =
    let partsOf =
        Func<string, IReadOnlyList<FolderPart>>(fun path ->
            [|
                if path = "models/a" then
                    {
                        Plugin = "acme.zoo"
                        Name = "mine"
                        ResultVersion = 1
                    }
            |])

    (Plans.Create(experiment text, byName, false, partsOf)).Plan |> nonNull

[<Test>]
let ``what loads a chosen or merged policy loads its plugins`` () =
    let plan =
        header.Replace("max_steps: 100", "max_steps: 100, beta: { grid: [0.1, 0.2] }, eval_data: e, select: { by: eval_loss }")
        + train "models: a, datasets: [d, e], methods: [dpo, sft], seeds: 1"
        + "merge:\n  - { name: both, method: dare_linear, of: { method: sft }, across: dataset }\n"
        + "evaluate:\n  - { of: [trained, merged], with: { type: mmlu, path: m } }\n"
        |> planOverZoo

    let plugins label = (job label plan).Plugins |> List.ofSeq

    same [ "acme.zoo"; "eval"; "peft.lora" ] (plugins "evaluate/mmlu/a/d/dpo[best]/s1")

    let merged =
        labels "evaluate" plan |> List.filter (fun label -> label.Contains "both")

    same [ "acme.zoo"; "eval" ] (merged |> List.exactlyOne |> plugins)

[<Test>]
let ``another result version of a judge renews what it judges`` () =
    let text =
        header
        + "evaluate:\n  - { of: untouched, with: [{ type: alpaca_eval, path: p, judge: tox }, { type: mmlu, path: m }] }\n"

    let planBy version =
        let raise' (contract: ContractSchema) =
            if contract.Kind = "judge" then
                { contract with
                    ResultVersion = version
                }
            else
                contract

        let catalogue: Catalogue =
            {
                Plugins =
                    [|
                        for plugin in TestCatalogue.plugins do
                            { plugin with
                                Provides = plugin.Provides |> Seq.map raise' |> Array.ofSeq
                            }
                    |]
            }

        let read = Manifests.Read(text, "m.yaml", catalogue, [||])
        (Plans.Create(nonNull read.Experiment, byName)).Plan |> nonNull

    let before, after = planBy 1, planBy 2

    for label, stays in [ "evaluate/alpaca_eval/a", false; "evaluate/mmlu/a", true ] do
        same stays ((job label before).Id = (job label after).Id)

// ---- merges ----

[<Test>]
let ``a merge of several models stands under its base`` () =
    let plan =
        header
        + train "models: [a, b], datasets: d, methods: sft, seeds: 1"
        + "merge:\n  - { name: both, method: dare_linear, of: { method: sft }, across: model, base_model: a }\n"
        |> plan

    same [ "merge/both/a/d/sft/s1" ] (labels "merge" plan)

[<Test>]
let ``parents that differ in none of the axes are a fault`` () =
    let rows =
        "train:\n  - { name: low, models: a, datasets: d, methods: dpo, set: { beta: 0.2 } }\n  - { name: high, models: a, datasets: d, methods: dpo, set: { beta: 0.3 } }\n"

    let merge across =
        $"merge:\n  - {{ name: all, method: dare_linear, of: {{ method: dpo }}, across: {across} }}\n"

    let said =
        faults (header + rows + merge "seed")
        |> List.map _.Message
        |> String.concat "\n"

    Assert.That(said, Does.Contain "across seed gathers parents that differ in none of these axes")
    same [] (faults (header + rows + merge "[seed, row]"))

[<Test>]
let ``a merged policy has no controls`` () =
    let text =
        header
        + train "models: a, datasets: [d, e], methods: sft, seeds: 1"
        + "merge:\n  - { name: both, method: dare_linear, of: { method: sft }, across: dataset }\n"
        + "evaluate:\n  - { of: merged, with: { type: mmlu, path: m }, control: good }\n"

    Assert.That((faults text |> List.exactlyOne).Message, Does.Contain "has no controls, and the row asks under good")

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
