// Nothing that a manifest says is passed over: it counts, or it is refused.
module PeftAlign.Core.Tests.Language.NothingIgnoredTests

open System
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Language
open PeftAlign.Core.Tests.Language.TestManifests

[<Test>]
let ``a column that no row has is refused, unless a plugin reads it`` () =
    let text columns =
        "peftalign: 1\ndatasets:\n  d: { reader: jsonl, path: d, map: { "
        + columns
        + " } }\n"

    let found = List.ofSeq (read [] (text "promt: question")).Faults
    same 1 found.Length
    expect 3 "rows have no field 'promt'; did you mean 'prompt'" found
    same "datasets.d.map.promt" found.Head.Path

    let fields =
        [
            "text"
            "messages"
            "tools"
            "chosen_ids"
            "assistant_masks"
            "completion_mask"
            "seq_lengths"
            "rejected_labels"
            "margin"
        ]

    for field in fields do
        Assert.That((read [] (text $"{field}: x")).Faults, Is.Empty, field)

    expect 3 "rows have no field 'difficulty'" (List.ofSeq (read [] (text "difficulty: level")).Faults)

    let curriculum =
        TestCatalogue.plugin
            "curriculum"
            [
                { TestCatalogue.contract "method" "curriculum" [] with
                    Traits = [| "column:difficulty" |]
                }
            ]

    let catalogue =
        { TestCatalogue.catalogue with
            Plugins = Array.append (Array.ofSeq TestCatalogue.catalogue.Plugins) [| curriculum |]
        }

    Assert.That(Manifests.Read(text "difficulty: level", "t.yaml", catalogue, [||]).Faults, Is.Empty)

let private dataRows =
    "train:\n  - { models: a, datasets: [d, e], methods: dpo, seeds: 1 }\nmerge:\n"

[<Test>]
let ``a merge takes its parents at the steps that its selection names`` () =
    let merge checkpoints =
        planned (
            dataRows
            + $"  - {{ name: m, method: slerp, of: {{ method: dpo{checkpoints} }}, across: dataset, parameters: {{ t: 0.5 }} }}\n"
        )

    let final, early, all =
        merge "", merge ", checkpoints: 40", merge ", checkpoints: [20, 40, 100]"

    let id label plan = (job label plan).Id
    same [ "merge/m/a/dpo/step:40/s1" ] (labels "merge" early)
    Assert.That(id "merge/m/a/dpo/step:40/s1" early, Is.Not.EqualTo(id "merge/m/a/dpo/s1" final))
    let train = job "train/a/d/dpo/s1" early
    same [ "step:40" ] (List.ofSeq train.Keep)

    Assert.That(
        (job "merge/m/a/dpo/step:40/s1" early).Options,
        Does.Contain $"{{\"checkpoint\":\"step:40\",\"job\":\"{train.Id}\"}}"
    )
    // One merge for each; the last step is the end.
    same 3 (count "merge" all)
    same (id "merge/m/a/dpo/s1" final) (id "merge/m/a/dpo/step:100/s1" all)

[<Test>]
let ``steps that a merge's parents do not have are refused`` () =
    let merges selection =
        dataRows
        + "  - { name: soup, method: dare_ties, of: { method: dpo }, across: dataset }\n"
        + $"  - {{ name: m, method: dare_ties, of: {selection}, across: dataset }}\n"

    let found = faults (header + merges "{ method: dpo, checkpoints: [40, 101] }")
    same 1 found.Length
    expect 22 "step 101 lies beyond max_steps 100 of a/d/dpo/s1" found
    let found = faults (header + merges "{ merge: soup, checkpoints: 5 }")
    same 1 found.Length
    expect 22 "'soup/a/dpo/s1' has no checkpoints" found

[<Test>]
let ``a merge across stages gathers the stages of a chain`` () =
    let plan =
        planned
            """train:
  - { models: a, datasets: d, methods: [[sft, dpo], [dpo, sft]], adapters: [l8, l16], seeds: 1 }
merge:
  - { name: m, method: slerp, of: { stage: [1, 2] }, across: stage, parameters: { t: 0.5 } }
"""

    let parents (merge: PlanJob) =
        [
            for parent in merge.DependsOn -> (plan.Jobs |> Seq.find (fun job -> job.Id = parent)).Label
        ]

    ofKind "merge" plan
    |> List.map parents
    |> List.sort
    |> same
        [
            for first, second in [ "dpo", "sft"; "sft", "dpo" ] do
                for adapter in [ "l16"; "l8" ] ->
                    [
                        $"train/a/d/{first}/{adapter}/s1"
                        $"train/a/d/{first}/{adapter}/d/{second}/{adapter}/s1"
                    ]
        ]

