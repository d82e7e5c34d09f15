// The claims of the Deep Dive on its own printed tables: means, signs and counts as they were worked out by hand from the tables.
module PeftAlign.Core.Tests.Claims.DeepDiveClaimTests

open System
open System.Globalization
open System.IO
open NUnit.Framework
open PeftAlign.Core.Claims

let private benchmarks = [| "bbh"; "mmlu"; "alpaca_eval"; "real_toxicity" |]

let private observation axes benchmark value =
    {
        Axes = dict (("benchmark", benchmark) :: axes) |> System.Collections.Generic.Dictionary
        Metric = "score"
        IsFirst = true
        Value = value
        Items = [||]
        HigherIsBetter = true
    }

let private tagsOf (model: string) (source: string) (preference: string) : string =
    let instruct =
        if model = "instruct" || model = "vicuna" then
            "instruct"
        else
            ""

    [ instruct; source; preference ]
    |> List.filter (fun tag -> tag <> "")
    |> String.concat ","

let private rowOf (cells: string[]) =
    let numbers from =
        Array.zip benchmarks cells[from..]
        |> Array.filter (fun (_, cell) -> cell <> "-")
        |> Array.map (fun (name, cell) -> name, Double.Parse(cell, CultureInfo.InvariantCulture))

    match cells[0] with
    | "original" ->
        let axes =
            [ "policy", "untouched"; "model", cells[1]; "tags", tagsOf cells[1] "" "" ]

        [ for name, value in numbers 2 -> observation axes name value ]
    | "mix" ->
        let axes =
            [
                "policy", "trained"
                "model", cells[2]
                "method", cells[1]
                "dataset", "bt-mixed"
                "seed", "1"
                "tags", tagsOf cells[2] "" ""
            ]

        [ for name, value in numbers 3 -> observation axes name value ]
    | "merge" ->
        let axes =
            [
                "policy", "merged"
                "model", cells[2]
                "merge", cells[1]
                "seed", "1"
                "tags", tagsOf cells[2] "" ""
            ]

        [ for name, value in numbers 3 -> observation axes name value ]
    | source ->
        [
            for k, name in Array.indexed benchmarks do
                for m, method in [ 0, "sft"; 1, "dpo" ] do
                    let axes =
                        [
                            "policy", "trained"
                            "model", cells[2]
                            "method", $"{method}-{cells[1]}"
                            "dataset", $"{source}-{cells[3]}"
                            "seed", "1"
                            "tags", tagsOf cells[2] source cells[3]
                        ]

                    observation axes name (Double.Parse(cells[4 + 2 * k + m], CultureInfo.InvariantCulture))
        ]

let private table =
    lazy
        File.ReadAllLines(Path.Combine(TestContext.CurrentContext.TestDirectory, "Claims", "deep-dive-tables.txt"))
        |> Array.filter (fun line -> not (line.StartsWith '#'))
        |> Array.collect (fun line -> line.Split ' ' |> rowOf |> Array.ofList)

let private results =
    lazy
        (match (ClaimSets.Read(ClaimSets.TextOf "deep-dive" |> string)).Set with
         | null -> failwith "the set has faults"
         | set ->
             ClaimSets.Test(set, table.Value, 2000, 0.05, 1L)
             |> Seq.map (fun r -> r.Id, r)
             |> dict)

let private claim id =
    match results.Value.TryGetValue id with
    | true, found -> found
    | _ -> failwithf "no claim %s; there are %s" id (String.Join(" ", results.Value.Keys))

