// All faults at once: a manifest with many mistakes names each of them with its line, and nothing else.
module PeftAlign.Core.Tests.Language.FaultTests

open System
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

let private many =
    """peftalign: 1
name: 7
seeds: [1, two]
models:
  tiny: { init: lama, tokenizer: bytes }
  base: { path: models/base, chat_tempalte: vicuna }
  base: { path: models/other }
datasets:
  good: { reader: jsonl, path: a.jsonl, take: 0 }
  half: { mixture: { good: 0.5, bad: 0.5 } }
  deep: { reader: hh-rlhf, path: hh, rule: harmles }
adapters:
  a8: { type: lora, rank: 0 }
  a9: { type: lora, rank: 4, alpa: 8 }
methods:
  sft: { type: sft, adapter: a7, learning_rate: fast }
  dpo: { type: dpo, max_steps: 10, epochs: 2 }
judges:
  tox: { type: classifier }
train:
  - { models: bas, datasets: good, methods: sft }
  - { models: base, datasets: good, methods: [[dpo, { method: dpo, until: { step: 3 } }]] }
  - { models: base, datasets: good }
merge:
  - { name: m, method: slerp, of: { model: base }, across: data, parameters: { t: 2 } }
evaluate:
  - { of: trained, with: { type: mmlu, shots: -1, path: m } }
  - { of: everything, with: [] }
reprot: {}
"""

let private expected =
    [
        2, "expected text, not an integer '7'; put it in quotes"
        3, "expected an integer in \\[0,\\), not text 'two'"
        5, "no architecture 'lama'.*did you mean 'llama'"
        6, "unknown key 'chat_tempalte'; did you mean 'chat_template'"
        7, "'base' is given twice, first on line 6"
        9, "0 is out of range; it must lie in \\[1,\\)"
        10, "no dataset 'bad'"
        11, "'harmles' is not one of .*did you mean 'harmless'"
        13, "0 is out of range"
        14, "no option 'alpa'; did you mean 'alpha'"
        16, "no adapter 'a7'"
        16, "expected a number in \\[0,\\), not text 'fast'"
        17, "'epochs' and 'max_steps'"
        19, "needs the option 'path'"
        21, "no model 'bas' under models; did you mean 'base'"
        22, "'until' hands over"
        23, "the key 'methods' is missing"
        25, "'data' is not one of model \\| dataset"
        25, "2 is out of range; it must lie in \\[0,1\\]"
        27, "-1 is out of range"
        28, "'everything' is not one of untouched"
        28, "the list is empty"
        29, "unknown key 'reprot'; did you mean 'report'"
    ]

[<Test>]
let ``23 faults are all found, each on its line, in order, and no other`` () =
    let found = List.ofSeq (read [] many).Faults

    for line, message in expected do
        expect line message found

    found |> List.map _.Line |> same (expected |> List.map fst)
    Assert.That(found |> List.forall (fun fault -> fault.Column > 0), Is.True)

[<Test>]
let ``a fault says where it stands in the document`` () =
    let found = (read [] many).Faults |> Seq.find (fun fault -> fault.Line = 13)
    same "adapters.a8.rank" found.Path
    same 27 found.Column
    same "13:27: adapters.a8.rank: 0 is out of range; it must lie in [1,)" (string found)

let private header =
    "peftalign: 1\nseeds: [1, 2]\nmodels: { a: { path: a }, b: { path: b } }\n"
    + "datasets: { d: { reader: jsonl, path: d.jsonl }, e: { reader: jsonl, path: e.jsonl } }\n"
    + "adapters: { l: { type: lora } }\n"
    + "methods: { sft: { type: sft, max_steps: 10 }, dpo: { type: dpo, adapter: l, epochs: 2 } }\n"
    + "judges: { tox: { type: classifier, path: t } }\n"

