// Nothing that a manifest says is passed over: it counts, or it is refused.
module PeftAlign.Core.Tests.Language.NothingIgnoredTests

open System
open NUnit.Framework
open PeftAlign.Core
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