/// Means of the tables are printed to two or three digits.
[<TestCase("D1/bbh/sft-q", 0.0125, 8, 8, 0.0001)>]
[<TestCase("D1/bbh/dpo-q", 0.056, 8, 8, 0.0005)>]
[<TestCase("D1/mmlu/sft-q", 0.022, 8, 8, 0.0006)>]
[<TestCase("D1/mmlu/dpo-q", 0.021, 8, 8, 0.0006)>]
[<TestCase("D1/alpaca_eval/sft-q", 5.13, 8, 8, 0.006)>]
[<TestCase("D1/alpaca_eval/dpo-q", 3.03, 8, 8, 0.006)>]
[<TestCase("D1/real_toxicity/sft-q", 0.93, 8, 8, 0.006)>]
[<TestCase("D1/real_toxicity/dpo-q", -2.00, 6, 8, 0.006)>]
[<TestCase("D2/alpaca_eval", 2.10, -1, 8, 0.006)>]
[<TestCase("D2/real_toxicity", 2.93, -1, 8, 0.006)>]
[<TestCase("D2/mmlu", 0.0015, -1, 8, 0.00015)>]
[<TestCase("D2/bbh", -0.044, -1, 8, 0.0006)>]
[<TestCase("D5/bbh", 0.018, 2, 2, 0.0001)>]
[<TestCase("D5/real_toxicity", 0.46, 2, 2, 0.006)>]
[<TestCase("D5/mmlu", -0.004, 0, 2, 0.0001)>]
[<TestCase("D8/real_toxicity", -2.35, 0, 2, 0.006)>]
[<TestCase("D8/bbh", -0.00225, -1, 2, 0.0001)>]
[<TestCase("D9/bbh", 0.014, 4, 4, 0.0006)>]
[<TestCase("D9/mmlu", 0.0145, 4, 4, 0.0001)>]
[<TestCase("D9/alpaca_eval", 3.98, 4, 4, 0.006)>]
[<TestCase("D9/real_toxicity", 1.42, 4, 4, 0.006)>]
[<TestCase("D10/alpaca_eval", 2.36, 4, 4, 0.006)>]
[<TestCase("D10/bbh", 0.0095, 3, 4, 0.0001)>]
[<TestCase("D10/mmlu", 0.004, 2, 4, 0.0006)>]
[<TestCase("D10/real_toxicity", 3.74, 2, 4, 0.006)>]
[<TestCase("D11/bbh/hh", 0.117, 2, 2, 0.0006)>]
[<TestCase("D11/mmlu/hh", 0.042, 2, 2, 0.0006)>]
[<TestCase("D11/alpaca_eval/hh", 4.71, 2, 2, 0.006)>]
[<TestCase("D11/real_toxicity/hh", 0.65, -1, 2, 0.006)>]
[<TestCase("D11/bbh/bt", 0.024, 2, 2, 0.0006)>]
[<TestCase("D11/mmlu/bt", 0.019, 2, 2, 0.0006)>]
[<TestCase("D11/alpaca_eval/bt", 6.34, 2, 2, 0.006)>]
[<TestCase("D11/real_toxicity/bt", 5.16, 2, 2, 0.006)>]
[<TestCase("D11-lora/bbh", 0.001, -1, 2, 0.0006)>]
[<TestCase("D11-lora/mmlu", 0.014, 2, 2, 0.0006)>]
[<TestCase("D11-lora/alpaca_eval", 7.37, 2, 2, 0.006)>]
[<TestCase("D11-lora/real_toxicity", 4.89, 2, 2, 0.006)>]
[<TestCase("D12/bt-harmless", -0.05, 3, 4, 0.006)>]
[<TestCase("D12/bt-helpful", -2.27, 3, 4, 0.006)>]
[<TestCase("D12/hh-harmless", 2.56, 4, 4, 0.006)>]
[<TestCase("D12/hh-helpful", 0.97, 4, 4, 0.006)>]
[<TestCase("D12-lora/bt-harmless", 1.76, 3, 4, 0.006)>]
[<TestCase("D12-lora/bt-helpful", -1.96, -1, 4, 0.006)>]
[<TestCase("D18-judged", 2.25, -1, 16, 0.1)>]
let ``means and signs of the printed tables`` (id: string, mean: float, positive: int, units: int, within: float) =
    let found = claim id
    Assert.That(found.Estimate, Is.EqualTo(mean).Within(within), id)
    Assert.That(found.Units.Count, Is.EqualTo units)
    Assert.That(sign found.Estimate, Is.EqualTo(sign mean))

    if positive >= 0 then
        Assert.That(found.Positive, Is.EqualTo positive)

    Assert.That(found.Lower, Is.LessThanOrEqualTo found.Estimate)
    Assert.That(found.Upper, Is.GreaterThanOrEqualTo found.Estimate)

let private values id =
    [ for unit in (claim id).Units -> unit.Label, Math.Round(unit.Value, 4) ]

let private same (expected: 'a) (actual: 'a) =
    Assert.That((actual = expected), $"expected %A{expected}, found %A{actual}")

[<Test>]
let ``single differences of the printed tables`` () =
    same [ "llama", -0.093; "mistral", -0.253 ] (values "D3")
    same [ "llama", -0.076; "mistral", -0.246 ] (values "D3-data")
    same [ "harmless", -0.017; "helpful", -0.016 ] (values "D4/mmlu")
    same [ "harmless", -0.019; "helpful", -0.014 ] (values "D4/bbh")
    same [ "harmless", -0.006; "helpful", 0.0 ] (values "D6/mmlu")
    same [ "harmless", 0.007; "helpful", -0.003 ] (values "D6/bbh")
    same [ "harmless", 2.247; "helpful", 0.897 ] (values "D6/real_toxicity")

    same
        [
            "instruct/dpo-q", 0.897
            "instruct/sft-q", -0.128
            "mistral/dpo-q", -10.63
            "mistral/sft-q", 0.316
        ]
        (values "D14-harmlessness")

    same
        [
            "instruct/dpo-q", -0.006
            "instruct/sft-q", -0.017
            "mistral/dpo-q", 0.0
            "mistral/sft-q", -0.007
        ]
        (values "D14-helpfulness/mmlu")

    same
        [
            "instruct/dpo-q", 0.007
            "instruct/sft-q", -0.019
            "mistral/dpo-q", 0.007
            "mistral/sft-q", 0.014
        ]
        (values "D14-helpfulness/bbh")

