// Every construct of the language, by what it plans.
module PeftAlign.Core.Tests.Language.ConstructTests

open System
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

[<Test>]
let ``a row is the matrix of its axes`` () =
    let plan =
        planned "train:\n  - { models: [a, b], datasets: [d, e, mix], methods: [sft, dpo], adapters: [l8, l16, none] }\n"

    same (2 * 3 * 2 * 3 * 2) (count "train" plan)
    Assert.That((job "train/a/d/dpo/none/s1" plan).Options, Does.Contain "\"adapter\":null")
    Assert.That((job "train/a/d/dpo/l16/s1" plan).Options, Does.Contain "\"rank\":16")

[<Test>]
let ``an adapter axis that says what the method says is the same job`` () =
    let plan =
        planned
            "train:\n  - { models: a, datasets: d, methods: dpo }\n  - { models: a, datasets: d, methods: dpo, adapters: l8 }\n"

    same 2 (count "train" plan)

    (job "train/a/d/dpo/s1" plan).Labels
    |> List.ofSeq
    |> same [ "train/a/d/dpo/l8/s1"; "train/a/d/dpo/s1" ]

[<Test>]
let ``a row's seeds and settings stand over the experiment's`` () =
    let plan =
        planned
            "train:\n  - { models: a, datasets: d, methods: [sft, dpo], seeds: 7, set: { learning_rate: 3e-4, max_steps: 5 } }\n"

    same [ "train/a/d/dpo/s7"; "train/a/d/sft/s7" ] (labels "train" plan)
    let options = (job "train/a/d/sft/s7" plan).Options
    Assert.That(options, Does.Contain "\"learning_rate\":0.0003")
    Assert.That(options, Does.Contain "\"max_steps\":5")
    Assert.That(options, Does.Not.Contain "epochs")

[<Test>]
let ``named rows may hold the same cells with other settings`` () =
    let plan =
        planned
            "train:\n  - { models: a, datasets: d, methods: dpo }\n  - { name: hot, models: a, datasets: d, methods: dpo, set: { beta: 0.5 } }\nevaluate:\n  - { of: { row: hot }, with: { type: mmlu, path: m } }\n"

    same 4 (count "train" plan)
    same [ "evaluate/mmlu/hot/a/d/dpo/s1"; "evaluate/mmlu/hot/a/d/dpo/s2" ] (labels "evaluate" plan)

[<Test>]
let ``stages of chains share what they have in common`` () =
    let plan =
        planned
            """train:
  - models: a
    datasets: d
    methods:
      - sft
      - [sft, dpo]
      - [{ method: sft, until: { epoch: 3 } }, dpo]
      - [{ method: sft, until: { epoch: 6 } }, { method: dpo, dataset: e, adapter: l16 }]
"""
    // For each seed one SFT run, whose points start the others.
    same (2 * 4) (count "train" plan)
    let sft = job "train/a/d/sft/s1" plan
    sft.Keep |> List.ofSeq |> same [ "epoch:3"; "epoch:6" ]
    same "" sft.Until
    let early = job "train/a/d/sft@epoch:3/d/dpo/s1" plan
    Assert.That(early.Options, Does.Contain $"\"policy\":{{\"weights\":{{\"checkpoint\":\"epoch:3\",\"job\":\"{sft.Id}\"}}}}")
    Assert.That((job "train/a/d/sft@epoch:6/e/dpo/l16/s1" plan).Options, Does.Contain "\"path\":\"e.jsonl\"")

[<Test>]
let ``a stage that only hands over stops there`` () =
    let plan =
        planned "train:\n  - { models: a, datasets: d, methods: [[{ method: sft, until: { epoch: 3 } }, dpo]] }\n"

    same "epoch:3" (job "train/a/d/sft/s1" plan).Until