[<Test>]
let ``keys of an option may be expressions, names of sections may not`` () =
    let text pattern =
        header.Replace("l16: { type: lora, rank: 16 }", $"l16: {{ type: lora, rank: 16, rank_pattern: {pattern} }}")
        + "train:\n  - { models: a, datasets: d, methods: sft, adapters: l16, seeds: 1 }\n"

    let options =
        (job "train/a/d/sft/l16/s1" (plan (text "{ '.*q_proj': 4, 'layers\\.0\\..*': 2 }"))).Options

    Assert.That(options, Does.Contain "\"rank_pattern\":{\".*q_proj\":4,\"layers\\\\.0\\\\..*\":2}")
    expect 12 "a key is empty; write what the value is for" (faults (text "{ '': 4 }"))
    expect 12 "0 is out of range" (faults (text "{ '.*q_proj': 0 }"))
    expect 12 "'a b' is no name" (faults (header.Replace("l16: {", "a b: {")))

[<Test>]
let ``what stands nearer wins over any number of levels`` () =
    let methods rest set =
        "peftalign: 1\nseeds: 1\nmodels: { m: { path: m } }\ndatasets: { d: { reader: jsonl, path: d } }\nmethods:\n"
        + "  a: &a { type: sft, epochs: 3, per_device_train_batch_size: 2, lr_scheduler_type: cosine }\n"
        + "  b: &b { <<: *a, max_steps: 10, batch_size: 4 }\n"
        + $"  c: {{ {rest} }}\ntrain: [{{ models: m, datasets: d, methods: c{set} }}]\n"

    for rest, set, steps, epochs, batch in
        [
            "<<: *b, learning_rate: 1.0e-4", "", Some 10, None, 4
            "<<: *b, num_train_epochs: 5", "", None, Some 5, 4
            "<<: [*b, *a]", "", Some 10, None, 4
            "<<: [*a, *b]", "", None, Some 3, 2
            "<<: *b, lr_scheduler: linear", ", set: { max_steps: 5 }", Some 5, None, 4
            "<<: *b", ", set: { epochs: 6 }", None, Some 6, 4
            "<<: *b", ", set: { per_device_train_batch_size: 8 }", Some 10, None, 8
        ] do
        let options = (job "train/m/d/c/s1" (plan (methods rest set))).Options

        let says key value =
            match value with
            | Some number -> Assert.That(options, Does.Contain $"\"{key}\":{number},", rest + set)
            | None -> Assert.That(options, Does.Not.Contain $"\"{key}\"", rest + set)

        says "max_steps" steps
        says "epochs" epochs
        says "batch_size" (Some batch)

    expect 8 "'epochs' and 'max_steps' say the same thing" (faults (methods "<<: *b, max_steps: 1, epochs: 2" ""))

    expect
        8
        "'per_device_train_batch_size' and 'batch_size' are one option"
        (faults (methods "<<: *b, batch_size: 1, per_device_train_batch_size: 2" ""))

[<Test>]
let ``a plugin's version lies in the whole range, and what is no range is refused`` () =
    let asked (range: string) =
        (read [] $"peftalign: 1\nplugins: [{{ id: data, version: '{range}' }}]\n").Faults
        |> List.ofSeq

    for range in
        [
            ">=0.1"
            "0.1.0"
            "=0.1"
            ">=0.0.9 <0.10"
            "<99999999999999999999"
            "<=0.1.0-rc.1"
        ] do
        same [] (asked range)

    for range in [ ">=2 <3"; ">=99999999999"; ">0.1.0"; "<0.1"; ">=0.1 <0.1.0" ] do
        expect 2 "has version 0.1.0; the manifest asks for" (asked range)

    for range in
        [
            ">=2,<3"
            ">=0.x9"
            "=>0.1"
            ">= 0.1"
            "0..1"
            "0.1."
            "^0.1"
            "0.1 |0.2"
            ">=0.1,<1"
        ] do
        expect 2 "is no range of versions; write it like '>=1.2 <2'" (asked range)

[<Test>]
let ``numbers beyond 64 bits are no numbers of another sign`` () =
    let seed number =
        faults (
            header
            + $"train: [{{ models: a, datasets: d, methods: sft }}]\nevaluate: [{{ of: {{ seed: {number} }}, with: {{ type: mmlu, path: m }} }}]\n"
        )

    for number in
        [
            "-9223372036854775808"
            "9223372036854775807"
            "2147483648"
            "-2147483649"
            "0xFFFFFFFFFFFFFFFF"
            "0x1FFFFFFFFFFFFFFFF"
            "0o7777777777777777777777"
        ] do
        expect 19 "out of range|expected an integer" (seed number)

    expect 8 "3000000000 is out of range; the limit is 2147483647" (faults (header.Replace("take: 100", "take: 3000000000")))
    same (Scalars.Whole 0x7FFFFFFFFFFFFFFFL) (Scalars.resolve "0x7FFFFFFFFFFFFFFF")
    same (Scalars.Real 18446744073709551615.0) (Scalars.resolve "0xFFFFFFFFFFFFFFFF")

[<Test>]
let ``no path and no name holds a control character`` () =
    let nul = "\"a\\0b\""

    for text, line in
        [
            header.Replace("path: models/a", $"path: {nul}"), 4
            header.Replace("chat_template: vicuna", $"chat_template: {nul}"), 5
            header.Replace("path: d.jsonl", $"path: {nul}"), 7
            header.Replace("split: train", $"split: {nul}"), 8
            header + $"report: {{ claims: {nul} }}\n", 18
            header + $"plugins: [{{ path: {nul} }}]\n", 18
            header + $"name: {nul}\n", 18
        ] do
        expect line @"^'a\\u0000b' holds a control character; write (text|a path) without it$" (List.ofSeq (read [] text).Faults)

