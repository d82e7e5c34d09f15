// Agreement between judges: Cohen's kappa with weights (1960, 1968), Fleiss' kappa (1971), Krippendorff's alpha (2004).
namespace PeftAlign.Core.Metrics

open System
open PeftAlign.Core.Statistics

/// How far apart two labels are, by rank among the sorted labels.
type KappaWeights =
    | Unweighted = 0
    | Linear = 1
    | Quadratic = 2

/// Chance-corrected agreement.
[<AbstractClass; Sealed>]
type Agreement =
    /// Share of equal labels.
    static member Percent(first: float[], second: float[]) : float =
        Guard.atLeast "first" 1 first
        Guard.sameLength "first" first "second" second
        Array.map2 (fun a b -> if a = b then 1.0 else 0.0) first second |> Array.average

    /// Cohen's kappa of two raters; NaN where both give one and the same label throughout.
    static member CohenKappa(first: float[], second: float[], weights: KappaWeights) : float =
        Guard.sample "first" 1 first
        Guard.sameLength "first" first "second" second
        let labels = Array.append first second |> Array.distinct |> Array.sort
        let index v = Array.BinarySearch(labels, v)

        let distance i j =
            match weights with
            | KappaWeights.Unweighted -> if i = j then 0.0 else 1.0
            | KappaWeights.Linear -> abs (float (i - j))
            | _ -> float (i - j) ** 2.0

        let a, b = Array.map index first, Array.map index second

        let share (indices: int[]) =
            labels
            |> Array.mapi (fun k _ -> indices |> Array.filter ((=) k) |> Array.length |> float)

        let p, q = share a, share b
        let observed = Array.fold2 (fun s i j -> s + distance i j) 0.0 a b

        let expected =
            Seq.allPairs (Seq.indexed p) (Seq.indexed q)
            |> Seq.sumBy (fun ((i, u), (j, v)) -> distance i j * u * v / float first.Length)

        1.0 - observed / expected

    /// Fleiss' kappa; ratings[rater][item], complete. NaN where a single label is used.
    static member FleissKappa(ratings: float[][]) : float =
        Guard.atLeast "ratings" 2 ratings

        ratings
        |> Array.iteri (fun r row -> Guard.sameLength "ratings[0]" ratings[0] $"ratings[{r}]" row)

        let raters, items = float ratings.Length, ratings[0].Length
        let labels = Array.concat ratings |> Array.distinct

        let count item label =
            ratings |> Array.filter (fun r -> r[item] = label) |> Array.length |> float

        let agreement item =
            (labels |> Array.sumBy (fun l -> count item l ** 2.0)) - raters

        let observed =
            Seq.sumBy agreement [ 0 .. items - 1 ] / (float items * raters * (raters - 1.0))

        let share label =
            Seq.sumBy (fun i -> count i label) [ 0 .. items - 1 ] / (float items * raters)

        let expected = labels |> Array.sumBy (fun l -> share l ** 2.0)
        (observed - expected) / (1.0 - expected)

    /// Krippendorff's alpha; ratings[rater][item], NaN = missing. Items with fewer than two ratings are left out.
    /// `interval` measures distance by the squared difference, else by equality. NaN where there is nothing to disagree on.
    static member KrippendorffAlpha(ratings: float[][], interval: bool) : float =
        Guard.atLeast "ratings" 2 ratings

        ratings
        |> Array.iteri (fun r row -> Guard.sameLength "ratings[0]" ratings[0] $"ratings[{r}]" row)

        let distance (a: float) b =
            if interval then (a - b) * (a - b)
            elif a = b then 0.0
            else 1.0

        let disagreement (values: float[]) =
            let counts = Array.countBy id values

            let pairs =
                Seq.allPairs counts counts
                |> Seq.sumBy (fun ((a, n), (b, m)) -> float n * float m * distance a b)

            pairs / (float values.Length * float (values.Length - 1))

        let units =
            Array.transpose ratings
            |> Array.map (Array.filter (Double.IsNaN >> not))
            |> Array.filter (fun u -> u.Length >= 2)

        let all = Array.concat units

        let observed =
            (units |> Array.sumBy (fun u -> disagreement u * float u.Length))
            / float all.Length

        1.0 - observed / disagreement all
