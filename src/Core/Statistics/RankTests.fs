// Rank tests: Wilcoxon signed rank, Mann-Whitney U, Kruskal-Wallis, Friedman. Exact distributions are conditional on the
// observed ranks, by dynamic programming; asymptotic ones carry the tie correction.
namespace PeftAlign.Core.Statistics

open System

/// What the signed-rank test does with differences of zero.
type ZeroMethod =
    /// Dropped (Wilcoxon 1945).
    | Wilcox = 0
    /// Ranked, then dropped (Pratt 1959).
    | Pratt = 1
    /// Ranked, their ranks split evenly between both signs.
    | ZSplit = 2

/// The signed-rank test. Statistic: min(W+, W-) two-sided, W+ one-sided. Z is NaN for the exact test.
type SignedRankResult =
    {
        Statistic: float
        Z: float
        PValue: float
        PositiveRankSum: float
        NegativeRankSum: float
    }

/// The Mann-Whitney test; U counts pairs in which the first sample is larger, ties one half.
type MannWhitneyResult = { U: float; Z: float; PValue: float }

module private Exact =
    /// Distribution of a sum of independently included weights (each with probability 1/2); index = sum.
    let subsetSums (weights: int[]) =
        let probabilities = Array.zeroCreate (Array.sum weights + 1)
        probabilities[0] <- 1.0
        let mutable reach = 0

        for w in weights do
            reach <- reach + w

            for s in reach .. -1 .. 0 do
                let without = probabilities[s]
                let including = if s >= w then probabilities[s - w] else 0.0
                probabilities[s] <- 0.5 * (without + including)

        probabilities

    /// Distribution of U for sample sizes n and m without ties; index = U (Mann and Whitney 1947, in probabilities:
    /// the largest value belongs to the first sample with probability n/(n+m), and then exceeds all m of the second).
    let mannWhitney n m =
        // One row of the recurrence: laws[j] is that of (i, j).
        let laws = Array.init (m + 1) (fun _ -> [| 1.0 |])

        for i in 1..n do
            for j in 1..m do
                let fewerFirst, fewerSecond = laws[j], laws[j - 1]
                let share = float i / float (i + j)
                let law = Array.zeroCreate (i * j + 1)
                fewerFirst |> Array.iteri (fun u p -> law[u + j] <- law[u + j] + share * p)
                fewerSecond |> Array.iteri (fun u p -> law[u] <- law[u] + (1.0 - share) * p)
                laws[j] <- law

        laws[m]

    let tail (probabilities: float[]) from =
        let mutable sum = 0.0

        for s in probabilities.Length - 1 .. -1 .. max 0 from do
            sum <- sum + probabilities[s]

        min 1.0 sum

    let head (probabilities: float[]) upTo =
        let mutable sum = 0.0

        for s in 0 .. min upTo (probabilities.Length - 1) do
            sum <- sum + probabilities[s]

        min 1.0 sum

module private Normal =
    let pValue z alternative =
        match alternative with
        | Alternative.Greater -> Distributions.NormalSf z
        | Alternative.Less -> Distributions.NormalCdf z
        | _ -> min 1.0 (2.0 * Distributions.NormalSf(abs z))

    let tieSum counts =
        counts |> Array.sumBy (fun t -> t * t * t - t)