// A step may lie before an epoch or behind it: only the end has both for certain.
[<Test>]
let ``a stage that is asked for at steps and at epochs runs to its end`` () =
    let plan =
        planned
            "train:\n  - { models: a, datasets: d, methods: [[{ method: sft, until: { epoch: 1 } }, dpo]] }\nevaluate:\n  - { of: { method: sft, stage: 1, checkpoints: [20, 3] }, with: { type: mmlu, path: m } }\n"

    let sft = job "train/a/d/sft/s1" plan
    sft.Keep |> List.ofSeq |> same [ "epoch:1"; "step:3"; "step:20" ]
    same "" sft.Until

[<Test>]
let ``handing over at the last step is handing over the end`` () =
    let plan =
        planned "train:\n  - { models: a, datasets: d, methods: [[{ method: dpo, until: { step: 100 } }, sft], [dpo, sft]] }\n"

    same 4 (count "train" plan)

[<Test>]
let ``a mixture holds its parts with their shares`` () =
    let plan =
        planned "train:\n  - { models: a, datasets: mix, methods: dpo, seeds: 1 }\n"

    let options = (job "train/a/mix/dpo/s1" plan).Options
    Assert.That(options, Does.Contain "\"proportion\":0.25")
    Assert.That(options, Does.Contain "\"proportion\":0.75")
    Assert.That(options, Does.Contain "\"map\":{\"prompt\":\"question\"}")
    Assert.That(options, Does.Contain "\"split\":\"train\",\"take\":100")

[<Test>]
let ``a mixture as a list goes by size`` () =
    let plan =
        plan (
            header.Replace("{ d: 1, e: 3 }", "[d, e]")
            + "train:\n  - { models: a, datasets: mix, methods: dpo }\n"
        )

    Assert.That((job "train/a/mix/dpo/s1" plan).Options, Does.Not.Contain "proportion")

/// What a mixture is called, the order of its parts and the scale of its proportions change no id; what is in it does.
[<Test>]
let ``a mixture is what it holds`` () =
    let id (mixture: string) =
        let plan =
            plan (
                header.Replace("mixture: { d: 1, e: 3 }", mixture)
                + "train:\n  - { models: a, datasets: mix, methods: dpo, seeds: 1 }\n"
            )

        (job "train/a/mix/dpo/s1" plan).Id

    let mixed = id "mixture: { d: 1, e: 3 }"
    same mixed (id "mixture: { e: 3, d: 1 }")
    same mixed (id "mixture: { d: 0.25, e: 0.75 }")
    same (id "mixture: { d: 0.1, e: 0.7 }") (id "mixture: { e: 0.7, d: 0.1 }")
    same (id "mixture: [d, e]") (id "mixture: [e, d]")

    let others =
        [
            mixed
            id "mixture: { d: 1, e: 2 }"
            id "mixture: [d, e]"
            id "mixture: { d: 1, e: 3 }, take: 10"
            id "mixture: { d: 1 }"
        ]

    same others.Length (List.distinct others).Length

[<Test>]
let ``selections go by axis and tag and take the last stage unless told`` () =
    let rows =
        "train:\n  - { models: [a, b], datasets: [d, e], methods: [[sft, dpo]], tags: main }\nevaluate:\n  - { of: SELECTION, with: { type: mmlu, path: m } }\n"

    let selected selection =
        labels "evaluate" (planned (rows.Replace("SELECTION", selection)))

    same 8 (selected "{ method: dpo }").Length
    same [ "evaluate/mmlu/a/d/sft/s2" ] (selected "{ model: a, dataset: d, seed: 2, stage: 1 }")
    same 16 (selected "{ stage: [1, 2], tag: main }").Length
    same 4 (selected "{ tag: news }").Length
    same 4 (selected "{ tag: small, adapter: l8 }").Length
    same 8 (selected "{ method: [[sft, dpo]] }").Length
    same [ "evaluate/mmlu/b" ] (selected "{ kind: untouched, model: b }")
    same 10 (selected "[untouched, { method: dpo }, { method: [[sft, dpo]] }]").Length

