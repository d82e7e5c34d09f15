// Equivalence by two one-sided tests (Schuirmann 1987): the difference lies within a margin stated beforehand.
namespace PeftAlign.Core.Statistics

/// Two one-sided tests: Lower rejects a difference at or below -margin, Upper one at or above +margin.
/// PValue is the larger of the two; Interval has the level 1 - 2 alpha that matches the test.
type EquivalenceResult =
    {
        Lower: TestResult
        Upper: TestResult
        PValue: float
        Estimate: float
        Interval: Interval
    }

/// Tests of equivalence.
[<AbstractClass; Sealed>]
type Equivalence =
    static member private FromT(t: TTestResult, margin: float) =
        if not (margin > 0.0) then
            Guard.fail
                $"margin is {margin}; an equivalence margin is positive. State the largest difference that does not matter."

        let df = t.DegreesOfFreedom

        let lower, upper =
            (t.Estimate + margin) / t.StandardError, (t.Estimate - margin) / t.StandardError

        let below =
            {
                Statistic = lower
                DegreesOfFreedom = df
                PValue = Distributions.StudentTSf(lower, df)
            }

        let above =
            {
                Statistic = upper
                DegreesOfFreedom = df
                PValue = Distributions.StudentTCdf(upper, df)
            }

        {
            Lower = below
            Upper = above
            PValue = max below.PValue above.PValue
            Estimate = t.Estimate
            Interval = t.Interval
        }

    /// Paired equivalence of first - second within +-margin; Interval of level 1 - 2 alpha.
    static member Paired(first: float[], second: float[], margin: float, alpha: float) : EquivalenceResult =
        let t =
            LocationTests.PairedT(first, second, Alternative.TwoSided, 1.0 - 2.0 * alpha)

        Equivalence.FromT(t, margin)

    /// Equivalence of two independent means within +-margin.
    static member Independent
        (first: float[], second: float[], margin: float, equalVariances: bool, alpha: float)
        : EquivalenceResult =
        let t =
            LocationTests.IndependentT(first, second, equalVariances, Alternative.TwoSided, 1.0 - 2.0 * alpha)

        Equivalence.FromT(t, margin)
