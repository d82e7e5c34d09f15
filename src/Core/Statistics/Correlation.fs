// Correlation: Pearson with Fisher's interval, Spearman, Kendall tau-b and tau-c (Kendall 1938, 1945; Stuart 1953).
namespace PeftAlign.Core.Statistics

open System

/// A correlation coefficient and its two-sided p-value against zero.
type CorrelationResult = { Coefficient: float; PValue: float }

module private Concordance =
    /// Concordant minus discordant pairs, and pairs that are tied in neither.
    let pairs (x: float[]) (y: float[]) =
        let mutable difference, decided = 0L, 0L

        for i in 0 .. x.Length - 2 do
            for j in i + 1 .. x.Length - 1 do
                let s = sign (compare x[i] x[j]) * sign (compare y[i] y[j])
                difference <- difference + int64 s
                decided <- decided + int64 (abs s)

        float difference, float decided

    /// P(number of inversions of a random permutation <= limit), by the Mahonian recurrence in probabilities.
    let private mahonianCdf n (limit: int) =
        let size = n * (n - 1) / 2 + 1
        let mutable law = Array.zeroCreate<float> size
        law[0] <- 1.0

        for k in 2..n do
            // The k-th value adds 0 .. k-1 inversions with equal probability: a moving average.
            let next = Array.zeroCreate<float> size
            let mutable window = 0.0

            for s in 0 .. k * (k - 1) / 2 do
                window <- window + law[s]

                if s >= k then
                    window <- window - law[s - k]

                next[s] <- window / float k

            law <- next

        Array.sum (Array.take (min size (limit + 1)) law)

    let inversionsCdf n (limit: int) =
        // Of n! orders one has no inversion and n-1 have exactly one.
        if limit <= 1 then
            exp (log (if limit = 0 then 1.0 else float n) - Distributions.LogGamma(float n + 1.0))
        else
            mahonianCdf n limit

    let tiePairs counts =
        counts |> Array.sumBy (fun t -> 0.5 * t * (t - 1.0))

    /// Variance of concordant - discordant under independence, with ties in both rankings.
    let variance n (x: float[]) (y: float[]) =
        let sum f counts = counts |> Array.sumBy f
        let cubic t = t * (t - 1.0) * (t - 2.0)
        let wide t = t * (t - 1.0) * (2.0 * t + 5.0)
        let pairs = n * (n - 1.0)

        (pairs * (2.0 * n + 5.0) - sum wide x - sum wide y) / 18.0
        + 2.0 * tiePairs x * tiePairs y / pairs
        + sum cubic x * sum cubic y / (9.0 * pairs * (n - 2.0))

/// Coefficients alone, of any number of pairs; NaN where a side is constant.
module internal Coefficients =
    let pearson (x: float[]) (y: float[]) =
        let mx, my = Array.average x, Array.average y

        let dot (a: float[]) ma (b: float[]) mb =
            Array.fold2 (fun s p q -> s + (p - ma) * (q - mb)) 0.0 a b

        let sxx, syy = dot x mx x mx, dot y my y my
        // One root: equal rankings then correlate by exactly 1. Two where the product leaves the range of numbers.
        let product = sxx * syy

        let norm =
            if Double.IsNormal product then
                sqrt product
            else
                sqrt sxx * sqrt syy

        Math.Clamp(dot x mx y my / norm, -1.0, 1.0)

    let spearman (x: float[]) (y: float[]) =
        pearson (Descriptive.AverageRanks x) (Descriptive.AverageRanks y)

/// Correlation between paired observations.
[<AbstractClass; Sealed>]
type Correlation =
    /// Pearson's r; also the point-biserial coefficient where one side is 0/1. NaN where a side is constant.
    static member Pearson(x: float[], y: float[]) : CorrelationResult =
        Guard.sameLength "x" x "y" y
        Guard.sample "x" 3 x
        Guard.sample "y" 3 y
        let r = Coefficients.pearson x y
        let df = float (x.Length - 2)
        let t = r * sqrt (df / ((1.0 - r) * (1.0 + r)))

        {
            Coefficient = r
            PValue = 2.0 * Distributions.StudentTSf(abs t, df)
        }

    /// Fisher's interval for Pearson's r at the given confidence; needs at least four pairs.
    static member PearsonInterval(x: float[], y: float[], confidence: float) : Interval =
        Guard.sample "x" 4 x
        Guard.probability "confidence" confidence
        let z = Math.Atanh(Correlation.Pearson(x, y).Coefficient)

        let half =
            Distributions.NormalQuantile(0.5 + 0.5 * confidence)
            / sqrt (float x.Length - 3.0)

        {
            Lower = tanh (z - half)
            Upper = tanh (z + half)
        }

    /// Spearman's rho with the t approximation.
    static member Spearman(x: float[], y: float[]) : CorrelationResult =
        Correlation.Pearson(Descriptive.AverageRanks x, Descriptive.AverageRanks y)

    /// Kendall's tau-b. The p-value is exact where nothing is tied and n <= 33 (or at most one pair is out of order),
    /// else asymptotic with tie correction.
    static member KendallB(x: float[], y: float[]) : CorrelationResult =
        Guard.sameLength "x" x "y" y
        Guard.sample "x" 2 x
        Guard.sample "y" 2 y
        let n = float x.Length
        let difference, _ = Concordance.pairs x y
        let tx, ty = Descriptive.TieCounts x, Descriptive.TieCounts y
        let all = 0.5 * n * (n - 1.0)
        let xFree, yFree = all - Concordance.tiePairs tx, all - Concordance.tiePairs ty
        let tau = Math.Clamp(difference / sqrt xFree / sqrt yFree, -1.0, 1.0)
        let fewer = 0.5 * (all - abs difference)
        let exact = xFree = all && yFree = all && (x.Length <= 33 || fewer <= 1.0)

        let p =
            if exact then
                min 1.0 (2.0 * Concordance.inversionsCdf x.Length (int fewer))
            else
                2.0
                * Distributions.NormalSf(abs difference / sqrt (Concordance.variance n tx ty))

        {
            Coefficient = tau
            PValue = (if Double.IsNaN tau then nan else p)
        }

    /// Stuart's tau-c, for rankings with different numbers of categories.
    static member KendallC(x: float[], y: float[]) : float =
        Guard.sameLength "x" x "y" y
        let n = float x.Length
        let difference, _ = Concordance.pairs x y
        let classes = float (min (Array.distinct x).Length (Array.distinct y).Length)
        2.0 * difference / (n * n * (classes - 1.0) / classes)
