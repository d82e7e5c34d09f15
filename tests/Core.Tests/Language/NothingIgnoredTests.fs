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

    same (Scalars.Whole 0x7FFFFFFFFFFFFFFFL) (Scalars.resolve "0x7FFFFFFFFFFFFFFF")
    same (Scalars.Real 18446744073709551615.0) (Scalars.resolve "0xFFFFFFFFFFFFFFFF")
