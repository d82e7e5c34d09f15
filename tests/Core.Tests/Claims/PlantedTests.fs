// The built-in sets on made-up studies whose truth is known: what was planted is found, its reverse is contradicted, and a study of
// nothing but noise gives no verdict. Each number is the mean of noisy items over several seeds, as in a real run.
module PeftAlign.Core.Tests.Claims.PlantedTests

open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core.Claims

let private seeds = [ "1"; "2"; "3" ]
let private items = 40

/// Normal numbers of mean 0 and the given deviation, the same for the same study and key.
let private noise (study: int64) (key: string) (deviation: float) count =
    let hash =
        Seq.fold (fun h c -> (h ^^^ uint32 c) * 16777619u) (2166136261u + uint32 study) key

    let random = System.Random(int (hash >>> 1))
    // The sum of twelve uniforms has variance 1.
    Array.init count (fun _ ->
        deviation
        * (Seq.init 12 (fun _ -> random.NextDouble()) |> Seq.sum |> fun s -> s - 6.0))

let private measured study benchmark metric isFirst deviation axes value =
    [
        for seed in seeds do
            let all =
                ("benchmark", benchmark) :: ("policy", "trained") :: ("seed", seed) :: axes

            let key =
                $"{metric} " + (all |> List.map (fun (k, v) -> $"{k}={v}") |> String.concat " ")

            let shift = (noise study key (deviation / 10.0) 1)[0]

            let scores =
                noise study (key + " items") deviation items
                |> Array.map (fun e -> value + shift + e)

            {
                Axes = dict all |> Dictionary
                Metric = metric
                IsFirst = isFirst
                Value = Array.average scores
                Items = scores
                HigherIsBetter = true
            }
    ]

/// A study of MEET. Side: 1 as the paper says, -1 the reverse, 0 nothing.
let private meet study (side: float) =
    let policies =
        [
            for tokens in [ "1"; "20"; "50"; "100" ] do
                for control in [ "good"; "bad" ] do
                    yield "meet", control, [ "variant", $"num_virtual_tokens={tokens}" ]
            for method in [ "meet-lora"; "meet-one"; "meet-first"; "vanilla"; "coh" ] do
                for control in [ "good"; "bad" ] do
                    yield method, control, []
            yield "dpo", "", []
        ]

    [
        for model in [ "llama"; "gpt2" ] do
            for data in [ "a"; "b"; "c"; "d" ] do
                for method, control, more in policies do
                    for temperature in [ 0.5; 1.0 ] do
                        let axes =
                            [
                                "model", model
                                "dataset", data
                                "method", method
                                "benchmark_variant", $"temperature={temperature}"
                            ]
                            @ (if control = "" then [] else [ "control", control ])
                            @ more

                        let isMeet = method = "meet" || method = "meet-lora"
                        let isShort = more = [ "variant", "num_virtual_tokens=1" ]

                        let reward =
                            if control = "bad" && isMeet then -side
                            elif isMeet && not isShort then side
                            else 0.0

                        let length =
                            if method = "dpo" then
                                100.0 + side * (20.0 + 40.0 * temperature)
                            else
                                100.0

                        yield! measured study "reward" "reward" true 0.5 axes reward
                        yield! measured study "reward" "length" false 5.0 axes length

                        // DPO stands where the margin of 5 points is used up when nothing is planted.
                        if control <> "bad" then
                            let win =
                                if isMeet then 50.0 + 8.0 * side
                                elif method = "dpo" then 55.0
                                else 50.0

                            yield! measured study "win" "win_rate" true 10.0 axes win
    ]

