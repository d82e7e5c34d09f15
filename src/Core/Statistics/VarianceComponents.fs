// Variance components of a balanced one-way random model: how much of a score's spread comes from seeds, how much from items.
namespace PeftAlign.Core.Statistics

/// BetweenVariance = (MSB - MSW) / I and Icc may be negative: that is reported, not hidden.
type VarianceComponentsResult =
    {
        MeanSquareBetween: float
        MeanSquareWithin: float
        BetweenVariance: float
        Icc: float
        StandardErrorOfMean: float
    }

/// Components of variance.
[<AbstractClass; Sealed>]
type VarianceComponents =
    /// Groups (seeds) of equally many values (items): MSB and MSW, ICC(1), and the grand mean's standard error sqrt(MSB/(S I)).
    static member Balanced(groups: float[][]) : VarianceComponentsResult =
        Guard.atLeast "groups" 2 groups

        groups
        |> Array.iteri (fun i g -> Guard.sameLength "groups[0]" groups[0] $"groups[{i}]" g)

        groups |> Array.iteri (fun i g -> Guard.sample $"groups[{i}]" 2 g)
        let s, items = float groups.Length, float groups[0].Length
        let between = items * Descriptive.Variance(groups |> Array.map Array.average)
        let within = groups |> Array.averageBy Descriptive.Variance

        {
            MeanSquareBetween = between
            MeanSquareWithin = within
            BetweenVariance = (between - within) / items
            Icc = (between - within) / (between + (items - 1.0) * within)
            StandardErrorOfMean = sqrt (between / (s * items))
        }