/// Text after the header (its first line is line 8), the fault's line, what it says.
let private single =
    [
        "train: [{ models: a, datasets: d, methods: sft }]\nmerge: [{ name: m, method: slerp, of: { model: b }, across: dataset, parameters: { t: 0.5 } }]",
        9,
        "the selection finds nothing"
        "train: [{ models: a, datasets: [d, e], methods: sft }]\nmerge: [{ name: m, method: slerp, of: { dataset: d }, across: dataset, parameters: { t: 0.5 } }]",
        9,
        "finds one parent alone"
        "train: [{ models: [a, b], datasets: [d, e], methods: sft }]\nmerge: [{ name: m, method: slerp, of: { method: sft }, across: [dataset, model], parameters: { t: 0.5 } }]",
        9,
        "takes \\[2,2\\] models and merge 'm' gathers 4"
        "train: [{ models: [a, b], datasets: [d, e], methods: sft }]\nmerge: [{ name: m, method: dare_ties, of: { method: sft }, across: [dataset, model] }]",
        9,
        "no common base"
        "train: [{ name: one, models: a, datasets: d, methods: sft }, { name: two, models: a, datasets: d, methods: sft }]\nmerge: [{ name: m, method: slerp, of: { method: sft, seed: 1 }, across: row, parameters: { t: 0.5 } }]",
        9,
        "gathers one model by 2 names: one/.*, two/.* have the same settings and are one job"
        "train: [{ models: a, datasets: [d, e], methods: sft }]\nmerge: [{ name: m, method: slerp, of: { merge: m }, across: dataset, parameters: { t: 0.5 } }]",
        9,
        "made of itself"
        "train: [{ models: a, datasets: [d, e], methods: sft }]\nmerge: [{ name: m, method: slerp, of: { method: sft }, across: dataset, parameters: { t: 0.5 }, rescale: l1 }]",
        9,
        "no option 'rescale'"
        "train:\n  - { models: a, datasets: d, methods: sft }\n  - { models: a, datasets: d, methods: sft, set: { max_steps: 5 } }",
        10,
        "other settings; give one of them a name"
        "train: [{ models: a, datasets: d, methods: sft, set: { beta: 1 } }]", 8, "the method 'sft' has no option 'beta'"
        "train: [{ models: a, datasets: d, methods: dpo, set: { label_smoothing_factor: 0.1 } }]",
        8,
        "the method 'dpo' has no option 'label_smoothing_factor'; did you mean 'label_smoothing'\\?"
        "train: [{ models: a, datasets: d, methods: dpo, set: { label_smoothing_factor: { grid: [0, 0.1] } } }]",
        8,
        "the method 'dpo' has no option 'label_smoothing_factor'"
        "train: [{ models: a, datasets: d, methods: [[{ method: sft, until: { step: 11 } }, dpo]] }]",
        8,
        "step 11 lies beyond max_steps 10"
        "train: [{ models: a, datasets: d, methods: [[{ method: dpo, until: { epoch: 3 } }, sft]] }]",
        8,
        "epoch 3 lies beyond epochs 2"
        "train: [{ models: a, datasets: d, methods: [[{ method: sft, until: { epoch: 1 } }, dpo]] }]", 8, "counts in steps"
        "train: [{ models: a, datasets: d, methods: sft }]\nevaluate: [{ of: { model: a, checkpoints: [20] }, with: { type: mmlu, path: m } }]",
        9,
        "step 20 lies beyond"
        "train: [{ models: a, datasets: [d, e], methods: sft }]\nmerge: [{ name: m, method: slerp, of: { model: a }, across: dataset, parameters: { t: 0.5 } }]\nevaluate: [{ of: { merge: m, checkpoints: 5 }, with: { type: mmlu, path: m } }]",
        10,
        "'m/a/sft/s1' has no checkpoints"
        "train: [{ models: a, datasets: d, methods: sft }]\nevaluate: [{ of: { tag: x }, with: { type: mmlu, path: m } }]",
        9,
        "no tag 'x'"
        "train: [{ models: a, datasets: d, methods: sft }]\nevaluate: [{ of: { seed: 3 }, with: { type: mmlu, path: m } }]",
        9,
        "there is no seed '3' under seeds; did you mean '1'\\?"
        "train: [{ models: a, datasets: d, methods: sft }]\nevaluate: [{ of: trained, with: { type: real_toxicity, path: m, judge: tx } }]",
        9,
        "no judge 'tx' under judges; did you mean 'tox'"
        "train: [{ models: a, datasets: d, methods: sft }]\nevaluate: [{ of: trained, with: { type: winrate, path: m, judge: tox, baseline: c } }]",
        9,
        "no model 'c'"
        "train:\n  - { name: r, models: a, datasets: d, methods: sft }\n  - { name: r, models: b, datasets: d, methods: sft }",
        10,
        "the row 'r' is named twice, first on line 9"
        "train: [{ models: a, datasets: d, methods: sft, seeds: [-1] }]", 8, "-1 is out of range"
        "train: [{ models: a, datasets: d, methods: [sft, { method: sft, until: { step: 1, epoch: 1 } }] }]",
        8,
        "unknown key 'epoch'"
    ]