[<Test>]
let ``a policy of a method with controls is evaluated under each, and no other is`` () =
    let methods =
        "  meet: { type: meet, adapter: l8, eval_data: e, select: { by: eval_loss }, learning_rate: { grid: [0.1, 0.2] } }\njudges:"

    let rows (of': string) =
        header.Replace("judges:", methods)
        + $"train:\n  - {{ models: [a], datasets: d, methods: [sft, meet, [meet, sft]] }}\nevaluate:\n  - {{ of: {of'}, with: {{ type: mmlu, path: m }}, control: [good, bad] }}\n"

    let plan = plan (rows "{ method: [[meet]] }")

    same
        [
            for seed in 1..2 do
                for control in [ "bad"; "good" ] -> $"evaluate/mmlu/a/d/meet[best]/s{seed}/{control}"
        ]
        (labels "evaluate" plan)

    Assert.That((ofKind "evaluate" plan |> List.head).Options, Does.Contain "\"control\":\"good\"")
    // What the last training was counts, not those before it.
    expect
        22
        "'a/d/sft/s1' has no controls \\(nor have 3 more\\), and the row asks under good, bad"
        (faults (rows "{ method: sft }"))
    // A folder may hold controls; the host looks.
    same 4 (count "evaluate" (TestManifests.plan (rows "untouched")))

[<Test>]
let ``benchmarks may stand at a row, a merge or the experiment`` () =
    let plan =
        planned
            """train:
  - { models: a, datasets: [d, e], methods: dpo, evaluate: [{ type: mmlu, path: m, shots: 5 }] }
merge:
  - { name: m, method: slerp, of: { method: dpo }, across: dataset, parameters: { t: 0.5 }, evaluate: [{ type: bbh, path: b }] }
evaluate:
  - { of: merged, with: [{ type: mmlu, path: m, name: mmlu-0 }] }
"""

    same (4 + 2 + 2) (count "evaluate" plan)
    Assert.That((job "evaluate/mmlu-0/m/a/dpo/s1" plan).Options, Does.Not.Contain "control")
    Assert.That((job "evaluate/bbh/m/a/dpo/s2" plan).Options, Does.Contain "\"shots\":0")

[<Test>]
let ``grids make variants, select keeps one`` () =
    let grid =
        header
            .Replace("max_steps: 100", "max_steps: 100, beta: { grid: [0.1, 0.2] }")
            .Replace("rank: 8", "rank: { grid: [4, 8] }")
        + "train:\n  - { models: a, datasets: d, methods: dpo, seeds: 1 }\nevaluate:\n  - { of: trained, with: { type: alpaca_eval, path: p, judge: tox, temperature: { grid: [0, 1] } } }\n"

    let all = plan grid

    labels "train" all
    |> same
        [
            for beta in [ "0.1"; "0.2" ] do
                for rank in [ "4"; "8" ] -> $"train/a/d/dpo[beta={beta},rank={rank}]/s1"
        ]

    same 8 (count "evaluate" all)

    let best =
        grid.Replace("max_steps: 100,", "max_steps: 100, eval_data: e, select: { by: eval_loss },")

    let chosen = plan best
    same 4 (count "train" chosen)
    same [ "select/a/d/dpo[best]/s1" ] (labels "select" chosen)
    let select = (ofKind "select" chosen).Head
    same (ofKind "train" chosen |> List.map _.Id |> List.sort) (select.DependsOn |> Seq.sort |> List.ofSeq)
    Assert.That(select.Options, Does.Contain "\"by\":\"eval_loss\"")
    Assert.That(select.Options, Does.Contain "\"largest\":false")
    same 2 (count "evaluate" chosen)
    Assert.That((job "evaluate/alpaca_eval[temperature=1]/a/d/dpo[best]/s1" chosen).DependsOn, Does.Contain select.Id)

[<Test>]
let ``select without a grid or without its metric is a fault`` () =
    let text =
        header.Replace("max_steps: 100", "max_steps: 100, select: { by: eval_loss }")

    let found = faults text
    expect 15 "there is no \\{ grid" found
    expect 15 "measured on eval_data" found

[<Test>]
let ``reference log-probabilities are one job for all that share them`` () =
    let text =
        header.Replace("max_steps: 100", "max_steps: 100, precompute_reference: true, beta: { grid: [0.1, 0.2] }")
        + "train:\n  - { models: a, datasets: d, methods: dpo }\n"

    let plan = plan text
    same 4 (count "train" plan)
    same 1 (count "reference" plan)
    let reference = (ofKind "reference" plan).Head

    for train in ofKind "train" plan do
        train.DependsOn |> List.ofSeq |> same [ reference.Id ]

[<Test>]
let ``an option of other methods' losses may stand at its default`` () =
    let text value =
        header.Replace("max_steps: 100", $"max_steps: 100, label_smoothing_factor: {value}")
        + "train:\n  - { models: a, datasets: d, methods: dpo }\n"

    same (plan (text "null")).Jobs.Count (plan (text "0")).Jobs.Count
    expect 15 "has no option 'label_smoothing_factor'" (faults (text "1e-9"))

[<Test>]
let ``options that cut rows are faults where rows are scored`` () =
    let text options =
        "peftalign: 1\nmodels:\n  a: { path: a }\ndatasets:\n  d: { reader: synthetic, rows: 4 }\nmethods:\n  rm: { type: reward, max_steps: 3"
        + options
        + " }\ntrain:\n  - { models: a, datasets: d, methods: rm }\n"

    let found =
        faults (text ", max_prompt_length: 64, truncation_mode: { grid: [keep_start, keep_end] }")

    expect 7 "'max_prompt_length' is .*64.* rows longer than max_length are left out whole; remove it" found
    expect 7 "'truncation_mode' is .* remove it" found
    same 1 (count "train" (plan (text ", truncation: keep_start")))

[<Test>]
let ``models, judges, tokenizers and data sets are made in the run`` () =
    let plan =
        plan
            """peftalign: 1
seeds: [1, 2]
models:
  tiny: { init: llama, set: { hidden_size: 32 }, tokenizer: { train: text, size: 512 }, seed: 3 }
  taught: { run: { model: tiny, method: sft }, chat_template: templates/mine.jinja }
datasets:
  text: { reader: synthetic, rows: 10 }
  sampled: { reader: sampled-pairs, prompts: text, model: taught, temperature: 0.7 }
methods:
  sft: { type: sft, max_steps: 3 }
  dpo: { type: dpo, max_steps: 3 }
  rm: { type: reward, max_steps: 3 }
judges:
  rm: { run: { method: rm, seed: 1 } }
  toy: { init: llama, tokenizer: bytes, type: classifier, batch_size: 4 }
train:
  - { models: tiny, datasets: text, methods: [sft, rm] }
  - { models: taught, datasets: sampled, methods: dpo }
evaluate:
  - { of: { method: dpo }, with: [{ type: winrate, path: p, judge: rm, baseline: taught }, { type: real_toxicity, path: p, judge: toy }] }
"""

    same 2 (count "make-model" plan)
    // The sampled pairs differ from seed to seed, as the model that they come from does.
    same [ "make-dataset/sampled/s1"; "make-dataset/sampled/s2" ] (labels "make-dataset" plan)
    let sft = job "train/tiny/text/sft/s2" plan
    let pairs = job "make-dataset/sampled/s2" plan
    pairs.DependsOn |> List.ofSeq |> same [ sft.Id ]
    let dpo = job "train/taught/sampled/dpo/s2" plan
    same (Set [ sft.Id; pairs.Id ]) (set dpo.DependsOn)
    Assert.That(dpo.Options, Does.Contain "\"chat_template\":\"templates/mine.jinja\"")
    let win = job "evaluate/winrate/taught/sampled/dpo/s2" plan
    same (Set [ dpo.Id; sft.Id; (job "train/tiny/text/rm/s1" plan).Id ]) (set win.DependsOn)
    Assert.That((job "make-model/tiny" plan).Options, Does.Contain "\"tokenizer\":{\"size\":512,\"train\":{\"reader\"")

[<Test>]
let ``a job names the plugins that it loads, and no others`` () =
    let plan =
        plan
            """peftalign: 1
seeds: [1]
models:
  a: { path: a }
datasets: { d: { reader: jsonl, path: d }, e: { reader: hh-rlhf, path: e } }
adapters: { q: { type: qlora } }
methods: { sft: { type: sft, adapter: q, max_steps: 3 }, dpo: { type: dpo, adapter: q, max_steps: 3 } }
judges: { tox: { type: classifier, path: t } }
train:
  - { models: a, datasets: [d, e], methods: [sft, [sft, dpo]] }
merge:
  - { name: m, method: slerp, of: { method: dpo }, across: dataset, parameters: { t: 0.5 } }
evaluate:
  - { of: [untouched, trained, merged], with: { type: real_toxicity, path: p, judge: tox } }
"""

    let plugins label = (job label plan).Plugins |> List.ofSeq
    same [ "data"; "methods.sft"; "peft.lora"; "peft.qlora" ] (plugins "train/a/d/sft/s1")
    same [ "data"; "methods.dpo"; "peft.lora"; "peft.qlora" ] (plugins "train/a/d/sft/d/dpo/s1")
    same [ "merge.slerp"; "peft.lora"; "peft.qlora" ] (plugins "merge/m/a/sft>dpo/s1")
    same [ "eval" ] (plugins "evaluate/real_toxicity/m/a/sft>dpo/s1")
    same [ "eval"; "peft.lora"; "peft.qlora" ] (plugins "evaluate/real_toxicity/a/d/sft/s1")
    same [ "eval" ] (plugins "evaluate/real_toxicity/a")

[<Test>]
let ``a job that several rows share stands in all of their places`` () =
    let text =
        "train:\n  - { models: a, datasets: d, methods: dpo, seeds: 1 }\n  - { name: again, models: a, datasets: d, methods: dpo, seeds: 1 }\n"

    let shared = job "train/again/a/d/dpo/s1" (planned text)
    same [ "train/a/d/dpo/s1"; "train/again/a/d/dpo/s1" ] (List.ofSeq shared.Labels)
    same [ false; true ] [ for place in shared.Places -> place.ContainsKey "row" ]

[<Test>]
let ``a judge made in the run is one model, not one for each seed`` () =
    let text =
        "peftalign: 1\nseeds: [1, 2]\nmodels: { a: { path: a } }\ndatasets: { d: { reader: jsonl, path: d } }\nmethods: { rm: { type: reward } }\njudges:\n  rm: { run: { method: rm } }\ntrain:\n  - { models: a, datasets: d, methods: rm }\nevaluate:\n  - { of: untouched, with: { type: real_toxicity, path: p, judge: rm } }\n"

    expect 7 "must mean one policy and finds 2.*add an axis such as seed" (faults text)

[<Test>]
let ``grids of a quantisation make variants, and only runs over equal weights share a group`` () =
    let plan =
        plan (
            header.Replace("adapters:\n", "adapters:\n  q: { type: qlora, blocksize: { grid: [64, 128] } }\n")
            + "train:\n  - { models: a, datasets: d, methods: sft, adapters: [l8, l16, q], seeds: 1 }\nevaluate:\n  - { of: [untouched, trained], with: { type: mmlu, path: m } }\n"
        )

    same
        [
            "train/a/d/sft/l16/s1"
            "train/a/d/sft/l8/s1"
            "train/a/d/sft[blocksize=128]/q/s1"
            "train/a/d/sft[blocksize=64]/q/s1"
        ]
        (labels "train" plan)

    Assert.That((job "train/a/d/sft[blocksize=128]/q/s1" plan).Options, Does.Contain "\"blocksize\":128")

    let group label =
        (job ("evaluate/mmlu/" + label) plan).Group

    same (group "a") (group "a/d/sft/l8/s1")
    same (group "a") (group "a/d/sft/l16/s1")

    same
        4
        ([ "a"; "b"; "a/d/sft[blocksize=128]/q/s1"; "a/d/sft[blocksize=64]/q/s1" ]
         |> List.map group
         |> List.distinct
         |> List.length)
