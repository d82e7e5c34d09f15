// Tests on paired right/wrong answers: McNemar's in four forms, Cochran's Q, the sign test.
// Sources: McNemar (1947), Edwards (1948, continuity), Fagerland et al. (2013, mid-p), Cochran (1950).
namespace PeftAlign.Core.Statistics

/// McNemar's test of discordant pairs. ChiSquared..., MidP are NaN where no pair is discordant; Exact is 1 there.
type McNemarResult =
    {
        OnlyFirst: int
        OnlySecond: int
        ExactP: float
        ChiSquared: float
        ChiSquaredP: float
        CorrectedChiSquared: float
        CorrectedP: float
        MidP: float
    }

/// Tests for binary outcomes of the same items under several systems.
[<AbstractClass; Sealed>]
type CategoricalTests =
    /// McNemar from the two discordant counts: items that only the first, and only the second, got right.
    static member McNemar(onlyFirst: int, onlySecond: int) : McNemarResult =
        if onlyFirst < 0 || onlySecond < 0 then
            Guard.fail $"discordant counts are {onlyFirst} and {onlySecond}; counts are not negative. Count again."

        let n = onlyFirst + onlySecond
        let smaller = min onlyFirst onlySecond
        let gap = abs (float (onlyFirst - onlySecond))

        let chi excess =
            if n = 0 then nan else excess * excess / float n

        let plain, corrected = chi gap, chi (gap - 1.0)
        let point = Distributions.BinomialPmf(smaller, n, 0.5)
        let tail = Distributions.BinomialCdf(smaller, n, 0.5)

        {
            OnlyFirst = onlyFirst
            OnlySecond = onlySecond
            ExactP = min 1.0 (2.0 * tail)
            ChiSquared = plain
            ChiSquaredP = Distributions.ChiSquaredSf(plain, 1.0)
            CorrectedChiSquared = corrected
            CorrectedP = Distributions.ChiSquaredSf(corrected, 1.0)
            MidP =
                if n = 0 then nan
                elif onlyFirst = onlySecond then 1.0 - 0.5 * point
                else 2.0 * tail - point
        }

    /// McNemar from answers to the same items.
    static member McNemar(first: bool[], second: bool[]) : McNemarResult =
        Guard.sameLength "first" first "second" second

        let count predicate =
            Array.fold2 (fun n a b -> if predicate a b then n + 1 else n) 0 first second

        CategoricalTests.McNemar(count (fun a b -> a && not b), count (fun a b -> b && not a))

    /// Cochran's Q over items (rows) of systems (columns) with 0/1 outcomes; NaN where every row is constant.
    static member CochranQ(rows: bool[][]) : TestResult =
        Guard.atLeast "rows" 1 rows

        rows
        |> Array.iteri (fun i r -> Guard.sameLength "rows[0]" rows[0] $"rows[{i}]" r)

        Guard.atLeast "the columns of rows" 2 rows[0]
        let k = float rows[0].Length
        let number flag = if flag then 1.0 else 0.0

        let columns =
            Array.init rows[0].Length (fun j -> rows |> Array.sumBy (fun r -> number r[j]))

        let totals = rows |> Array.map (Array.sumBy number)
        let whole = Array.sum totals
        let square (x: float) = x * x
        let above = (k - 1.0) * (k * Array.sumBy square columns - whole * whole)
        let q = above / (k * whole - Array.sumBy square totals)

        {
            Statistic = q
            DegreesOfFreedom = k - 1.0
            PValue = Distributions.ChiSquaredSf(q, k - 1.0)
        }

    /// Two-sided sign test of paired values; equal pairs are left out. 1 where all pairs are equal.
    static member SignTest(first: float[], second: float[]) : float =
        Guard.sameLength "first" first "second" second
        let signs = Array.map2 (fun (a: float) b -> compare a b) first second
        let more = signs |> Array.filter (fun s -> s > 0) |> Array.length
        let decided = signs |> Array.filter ((<>) 0) |> Array.length
        Proportions.BinomialTest(more, decided, 0.5, Alternative.TwoSided)
