// The whole Deep Dive study: exactly its counts, fast, growing linearly.
module PeftAlign.Core.Tests.Language.DeepDiveTests

open System
open System.Diagnostics
open System.IO
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

let private text =
    lazy File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "Language", "deep-dive.yaml"))

let private axis name (job: PlanJob) =
    match job.Axes.TryGetValue name with
    | true, value -> value
    | _ -> ""

let private configuration (job: PlanJob) =
    axis "model" job, axis "dataset" job, axis "method" job, axis "adapter" job, axis "merge" job

[<Test>]
let ``52 configurations by 5 seeds, 10 merges by 5 seeds, 1570 final evaluations`` () =
    let plan = plan text.Value
    let trained = ofKind "train" plan
    same 260 trained.Length
    same 52 (trained |> List.map configuration |> List.distinct |> List.length)
    let merged = ofKind "merge" plan
    same 50 merged.Length
    same 10 (merged |> List.map configuration |> List.distinct |> List.length)

    let final, checkpoints =
        ofKind "evaluate" plan |> List.partition (fun job -> axis "checkpoint" job = "")

    same 1570 final.Length
    // 2 models x 4 data sets x 2 methods x 5 seeds, 6 checkpoints, 2 benchmarks
    same 960 checkpoints.Length
    same 1 (count "report" plan)
    same (260 + 50 + 1570 + 960 + 1) plan.Jobs.Count

[<Test>]
let ``merges gather what the paper merged`` () =
    let plan = plan text.Value
    let four = job "merge/dare-both/mistral/s3" plan

    four.DependsOn
    |> Seq.map (fun id -> (plan.Jobs |> Seq.find (fun job -> job.Id = id)).Label)
    |> List.ofSeq
    |> same
        [
            "train/mistral/bt-harmless/sft-q/s3"
            "train/mistral/bt-harmless/dpo-q/s3"
            "train/mistral/bt-helpful/sft-q/s3"
            "train/mistral/bt-helpful/dpo-q/s3"
        ]

    Assert.That(four.Options, Does.Contain "\"rescale\":\"exact\"")
    Assert.That(four.Options, Does.Contain "\"base\":\"dequantised\"")
    Assert.That(four.Options, Does.Contain "\"weights\":\"models/Mistral-7B-v0.1\"")

[<Test>]
let ``an inherited method differs in what it overrides only`` () =
    let plan = plan text.Value
    let q = job "train/llama/bt-helpful/sft-q/s1" plan
    let l = job "train/llama/bt-helpful/sft-l/s1" plan
    Assert.That(q.Options, Does.Contain "\"quantization\":{\"name\":\"peft.qlora/nf4\"")
    Assert.That(l.Options, Does.Not.Contain "quantization")

    let without (text: string) =
        text.Substring(text.IndexOf "\"dataset\"")

    same (without q.Options) (without l.Options)

[<Test>]
let ``checkpoints that are evaluated are kept`` () =
    let plan = plan text.Value
    let kept = job "train/mistral/hh-harmless/dpo-q/s2" plan
    kept.Keep |> List.ofSeq |> same [ for step in 100..100..600 -> $"step:{step}" ]
    same "" kept.Until
    same 0 (job "train/llama/hh-harmless/dpo-q/s2" plan).Keep.Count

[<Test>]
let ``it plans in under two seconds`` () =
    // Processor time: a busy machine makes no plan slower.
    let now () =
        Process.GetCurrentProcess().TotalProcessorTime

    let before = now ()
    plan text.Value |> ignore
    Assert.That((now () - before).TotalSeconds, Is.LessThan 2.0)

[<Test>]
let ``ten times the seeds make about ten times the work`` () =
    let seeds n =
        "seeds=[" + String.concat "," (List.map string [ 1..n ]) + "]"

    // Bytes allocated on this thread stand for work: unlike time they do not depend on what else the machine does.
    let work n =
        let before = GC.GetAllocatedBytesForCurrentThread()
        let jobs = (planWith [ seeds n ] text.Value).Jobs.Count
        float (GC.GetAllocatedBytesForCurrentThread() - before), jobs

    work 5 |> ignore
    let small, few = work 5
    let large, jobs = work 50
    Assert.That(jobs, Is.GreaterThan 28000)
    // Quadratic work would be a hundredfold.
    Assert.That(large / small, Is.LessThan(1.3 * float jobs / float few))