/// Tests on ranks.
[<AbstractClass; Sealed>]
type RankTests =
    /// Ranks of |d| and the signed sums, zeros treated as told. Returns the ranks kept, W+, W-, and the zeros' count.
    static member private SignedRanks(differences: float[], zeros: ZeroMethod) =
        let kept =
            if zeros = ZeroMethod.Wilcox then
                Array.filter ((<>) 0.0) differences
            else
                differences

        let ranks = Descriptive.AverageRanks(Array.map abs kept)

        let sum sign =
            Array.fold2 (fun s d r -> if sign d then s + r else s) 0.0 kept ranks

        let split =
            if zeros = ZeroMethod.ZSplit then
                0.5 * sum ((=) 0.0)
            else
                0.0

        kept, ranks, sum (fun d -> d > 0.0) + split, sum (fun d -> d < 0.0) + split

    /// Asymptotic signed-rank test of paired differences with tie correction. `continuity` moves W+ by 1/2 to its mean.
    static member SignedRankAsymptotic
        (differences: float[], zeros: ZeroMethod, continuity: bool, alternative: Alternative)
        : SignedRankResult =
        Guard.sample "differences" 1 differences
        let kept, _, positive, negative = RankTests.SignedRanks(differences, zeros)
        let n = float kept.Length

        let absent =
            if zeros = ZeroMethod.Pratt then
                kept |> Array.filter ((=) 0.0) |> Array.length |> float
            else
                0.0

        let mean = 0.25 * (n * (n + 1.0) - absent * (absent + 1.0))
        let magnitudes = kept |> Array.map abs

        let tied =
            if zeros = ZeroMethod.Pratt then
                Array.filter ((<>) 0.0) magnitudes
            else
                magnitudes

        let cubes k = k * (k + 1.0) * (2.0 * k + 1.0)

        let sd =
            sqrt (
                (cubes n - cubes absent - 0.5 * Normal.tieSum (Descriptive.TieCounts tied))
                / 24.0
            )

        let raw = positive - mean

        let shift =
            match continuity, alternative with
            | false, _ -> 0.0
            | true, Alternative.Greater -> 0.5
            | true, Alternative.Less -> -0.5
            | true, _ -> 0.5 * float (sign raw)

        let z = (raw - shift) / sd
        let twoSided = alternative = Alternative.TwoSided

        {
            Statistic = (if twoSided then min positive negative else positive)
            Z = (if twoSided then -(abs z) else z)
            PValue = Normal.pValue z alternative
            PositiveRankSum = positive
            NegativeRankSum = negative
        }

    /// Exact signed-rank test; zeros are dropped, ties keep their average ranks. Up to 500 differences.
    static member SignedRankExact(differences: float[], alternative: Alternative) : SignedRankResult =
        Guard.sample "differences" 1 differences

        let kept, ranks, positive, negative =
            RankTests.SignedRanks(differences, ZeroMethod.Wilcox)

        if kept.Length > 500 then
            Guard.fail $"exact signed-rank test of {kept.Length} differences; 500 at most. Use the asymptotic test."

        // Average ranks are multiples of one half, so twice a rank is an integer.
        let law = ranks |> Array.map (fun r -> int (round (2.0 * r))) |> Exact.subsetSums
        let observed = int (round (2.0 * positive))
        let greater, less = Exact.tail law observed, Exact.head law observed
        let twoSided = alternative = Alternative.TwoSided

        {
            Statistic = (if twoSided then min positive negative else positive)
            Z = nan
            PValue =
                match alternative with
                | Alternative.Greater -> greater
                | Alternative.Less -> less
                | _ -> min 1.0 (2.0 * min greater less)
            PositiveRankSum = positive
            NegativeRankSum = negative
        }

    static member private U(first: float[], second: float[]) =
        Guard.sample "first" 1 first
        Guard.sample "second" 1 second
        let ranks = Descriptive.AverageRanks(Array.append first second)
        let n = float first.Length
        Array.sum (Array.take first.Length ranks) - 0.5 * n * (n + 1.0)

    /// Asymptotic two-sided Mann-Whitney test with tie correction, with or without continuity correction.
    static member MannWhitneyAsymptotic(first: float[], second: float[], continuity: bool) : MannWhitneyResult =
        let u = RankTests.U(first, second)
        let n, m = float first.Length, float second.Length
        let whole = n + m
        let ties = Normal.tieSum (Descriptive.TieCounts(Array.append first second))
        let sd = sqrt (n * m / 12.0 * (whole + 1.0 - ties / (whole * (whole - 1.0))))
        let larger = max u (n * m - u)
        let z = (larger - 0.5 * n * m - (if continuity then 0.5 else 0.0)) / sd

        {
            U = u
            Z = z
            PValue = Math.Clamp(2.0 * Distributions.NormalSf z, 0.0, 1.0)
        }

    /// Exact two-sided Mann-Whitney test. Error: a value that both samples hold, or more than 10,000 pairs.
    static member MannWhitneyExact(first: float[], second: float[]) : MannWhitneyResult =
        let u = RankTests.U(first, second)
        let n, m = first.Length, second.Length

        match Array.tryFind (fun v -> Array.contains v second) first with
        | Some v -> Guard.fail $"both samples hold {v}; the exact Mann-Whitney law knows no tied pairs. Use the asymptotic test."
        | None -> ()

        if n * m > 10000 then
            Guard.fail $"exact Mann-Whitney test of {n} x {m} pairs; 10000 at most. Use the asymptotic test."

        let larger = int (round (max u (float (n * m) - u)))

        {
            U = u
            Z = nan
            PValue = min 1.0 (2.0 * Exact.tail (Exact.mannWhitney n m) larger)
        }

    /// Kruskal-Wallis test of equal location over groups, tie-corrected; statistic H.
    static member KruskalWallis(groups: float[][]) : TestResult =
        Guard.atLeast "groups" 2 groups
        groups |> Array.iteri (fun i g -> Guard.sample $"groups[{i}]" 1 g)
        let all = Array.concat groups
        let ranks = Descriptive.AverageRanks all
        let n = float all.Length
        let starts = groups |> Array.scan (fun at g -> at + g.Length) 0

        let part i =
            Array.sub ranks starts[i] groups[i].Length |> Array.sum

        let sum =
            groups |> Array.mapi (fun i g -> part i ** 2.0 / float g.Length) |> Array.sum

        let correction = 1.0 - Normal.tieSum (Descriptive.TieCounts all) / (n * n * n - n)
        let h = (12.0 / (n * (n + 1.0)) * sum - 3.0 * (n + 1.0)) / correction
        let df = float (groups.Length - 1)

        {
            Statistic = h
            DegreesOfFreedom = df
            PValue = Distributions.ChiSquaredSf(h, df)
        }

    /// Friedman test over blocks (rows) of treatments (columns), tie-corrected; statistic chi-squared.
    static member Friedman(rows: float[][]) : TestResult =
        Guard.atLeast "rows" 2 rows

        rows
        |> Array.iteri (fun i r -> Guard.sameLength "rows[0]" rows[0] $"rows[{i}]" r)

        let n, k = float rows.Length, float rows[0].Length
        let ranks = rows |> Array.map Descriptive.AverageRanks

        let columns =
            Array.init rows[0].Length (fun j -> ranks |> Array.sumBy (fun r -> r[j]))

        let ties = rows |> Array.sumBy (fun r -> Normal.tieSum (Descriptive.TieCounts r))
        let correction = 1.0 - ties / (k * (k * k - 1.0) * n)
        let sum = columns |> Array.sumBy (fun s -> s * s)
        let chi = (12.0 / (k * n * (k + 1.0)) * sum - 3.0 * n * (k + 1.0)) / correction

        {
            Statistic = chi
            DegreesOfFreedom = k - 1.0
            PValue = Distributions.ChiSquaredSf(chi, k - 1.0)
        }
