// The thinnest true path: a model made in the run, full SFT of it, a LoRA on top, evaluated before and after.
module PeftAlign.Core.Tests.Language.QuickstartTests

open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

[<Test>]
let ``the quickstart has seven jobs in an order that can be run`` () =
    let plan = plan quickstart

    plan.Counts
    |> Seq.map (fun pair -> pair.Key, pair.Value)
    |> Seq.sort
    |> List.ofSeq
    |> same [ "evaluate", 3; "make-model", 1; "report", 1; "train", 2 ]

    let place = plan.Jobs |> Seq.mapi (fun i job -> job.Id, i) |> dict

    for job in plan.Jobs do
        for dependency in job.DependsOn do
            Assert.That(place[dependency], Is.LessThan place[job.Id])

[<Test>]
let ``the adapter trains on what full fine-tuning made`` () =
    let plan = plan quickstart
    let full = job "train/tiny/world/sft-full/s1" plan
    let lora = job "train/taught/facts/sft-lora/s1" plan
    full.DependsOn |> List.ofSeq |> same [ (job "make-model/tiny" plan).Id ]
    lora.DependsOn |> List.ofSeq |> same [ full.Id ]
    Assert.That(lora.Options, Does.Contain $"\"policy\":{{\"weights\":{{\"job\":\"{full.Id}\"}}}}")
    Assert.That(lora.Options, Does.Contain "\"learning_rate\":0.002")
    Assert.That(lora.Options, Does.Contain "\"alpha\":8")
    lora.Inputs |> Seq.map _.Hash |> List.ofSeq |> same [ "h:facts.jsonl" ]
    lora.Plugins |> List.ofSeq |> same [ "data"; "methods.sft"; "peft.lora" ]

[<Test>]
let ``the same as a chain has the same jobs`` () =
    let chain =
        quickstart.Replace(
            "  - { models: taught, datasets: facts, methods: sft-lora }",
            "  - { models: tiny, datasets: facts, methods: [[{ method: sft-full, dataset: world }, sft-lora]] }"
        )

    let ofTraining plan =
        ofKind "train" plan |> List.map _.Id |> set

    ofTraining (plan chain) |> same (ofTraining (plan quickstart))