[<Test>]
let ``a path that may be missing is named with its place, and stands for its content`` () =
    let text =
        header + "train:\n  - { models: a, datasets: [d, e], methods: sft, seeds: 1 }\n"

    let exists =
        Func<string, string>(fun path -> if path = "e.jsonl" then "h:e" else "")

    let result = Plans.Create(experiment text, exists, true)
    same [] (List.ofSeq result.Faults)

    [ for path in result.Missing -> path.Path, path.Line, path.Column ]
    |> same [ "models/a", 4, 14; "d.jsonl", 7, 29 ]

    let train = result.Plan |> nonNull |> job "train/a/d/sft/s1"
    Assert.That(train.Identity, Does.Contain "content:missing:d.jsonl")
    same [] (List.ofSeq (Plans.Create(experiment text, byName, true)).Missing)
    Assert.That((Plans.Create(experiment text, exists)).Plan, Is.Null)

let private mmlu = "with: { type: mmlu, path: m }"

[<Test>]
let ``seeds and stages that exist nowhere are refused`` () =
    let rows selection =
        header
        + "train:\n  - { models: a, datasets: [d, e], methods: [[sft, dpo]] }\n  - { models: b, datasets: d, methods: sft, seeds: 7 }\n"
        + $"evaluate:\n  - {{ of: {{ {selection} }}, {mmlu} }}\n"

    let found = faults (rows "seed: [1, 99], stage: [1, 7]")
    same 2 found.Length
    expect 22 "there is no seed '99' under seeds; known: 1, 2, 7" found
    expect 22 "there is no stage '7' under train" found
    same 4 (count "evaluate" (plan (rows "seed: [1, 7], stage: [1, 2], method: [sft, dpo], model: a")))
    let untrained = header + $"evaluate:\n  - {{ of: {{ stage: 1 }}, {mmlu} }}\n"
    expect 19 "there is no stage '1' under train; none is declared" (faults untrained)

[<Test>]
let ``select keeps the best of a grid that a row gives`` () =
    let text (method: string) row =
        header
            .Replace("l16: { type: lora, rank: 16 }", "l16: { type: lora, rank: { grid: [4, 16] } }")
            .Replace("max_steps: 100 }", "max_steps: 100, eval_data: e, select: { by: eval_loss } }")
        + $"train:\n  - {{ models: a, datasets: d, methods: {method}, seeds: 1{row} }}\n"

    for method, row, variants in
        [
            "dpo", ", set: { beta: { grid: [0.1, 0.2, 0.5] } }", 3
            "dpo", ", adapters: l16", 2
            "[[{ method: dpo, adapter: l16 }]]", "", 2
        ] do
        let plan = plan (text method row)
        same (variants, 1) (count "train" plan, count "select" plan)

    expect 15 "there is no \\{ grid" (faults (text "dpo" ", set: { beta: { grid: [0.1] } }"))
    expect 15 "there is no \\{ grid" (faults (text "sft" ", adapters: l16"))

[<Test>]
let ``a preset chooses no preset, and what it adds can be set`` () =
    let text inside =
        header
        + "train:\n  - { models: a, datasets: d, methods: sft, seeds: 1 }\n"
        + $"presets:\n  more: {{ {inside} }}\n  small: {{ seeds: [1] }}\npreset: more\n"

    for key in [ "preset: small"; "presets.small.seeds: [2]"; "'\"preset\"': small" ] do
        let found = faults (text key)
        same 1 found.Length
        expect 21 "a preset cannot choose or change presets" found

    let added = text "'train[1]': { models: b, datasets: d, methods: sft, seeds: 1 }"
    let third = "train[2]={ models: b, datasets: e, methods: sft, seeds: 1 }"
    same 3 (count "train" (planWith [ third ] added))
    let found = (read [ third.Replace("[2]", "[3]") ] added).Faults |> List.ofSeq
    same 1 found.Length
    expect 0 "item \\[3\\] does not exist; the list has 2" found
    let found = (read [ third ] (text "seeds: [1]")).Faults |> List.ofSeq
    same 1 found.Length
    expect 0 "item \\[2\\] does not exist; the list has 1" found

// An empty list would train what leaving the option out trains.
[<Test>]
let ``a list that says what leaving it out says is refused`` () =
    let withTargets (targets: string) =
        (read [] $"peftalign: 1\nadapters:\n  a: {{ type: lora, {targets} }}\n").Faults
        |> List.ofSeq

    for targets in
        [
            "targets: []"
            "target_modules: []"
            "targets: ''"
            "targets: { grid: [[q_proj], []] }"
        ] do
        expect 3 "'targets' is empty; name at least one, or leave it out" (withTargets targets)

    for targets in [ "rank: 8"; "targets: null"; "targets: [q_proj]"; "targets: q_proj" ] do
        same [] (withTargets targets)