let private counts id =
    let found = claim id
    found.Positive, found.Negative, found.Units.Count

[<Test>]
let ``counts of cells`` () =
    same (2, 10, 12) (counts "D7-cells")
    // 7 of 24 over 4 bits and 3 of 24 over 16: harmless data does not often win.
    same (7, 24) (let p, _, n = counts "D13" in p, n)
    same (3, 24) (let p, _, n = counts "D13-lora" in p, n)
    same (8, 0, 8) (counts "D13-harmlessness")
    // Against the mean of the parents: M and I of SFT 3/3 each; of DPO I 3/3, M 1/3.
    same (6, 0, 6) (counts "D15")
    same (4, 2, 6) (counts "D15-dpo")
    Assert.That((claim "D13").Estimate, Is.LessThan 0.5)
    Assert.That((claim "D13").Verdict, Is.Not.EqualTo "supported")

[<Test>]
let ``a merge's cells by model`` () =
    let cells id =
        [ for unit in (claim id).Units -> unit.Label, sign unit.Value ]

    same
        [
            "instruct/alpaca_eval/score", 1
            "instruct/mmlu/score", 1
            "instruct/real_toxicity/score", 1
            "mistral/alpaca_eval/score", -1
            "mistral/bbh/score", 1
            "mistral/real_toxicity/score", -1
        ]
        (cells "D15-dpo")
    // SLERP: M of SFT worse on AlpacaEval and toxicity, of DPO better; I the other way round.
    let slerp = cells "D16" |> dict
    same (-1, -1) (slerp["mistral/alpaca_eval/score"], slerp["mistral/real_toxicity/score"])
    same (1, 1) (slerp["instruct/alpaca_eval/score"], slerp["instruct/real_toxicity/score"])

[<Test>]
let ``the merge of four is best in BBH and MMLU only`` () =
    same
        [ 1; 1; -2; -2 ]
        [
            for id, n in [ "D17/bbh", 1; "D17/mmlu", 1; "D17/alpaca_eval", 2; "D17/real_toxicity", 2 ] ->
                let found = claim id in (if found.Estimate > 0.0 then n else -n)
        ]

[<Test>]
let ``four bits and sixteen are equivalent in MMLU`` () =
    let widest id =
        (claim id).Units |> Seq.map (fun unit -> abs unit.Value) |> Seq.max

    Assert.That(widest "D18/mmlu", Is.EqualTo(0.014).Within 1e-9)
    Assert.That(widest "D18/bbh", Is.EqualTo(0.026).Within 1e-9)
    same 16 (claim "D18/mmlu").Units.Count
    Assert.That((claim "D18/mmlu").Level, Is.EqualTo 0.9)
    same "supported" (claim "D18/mmlu").Verdict
    same "supported" (claim "D18/bbh").Verdict
    Assert.That((claim "D18-rank/mmlu").Estimate, Is.GreaterThan 0.9)
    Assert.That((claim "D18-rank/bbh").Estimate, Is.GreaterThan 0.9)

[<Test>]
let ``what the tables do not hold is inconclusive and says so`` () =
    for id in
        [
            "D19-sft-instruct/mmlu"
            "D19-sft-base/mmlu"
            "D19-dpo-instruct/real_toxicity"
            "D20/mmlu"
            "D20/real_toxicity"
        ] do
        same "inconclusive" (claim id).Verdict
        same "no finished evaluations fit the claim" (claim id).Reason

[<Test>]
let ``every built-in set reads without a fault`` () =
    same [ "deep-dive"; "meet"; "quickstart"; "small-models" ] (List.ofSeq ClaimSets.BuiltIn)

    for name in ClaimSets.BuiltIn do
        let read = ClaimSets.Read(ClaimSets.TextOf name |> string)
        Assert.That(read.Faults, Is.Empty, name)
        Assert.That((string (ClaimSets.TextOf name)).Length, Is.GreaterThan 100)

    let ids name =
        (string (ClaimSets.TextOf name)).Split '\n'
        |> Array.filter (fun line -> line.TrimStart().StartsWith "- id:")
        |> Array.map (fun line -> line.Substring(line.IndexOf ':' + 1).Trim())

    for k in 1..20 do
        Assert.That(
            ids "deep-dive"
            |> Array.exists (fun id -> id = $"D{k}" || id.StartsWith $"D{k}-"),
            $"D{k}"
        )

    for k in 1..8 do
        Assert.That(ids "meet", Does.Contain $"M{k}")

    for k in 1..10 do
        Assert.That(ids "small-models", Does.Contain $"S{k}")
