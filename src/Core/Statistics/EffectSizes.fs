// Effect sizes: Cohen's d and relatives (Cohen 1988; Hedges 1981; Glass 1976), Cliff's delta (1993), common language.
namespace PeftAlign.Core.Statistics

/// Standardised and ordinal differences, first - second.
[<AbstractClass; Sealed>]
type EffectSizes =
    /// Cohen's d with the pooled standard deviation.
    static member CohenD(first: float[], second: float[]) : float =
        Guard.sample "first" 2 first
        Guard.sample "second" 2 second
        let n, m = float first.Length, float second.Length

        let pooled =
            ((n - 1.0) * Descriptive.Variance first + (m - 1.0) * Descriptive.Variance second)
            / (n + m - 2.0)

        (Descriptive.Mean first - Descriptive.Mean second) / sqrt pooled

    /// Hedges' g: d times the exact correction J = G(df/2) / (sqrt(df/2) G((df-1)/2)).
    static member HedgesG(first: float[], second: float[]) : float =
        let df = float (first.Length + second.Length - 2)

        let logJ =
            Distributions.LogGamma(0.5 * df)
            - 0.5 * log (0.5 * df)
            - Distributions.LogGamma(0.5 * (df - 1.0))

        EffectSizes.CohenD(first, second) * exp logJ

    /// Hedges' g with the approximate correction 1 - 3 / (4 df - 1).
    static member HedgesGApproximate(first: float[], second: float[]) : float =
        let df = float (first.Length + second.Length - 2)
        EffectSizes.CohenD(first, second) * (1.0 - 3.0 / (4.0 * df - 1.0))

    /// Glass's delta: the difference in standard deviations of the second sample (the control).
    static member GlassDelta(first: float[], second: float[]) : float =
        (Descriptive.Mean first - Descriptive.Mean second)
        / Descriptive.StandardDeviation second

    /// d_z: mean over standard deviation of paired differences.
    static member CohenDz(first: float[], second: float[]) : float =
        Guard.sameLength "first" first "second" second
        let d = Array.map2 (-) first second
        Descriptive.Mean d / Descriptive.StandardDeviation d

    /// d_av: mean paired difference over the average of both standard deviations.
    static member CohenDav(first: float[], second: float[]) : float =
        Guard.sameLength "first" first "second" second

        let spread =
            0.5
            * (Descriptive.StandardDeviation first + Descriptive.StandardDeviation second)

        Descriptive.Mean(Array.map2 (-) first second) / spread

    /// Cliff's delta: share of pairs in which first is larger minus share in which it is smaller.
    static member CliffDelta(first: float[], second: float[]) : float =
        Guard.sample "first" 1 first
        Guard.sample "second" 1 second

        let sum =
            first
            |> Array.sumBy (fun a -> second |> Array.sumBy (fun b -> float (compare a b |> sign)))

        sum / (float first.Length * float second.Length)

    /// Probability that a value of first exceeds one of second, ties one half.
    static member CommonLanguage(first: float[], second: float[]) : float =
        0.5 * (1.0 + EffectSizes.CliffDelta(first, second))
