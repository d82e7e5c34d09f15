// Scores of classifiers over chosen rows, as resampling draws them, against the scores of those rows' items.
module PeftAlign.Core.Tests.ResampledClassesTests

open System
open NUnit.Framework
open PeftAlign.Core.Metrics

/// What resampling asks for: labels that a choice of rows does not have are none of its labels.
[<Test>]
let ``Scores of any rows are those of their items`` () =
    let random = Random 4
    let gold = Array.init 60 (fun _ -> random.Next(-1, 4))

    let predicted =
        gold |> Array.map (fun g -> if random.Next 3 = 0 then random.Next(-1, 6) else g)

    let ofRows, ofLabel =
        Classification.OfRows(gold, predicted), Classification.LabelOfRows(gold, predicted, 1, 0.0)

    for size in [ 1; 2; 6; 60; 200 ] do
        let rows = Array.init size (fun _ -> random.Next gold.Length)

        let g, p =
            rows |> Array.map (fun row -> gold[row]), rows |> Array.map (fun row -> predicted[row])

        let one, other = ofRows.Invoke rows, Classification.Evaluate(g, p)
        Assert.That(one.Labels, Is.EqualTo<int[]>(Array.append g p |> Array.distinct |> Array.sort))
        Assert.That(one.Confusion, Is.EqualTo<int[][]> other.Confusion)
        let right = Array.zip g p |> Array.filter (fun (g, p) -> g = p) |> Array.length
        Assert.That(one.Accuracy, Is.EqualTo(float right / float size))

        Assert.That(
            [|
                one.MacroF1
                one.WeightedF1
                one.BalancedAccuracy
                one.MatthewsCorrelation
                one.CohenKappa
            |],
            Is.EqualTo<float[]>
                [|
                    other.MacroF1
                    other.WeightedF1
                    other.BalancedAccuracy
                    other.MatthewsCorrelation
                    other.CohenKappa
                |]
        )

        Assert.That(ofLabel.Invoke rows, Is.EqualTo(Classification.Label(g, p, 1, 0.0)))
