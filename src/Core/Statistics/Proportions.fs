// Intervals and tests for proportions. Sources: Wilson (1927), Clopper and Pearson (1934), Agresti and Coull (1998),
// Newcombe (1998, both papers), Agresti and Caffo (2000), Fisher (1935), Cohen (1988).
namespace PeftAlign.Core.Statistics

open System

/// How an interval for one proportion is made.
type ProportionMethod =
    /// Score interval; the default: close to its nominal coverage at every n.
    | Wilson = 0
    /// Exact (beta quantiles); never below its nominal coverage.
    | ClopperPearson = 1
    | AgrestiCoull = 2
    /// Normal approximation, clipped to [0, 1].
    | Wald = 3
    /// Bayesian with the prior Beta(1/2, 1/2), equal tails.
    | Jeffreys = 4
    /// Score interval with continuity correction.
    | WilsonContinuity = 5

/// How an interval for the difference of two proportions is made.
type DifferenceMethod =
    /// Hybrid score interval (Newcombe 1998, method 10).
    | Newcombe = 0
    | Wald = 1
    /// One success and one failure added to each sample.
    | AgrestiCaffo = 2

module private ProportionIntervals =
    let critical alpha =
        Distributions.NormalQuantile(1.0 - 0.5 * alpha)

    let clip interval =
        {
            Lower = Math.Clamp(interval.Lower, 0.0, 1.0)
            Upper = Math.Clamp(interval.Upper, 0.0, 1.0)
        }

    let around centre half =
        {
            Lower = centre - half
            Upper = centre + half
        }

    let wilson k n alpha =
        let z = critical alpha
        let p, z2 = k / n, z * z
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n)
        let half = z * sqrt (p * (1.0 - p) / n + z2 / (4.0 * n * n)) / (1.0 + z2 / n)
        let score = clip (around centre half)

        {
            Lower = (if k = 0.0 then 0.0 else score.Lower)
            Upper = (if k = n then 1.0 else score.Upper)
        }

    let wilsonContinuity k n alpha =
        let z = critical alpha
        let p, z2 = k / n, z * z
        let q = 1.0 - p
        let scale = 2.0 * (n + z2)
        // One half is moved from the observed count towards each limit (Newcombe 1998, method 4).
        let lower =
            (2.0 * k + z2 - 1.0 - z * sqrt (z2 - 2.0 - 1.0 / n + 4.0 * p * (n * q + 1.0)))
            / scale

        let upper =
            (2.0 * k + z2 + 1.0 + z * sqrt (z2 + 2.0 - 1.0 / n + 4.0 * p * (n * q - 1.0)))
            / scale

        clip
            {
                Lower = (if k = 0.0 then 0.0 else lower)
                Upper = (if k = n then 1.0 else upper)
            }

    let clopperPearson k n alpha =
        {
            Lower =
                (if k = 0.0 then
                     0.0
                 else
                     Distributions.BetaQuantile(0.5 * alpha, k, n - k + 1.0))
            Upper =
                (if k = n then
                     1.0
                 else
                     Distributions.BetaQuantile(1.0 - 0.5 * alpha, k + 1.0, n - k))
        }

    let agrestiCoull k n alpha =
        let z = critical alpha
        let n' = n + z * z
        let p = (k + 0.5 * z * z) / n'
        clip (around p (z * sqrt (p * (1.0 - p) / n')))

    let wald k n alpha =
        let p = k / n
        clip (around p (critical alpha * sqrt (p * (1.0 - p) / n)))

    let jeffreys k n alpha =
        {
            Lower = Distributions.BetaQuantile(0.5 * alpha, k + 0.5, n - k + 0.5)
            Upper = Distributions.BetaQuantile(1.0 - 0.5 * alpha, k + 0.5, n - k + 0.5)
        }

    let check what successes trials =
        if trials < 1 || successes < 0 || successes > trials then
            Guard.fail
                $"{what} has {successes} successes in {trials} trials; 0 <= successes <= trials, trials >= 1 are needed. Count again."

/// Inference on one and two proportions.
[<AbstractClass; Sealed>]
type Proportions =
    /// Two-sided interval of level 1 - alpha for successes / trials.
    static member Interval(successes: int, trials: int, alpha: float, method: ProportionMethod) : Interval =
        ProportionIntervals.check "the sample" successes trials
        Guard.probability "alpha" alpha
        let k, n = float successes, float trials

        match method with
        | ProportionMethod.Wilson -> ProportionIntervals.wilson k n alpha
        | ProportionMethod.ClopperPearson -> ProportionIntervals.clopperPearson k n alpha
        | ProportionMethod.AgrestiCoull -> ProportionIntervals.agrestiCoull k n alpha
        | ProportionMethod.Wald -> ProportionIntervals.wald k n alpha
        | ProportionMethod.Jeffreys -> ProportionIntervals.jeffreys k n alpha
        | ProportionMethod.WilsonContinuity -> ProportionIntervals.wilsonContinuity k n alpha
        | other -> Guard.fail $"proportion method {int other} is unknown; use a member of ProportionMethod."

    /// Wilson's 95 % interval.
    static member Wilson95(successes: int, trials: int) : Interval =
        Proportions.Interval(successes, trials, 0.05, ProportionMethod.Wilson)

    /// Two-sample z test of equal proportions with the pooled variance; statistic z, two-sided p.
    /// NaN where both samples are all successes or all failures.
    static member PooledZTest(successesA: int, trialsA: int, successesB: int, trialsB: int) : TestResult =
        ProportionIntervals.check "the first sample" successesA trialsA
        ProportionIntervals.check "the second sample" successesB trialsB
        let n, m = float trialsA, float trialsB
        let pooled = float (successesA + successesB) / (n + m)

        let z =
            (float successesA / n - float successesB / m)
            / sqrt (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m))

        {
            Statistic = z
            DegreesOfFreedom = nan
            PValue = 2.0 * Distributions.NormalSf(abs z)
        }

    /// Interval of level 1 - alpha for the difference of proportions, first - second.
    static member DifferenceInterval
        (successesA: int, trialsA: int, successesB: int, trialsB: int, alpha: float, method: DifferenceMethod)
        : Interval =
        ProportionIntervals.check "the first sample" successesA trialsA
        ProportionIntervals.check "the second sample" successesB trialsB
        Guard.probability "alpha" alpha
        let a, n, b, m = float successesA, float trialsA, float successesB, float trialsB
        let z = ProportionIntervals.critical alpha

        let normal a n b m =
            let p, q = a / n, b / m
            ProportionIntervals.around (p - q) (z * sqrt (p * (1.0 - p) / n + q * (1.0 - q) / m))

        match method with
        | DifferenceMethod.Wald -> normal a n b m
        | DifferenceMethod.AgrestiCaffo -> normal (a + 1.0) (n + 2.0) (b + 1.0) (m + 2.0)
        | DifferenceMethod.Newcombe ->
            let p, q = a / n, b / m

            let first, second =
                ProportionIntervals.wilson a n alpha, ProportionIntervals.wilson b m alpha

            let distance u v = sqrt (u * u + v * v)

            {
                Lower = p - q - distance (p - first.Lower) (second.Upper - q)
                Upper = p - q + distance (first.Upper - p) (q - second.Lower)
            }
        | other -> Guard.fail $"difference method {int other} is unknown; use a member of DifferenceMethod."

    /// Fisher's exact test of a 2 x 2 table, two-sided: the sum over tables with the same margins that are
    /// not likelier than the observed one (relative tolerance 1e-7, as equal tables differ by rounding).
    static member FisherExact(successesA: int, trialsA: int, successesB: int, trialsB: int) : float =
        ProportionIntervals.check "the first sample" successesA trialsA
        ProportionIntervals.check "the second sample" successesB trialsB
        let successes = successesA + successesB

        let choose n k =
            MathNet.Numerics.SpecialFunctions.BinomialLn(n, k)

        let whole = choose (trialsA + trialsB) successes

        let probability k =
            exp (choose trialsA k + choose trialsB (successes - k) - whole)

        let limit = probability successesA * (1.0 + 1e-7)

        seq { max 0 (successes - trialsB) .. min trialsA successes }
        |> Seq.sumBy (fun k -> let p = probability k in if p <= limit then p else 0.0)
        |> min 1.0

    /// Sample odds ratio, first over second; NaN where a product of the denominator is zero.
    static member OddsRatio(successesA: int, trialsA: int, successesB: int, trialsB: int) : float =
        ProportionIntervals.check "the first sample" successesA trialsA
        ProportionIntervals.check "the second sample" successesB trialsB
        let below = float successesB * float (trialsA - successesA)

        if below = 0.0 then
            nan
        else
            float successesA * float (trialsB - successesB) / below

    /// Cohen's effect size h = 2 asin sqrt p1 - 2 asin sqrt p2.
    static member CohenH(first: float, second: float) : float =
        2.0 * asin (sqrt first) - 2.0 * asin (sqrt second)

    /// Exact binomial test of `successes` in `trials` against probability p. Two-sided: the sum of all outcomes
    /// that are not likelier than the observed one (relative tolerance 1e-7).
    static member BinomialTest(successes: int, trials: int, p: float, alternative: Alternative) : float =
        if trials < 0 || successes < 0 || successes > trials || not (p >= 0.0 && p <= 1.0) then
            Guard.fail
                $"binomial test of {successes} in {trials} against {p}: 0 <= successes <= trials and 0 <= p <= 1 are needed."

        match alternative with
        | Alternative.Greater -> Distributions.BinomialSf(successes - 1, trials, p)
        | Alternative.Less -> Distributions.BinomialCdf(successes, trials, p)
        | _ ->
            let limit = Distributions.BinomialPmf(successes, trials, p) * (1.0 + 1e-7)

            seq { 0..trials }
            |> Seq.sumBy (fun k -> let q = Distributions.BinomialPmf(k, trials, p) in if q <= limit then q else 0.0)
            |> min 1.0

    /// Half-width of the normal interval of a proportion p from n trials: what a win rate can resolve.
    static member NormalHalfWidth(p: float, n: int, alpha: float) : float =
        Guard.probability "alpha" alpha
        ProportionIntervals.critical alpha * sqrt (p * (1.0 - p) / float n)