[<Test>]
let ``what only the whole manifest shows is found too`` () =
    for text, line, message in single do
        let found = faults (header + text + "\n")
        Assert.That(found.Length, Is.EqualTo 1, text + "\n" + String.Join("\n", found))
        expect line message found

[<Test>]
let ``a model of the run may be a checkpoint, if training reaches it`` () =
    let at step =
        header.Replace("b: { path: b }", $"b: {{ run: {{ model: a, method: sft, checkpoints: {step} }} }}")
        + "train: [{ models: a, datasets: d, methods: sft }, { models: b, datasets: e, methods: dpo }]\n"

    expect 3 "step 11 lies beyond max_steps 10 of a/d/sft/s1" (faults (at 11))
    let plan = plan (at 5)
    same [ "step:5" ] (List.ofSeq (job "train/a/d/sft/s2" plan).Keep)
    Assert.That((job "train/b/e/dpo/s2" plan).Options, Does.Contain "\"checkpoint\":\"step:5\"")

[<Test>]
let ``every selection that finds nothing is named`` () =
    let nothing selection =
        $"{{ of: {{ {selection} }}, with: {{ type: mmlu, path: m }} }}"

    let evaluate = nothing "model: b" + "\n  - " + nothing "dataset: e"

    let rows =
        "train: [{ models: a, datasets: d, methods: sft }]\nevaluate:\n  - "
        + evaluate
        + "\n"

    let found = faults (header + rows)
    same [ 10; 11 ] (found |> List.map _.Line)

[<Test>]
let ``an option that the others make meaningless is refused`` () =
    let sft = "methods:\n  m: { type: sft, OPTIONS }\n"

    let withOptions (options: string) =
        (read
            []
            ("peftalign: 1\ndatasets: { d: { reader: jsonl, path: d } }\n"
             + sft.Replace("OPTIONS", options)))
            .Faults
        |> List.ofSeq

    for options, message in
        [
            "packing_strategy: wrapped", "'packing_strategy' is used with packing true only, and packing is false"
            "warmup_ratio: 0.1, lr_scheduler: constant",
            "used with lr_scheduler linear | cosine .* only, and lr_scheduler is constant"
            "adam_beta1: 0.8, optim: sgd", "used with optimizer adamw"
            "eval_every: 10", "'eval_every' is used with eval_data only, and there is no eval_data"
            "per_device_eval_batch_size: 4", "'eval_batch_size' is used with eval_data only"
            "eval_packing: true", "'eval_packing' is used with eval_data only"
        ] do
        expect 4 (message.Replace(" | ", " \\| ")) (withOptions options)

    for options in
        [
            "packing_strategy: wrapped, packing: true"
            "warmup_ratio: 0.1"
            "warmup_ratio: null, lr_scheduler: constant"
            "eval_steps: 10, eval_data: d"
        ] do
        same [] (withOptions options)

// The loop counts in 32 bits and computes in float32.
[<Test>]
let ``numbers that the loop cannot hold are refused`` () =
    let withOption (option: string) =
        (read
            []
            ("peftalign: 1\ndatasets: { d: { reader: jsonl, path: d } }\n"
             + $"methods:\n  m: {{ eval_data: d, {option} }}\n"))
            .Faults
        |> List.ofSeq

    for name in
        [
            "warmup_steps"
            "max_steps"
            "batch_size"
            "gradient_accumulation_steps"
            "max_length"
            "max_prompt_length"
            "save_every"
            "keep_checkpoints"
            "eval_every"
            "eval_batch_size"
        ] do
        same [] (withOption $"type: sft, {name}: 2147483647")

        expect 4 "2147483648 is out of range; it must lie in \\[[01],2147483647\\]" (withOption $"type: sft, {name}: 2147483648")

    same [] (withOption "type: reward, learning_rate: 3.4e38")
    expect 4 "1e39 is out of range; it must lie in \\[0,3.4e38\\]" (withOption "type: reward, learning_rate: 1e39")

[<Test>]
let ``a method without a reference has no reference options`` () =
    let text = quickstart.Replace("batch_size: 8 }", "batch_size: 8, reference: base }")
    expect 13 "the method 'sft-full' has no option 'reference'" (List.ofSeq (read [] text).Faults)

[<Test>]
let ``a missing path is a fault on its line`` () =
    let exists =
        Func<string, string>(fun path -> if path = "facts.jsonl" then "" else "h:" + path)

    match (read [] quickstart).Experiment with
    | null -> failwith "the quickstart does not read"
    | found ->
        let result = Plans.Create(found, exists)
        Assert.That(result.Plan, Is.Null)
        expect 9 "'facts.jsonl' does not exist" (List.ofSeq result.Faults)

