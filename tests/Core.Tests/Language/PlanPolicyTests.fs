// What chosen and merged policies bring to a plan: plugins, result versions, controls.
module PeftAlign.Core.Tests.Language.PlanPolicyTests

open System
open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

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
