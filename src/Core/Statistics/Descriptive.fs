// Descriptive statistics: moments, ranks and the quantile definitions of Hyndman and Fan (1996) that tools use.
namespace PeftAlign.Core.Statistics

open System

/// Quantile definitions; numbers in brackets are those of Hyndman and Fan, "Sample quantiles in statistical packages".
type QuantileMethod =
    /// (7) linear between order statistics; the default of most tools.
    | Linear = 0
    /// (5) midway between steps.
    | Hazen = 1
    /// (6) mean rank.
    | Weibull = 2
    /// (8) approximately median-unbiased for every distribution.
    | MedianUnbiased = 3
    /// (1) the smallest observation whose share reaches the level.
    | InvertedCdf = 4

/// Moments, quantiles and ranks of a sample.
[<AbstractClass; Sealed>]
type Descriptive =
    /// Arithmetic mean. Error: no values, or one that is not finite.
    static member Mean(values: float[]) : float =
        Guard.sample "values" 1 values
        Array.average values

    /// Sample variance with n-1; NaN for a single value.
    static member Variance(values: float[]) : float =
        let mean = Descriptive.Mean values
        let squares = values |> Array.sumBy (fun v -> (v - mean) * (v - mean))
        squares / float (values.Length - 1)

    /// Sample standard deviation with n-1; NaN for a single value.
    static member StandardDeviation(values: float[]) : float = sqrt (Descriptive.Variance values)

    /// Standard error of the mean, s / sqrt n; NaN for a single value.
    static member StandardError(values: float[]) : float =
        Descriptive.StandardDeviation values / sqrt (float values.Length)

    /// Median: the middle value, or the mean of the middle two.
    static member Median(values: float[]) : float =
        Guard.sample "values" 1 values
        let sorted = Array.sort values
        let half = sorted.Length / 2

        if sorted.Length % 2 = 1 then
            sorted[half]
        else
            0.5 * (sorted[half - 1] + sorted[half])

    /// Quantile at a level in [0, 1]. Error: a level outside, or no values.
    static member Quantile
        (
            values: float[],
            level: float,
            [<Runtime.InteropServices.Optional; Runtime.InteropServices.DefaultParameterValue(QuantileMethod.Linear)>] method:
                QuantileMethod
        ) : float =
        Guard.sample "values" 1 values
        Descriptive.QuantileOfSorted(Array.sort values, level, method)

    /// Quantile of values that are already in ascending order.
    static member internal QuantileOfSorted(sorted: float[], level: float, method: QuantileMethod) : float =
        if not (level >= 0.0 && level <= 1.0) then
            Guard.fail $"level is {level}; a quantile's level lies in [0, 1]. Give for example 0.975."

        let n = float sorted.Length
        // Position of the quantile among order statistics, counted from 0.
        let position =
            match method with
            | QuantileMethod.Linear -> level * (n - 1.0)
            | QuantileMethod.Hazen -> level * n - 0.5
            | QuantileMethod.Weibull -> level * (n + 1.0) - 1.0
            | QuantileMethod.MedianUnbiased -> level * (n + 1.0 / 3.0) - 2.0 / 3.0
            | QuantileMethod.InvertedCdf -> ceil (level * n) - 1.0
            | other -> Guard.fail $"quantile method {int other} is unknown; use a member of QuantileMethod."

        let clamped = Math.Clamp(position, 0.0, n - 1.0)
        let below = int (floor clamped)
        let above = min (below + 1) (sorted.Length - 1)
        let share = clamped - float below
        // Interpolate from the nearer end, so that equal neighbours give exactly themselves.
        let step = sorted[above] - sorted[below]

        if share < 0.5 then
            sorted[below] + step * share
        else
            sorted[above] - step * (1.0 - share)

    /// Ranks from 1; tied values share their average rank.
    static member AverageRanks(values: float[]) : float[] =
        Guard.finite "values" values
        let order = Array.init values.Length id |> Array.sortBy (fun i -> values[i])
        let ranks = Array.zeroCreate values.Length
        let mutable first = 0

        while first < order.Length do
            let mutable last = first

            while last + 1 < order.Length && values[order[last + 1]] = values[order[first]] do
                last <- last + 1

            for k in first..last do
                ranks[order[k]] <- 0.5 * float (first + last) + 1.0

            first <- last + 1

        ranks

    /// Sizes of the groups of equal values, in ascending order of value.
    static member internal TieCounts(values: float[]) : float[] =
        values |> Array.sort |> Array.countBy id |> Array.map (snd >> float)