/// A study of small models, with the values that each claim turns on.
let private small study (side: float) =
    let accuracy =
        // Of noise the margins themselves: nothing is above or below them. Chains are named by DPO's epochs of 12: -3 hands over late.
        let chain = if side > 0.0 then 0.0 else 0.01 - 0.03 * side
        let swept = [ "variant", "beta=0.2" ]
        let rank r = [ "adapter", $"r{r}" ]

        [
            "sft", "1", [], 0.0
            "dpo", "1", swept, -0.006 + 0.03 * side
            "sft-l", "1", rank 4, -0.05 * side
            "sft-l", "1", rank 8, -0.3
            "sft-l", "1", rank 16, -0.295 - 0.04 * side
            "sft>dpo-9", "2", swept, chain - 0.02 * side
            "sft>dpo-6", "2", swept, chain
            "sft>dpo-3", "2", swept, chain + 0.02 * side
        ]

    let times =
        ("sft", [], 1.0)
        :: [
            for r in [ 4; 8; 16 ] do
                "sft-l", [ "adapter", $"r{r}" ], 0.95 + 0.3 * side
        ]

    [
        for k in 1..8 do
            let own data method stage more =
                [ "model", $"m{k}"; "dataset", data; "method", method; "stage", stage ] @ more

            for method, stage, more, value in accuracy do
                yield! measured study "paraphrase" "acc" true 0.02 (own "qqp-283000" method stage more) (0.8 + value)

            for method in [ "sft-steps"; "dpo-steps" ] do
                for data, less in [ "qqp-283000", 0.0; "qqp-28300", 0.05; "qqp-2830", 0.1 ] do
                    yield! measured study "paraphrase" "acc" true 0.02 (own data method "1" []) (0.8 - less * side)

            for method, more, value in times do
                for row in measured study "train" "seconds_per_step" false 0.02 (own "qqp-283000" method "1" more) value do
                    yield { row with Items = [||] }

            let chrf data method value =
                measured study "sonnet_chrf" "chrf" true 0.5 (own data method "1" []) value

            yield! chrf "sonnets" "sonnet" 40.0
            yield! chrf "sonnets-v1" "dpo-v1" (40.0 + side)
            yield! chrf "sonnets-v3" "dpo-v3" (if side > 0.0 then 40.0 else 41.0 - 2.0 * side)
    ]

let private verdicts name table seed =
    match (ClaimSets.Read(ClaimSets.TextOf name |> string)).Set with
    | null -> failwith $"the set {name} has faults"
    | set -> ClaimSets.Test(set, Array.ofList table, 1000, 0.05, seed) |> Array.ofSeq

let private study name number side =
    match name with
    | "meet" -> meet number side
    | _ -> small number side

[<TestCase("meet", 1.0, "supported")>]
[<TestCase("meet", -1.0, "contradicted")>]
[<TestCase("small-models", 1.0, "supported")>]
[<TestCase("small-models", -1.0, "contradicted")>]
let ``What was planted is found`` (name: string, side: float, verdict: string) =
    let results = verdicts name (study name 1L side) 1L
    Assert.That(results, Has.Length.EqualTo(if name = "meet" then 9 else 11))

    for r in results do
        Assert.That(r.Verdict, Is.EqualTo verdict, $"{r.Id}: {r.Estimate} [{r.Lower}, {r.Upper}], Holm {r.AdjustedP}, {r.Reason}")

/// With Holm's correction a study of noise has any verdict at all in at most one of twenty; S4 compares two numbers that S1 and S3
/// fix, so there is no noise for it.
[<TestCase("meet")>]
[<TestCase("small-models")>]
let ``Noise gives no verdicts`` (name: string) =
    let studies = 4

    let wrong =
        [
            for number in 1L .. int64 studies do
                let results = verdicts name (study name (100L + number) 0.0) number

                for r in results do
                    Assert.That(System.Double.IsNaN r.AdjustedP, Is.False, $"{r.Id} has no data: {r.Reason}")

                if results |> Array.exists (fun r -> r.Id <> "S4" && r.Verdict <> "inconclusive") then
                    number
        ]

    Assert.That(wrong, Has.Length.LessThanOrEqualTo 1, "studies of noise with a verdict")