[<Test>]
let ``an unknown version of the language is refused`` () =
    expect 1 "version 2; this program reads version 1" (List.ofSeq (read [] "peftalign: 2\n").Faults)

[<Test>]
let ``a plugin that describes an option wrongly is named`` () =
    let bad =
        TestCatalogue.plugin
            "bad"
            [
                TestCatalogue.contract "method" "x" [ TestCatalogue.option "n" "float" null ]
            ]

    let catalogue =
        { TestCatalogue.catalogue with
            Plugins = Array.append (Array.ofSeq TestCatalogue.catalogue.Plugins) [| bad |]
        }

    let found = Manifests.Read(quickstart, "q.yaml", catalogue, [||]).Faults
    Assert.That(found, Has.Count.EqualTo 1)

    Assert.That(
        found[0].Message,
        Does.Contain "plugin 'bad' describes its method 'x' wrongly: option 'n' has the unknown type 'float'"
    )

/// A text that names much in few words.
let private names prefix count item =
    String.Join("\n", [ for i in 1..count -> $"  {prefix}{i}: {item}" ]) + "\n"

[<Test>]
let ``a matrix without end is refused before it is laid out`` () =
    let all prefix count =
        "[" + String.Join(", ", [ for i in 1..count -> $"{prefix}{i}" ]) + "]"

    let models, datasets, methods = all "m" 500, all "d" 500, all "x" 500

    let rows =
        $"train: [{{ models: {models}, datasets: {datasets}, methods: {methods} }}]\n"

    let text =
        "peftalign: 1\nmodels:\n"
        + names "m" 500 "{ path: a }"
        + "datasets:\n"
        + names "d" 500 "{ reader: jsonl, path: d }"
        + "methods:\n"
        + names "x" 500 "{ type: sft }"
        + rows

    expect 1505 "make 125000000 training runs; the limit is 100000" (List.ofSeq (read [] text).Faults)

[<Test>]
let ``grids, chains and things made of things have their limits`` () =
    let values = "[" + String.Join(", ", [ for i in 1..40 -> string i ]) + "]"

    let grids =
        "peftalign: 1\nmethods: { m: { type: sft, batch_size: { grid: V }, max_steps: { grid: V } } }\n".Replace("V", values)

    expect 2 "have 1600 combinations; the limit is 1000" (List.ofSeq (read [] grids).Faults)

    let chain = "[[" + String.Join(", ", Array.replicate 33 "sft") + "]]"

    expect
        8
        "the chain has 33 stages; the limit is 32"
        (faults (header + $"train: [{{ models: a, datasets: d, methods: {chain} }}]\n"))

    let deep =
        header.Replace(
            "datasets: { d: { reader: jsonl, path: d.jsonl },",
            "datasets: { d: { mixture: [x1] }, "
            + String.Join(", ", [ for i in 1..150 -> $"x{i}: {{ mixture: [x{i + 1}] }}" ])
            + ", x151: { reader: jsonl, path: x },"
        )
        + "train: [{ models: a, datasets: d, methods: sft }]\n"

    expect 4 "rests on more than 100 other things" (faults deep)

/// Labels are made of these names, and reports and --only read labels.
[<TestCase("name: again", "name: 'r#1'", "'r#1' is no name")>]
[<TestCase("name: again", "name: \"r\\n\"", "holds a control character")>]
[<TestCase("name: soup", "name: a/b", "'a/b' is no name")>]
[<TestCase("name: pref", "name: pref/help", "'pref/help' is no name")>]
let ``names of rows, merges and benchmarks are names`` (good: string, bad: string, message: string) =
    let text =
        """peftalign: 1
name: names
seeds: [1, 2]
models:
  tiny: { path: models/tiny }
datasets:
  good: { reader: jsonl, path: a.jsonl }
methods:
  sft: { type: sft }
train:
  - { models: tiny, datasets: good, methods: sft, name: again }
merge:
  - { name: soup, method: dare_ties, of: { method: sft }, across: seed }
evaluate:
  - { of: trained, with: { type: mmlu, path: m, name: pref } }
"""

    same [] (List.ofSeq (read [] text).Faults |> List.map _.Message)
    let wrong = text.Replace(good, bad)
    let line = wrong.Substring(0, wrong.IndexOf bad).Split('\n').Length

    match List.ofSeq (read [] wrong).Faults with
    | [ fault ] ->
        same line fault.Line
        Assert.That(fault.Message, Does.Contain message)
    | faults -> Assert.Fail $"{faults.Length} faults"
