// Student's t tests and their relatives for means and variances: one sample, paired, independent, Welch, one-way ANOVA, Levene.
namespace PeftAlign.Core.Statistics

/// A t test: the estimate (mean or difference of means), its standard error, and a two-sided interval.
type TTestResult =
    {
        T: float
        DegreesOfFreedom: float
        PValue: float
        Estimate: float
        StandardError: float
        Interval: Interval
    }

module private TTest =
    let pValue t df alternative =
        match alternative with
        | Alternative.Greater -> Distributions.StudentTSf(t, df)
        | Alternative.Less -> Distributions.StudentTCdf(t, df)
        | _ -> 2.0 * Distributions.StudentTSf(abs t, df)

    /// t is +-infinity where a difference has no spread, and undefined where there is no difference either.
    let result estimate error df alternative confidence =
        let t = estimate / error
        let half = error * Distributions.StudentTQuantile(0.5 + 0.5 * confidence, df)

        {
            T = t
            DegreesOfFreedom = df
            PValue = pValue t df alternative
            Estimate = estimate
            StandardError = error
            Interval =
                {
                    Lower = estimate - half
                    Upper = estimate + half
                }
        }

/// Tests of means and of equal variances. `confidence` is the level of the two-sided interval, for example 0.95.
[<AbstractClass; Sealed>]
type LocationTests =
    /// One-sample t test of the mean against `expected`; the interval is that of the mean.
    static member OneSampleT(values: float[], expected: float, alternative: Alternative, confidence: float) : TTestResult =
        Guard.sample "values" 2 values
        Guard.probability "confidence" confidence
        let mean, error = Descriptive.Mean values, Descriptive.StandardError values

        let r =
            TTest.result (mean - expected) error (float (values.Length - 1)) alternative confidence

        { r with
            Estimate = mean
            Interval =
                {
                    Lower = r.Interval.Lower + expected
                    Upper = r.Interval.Upper + expected
                }
        }

    /// Paired t test of first - second, item by item.
    static member PairedT(first: float[], second: float[], alternative: Alternative, confidence: float) : TTestResult =
        Guard.sameLength "first" first "second" second
        LocationTests.OneSampleT(Array.map2 (-) first second, 0.0, alternative, confidence)

    /// Independent t test of mean(first) - mean(second): pooled variance, or Welch's with its own degrees of freedom.
    static member IndependentT
        (first: float[], second: float[], equalVariances: bool, alternative: Alternative, confidence: float)
        : TTestResult =
        Guard.sample "first" 2 first
        Guard.sample "second" 2 second
        Guard.probability "confidence" confidence
        let n, m = float first.Length, float second.Length
        let u, v = Descriptive.Variance first, Descriptive.Variance second
        let difference = Descriptive.Mean first - Descriptive.Mean second

        if equalVariances then
            let pooled = ((n - 1.0) * u + (m - 1.0) * v) / (n + m - 2.0)
            TTest.result difference (sqrt (pooled * (1.0 / n + 1.0 / m))) (n + m - 2.0) alternative confidence
        else
            let a, b = u / n, v / m
            let df = (a + b) * (a + b) / (a * a / (n - 1.0) + b * b / (m - 1.0))
            TTest.result difference (sqrt (a + b)) df alternative confidence

    /// t interval of the mean at the given confidence.
    static member MeanInterval(values: float[], confidence: float) : Interval =
        LocationTests.OneSampleT(values, 0.0, Alternative.TwoSided, confidence).Interval

    /// One-way analysis of variance; statistic F, DegreesOfFreedom those of the residual.
    static member OneWay(groups: float[][]) : TestResult =
        Guard.atLeast "groups" 2 groups
        groups |> Array.iteri (fun i g -> Guard.sample $"groups[{i}]" 1 g)
        let all = Array.concat groups
        let grand = Descriptive.Mean all
        let means = groups |> Array.map Descriptive.Mean
        let square (x: float) = x * x

        let between =
            Array.map2 (fun (g: float[]) m -> float g.Length * square (m - grand)) groups means
            |> Array.sum

        let within =
            Array.map2 (fun g m -> Array.sumBy (fun x -> square (x - m)) g) groups means
            |> Array.sum

        let df1, df2 = float (groups.Length - 1), float (all.Length - groups.Length)

        if df2 < 1.0 then
            Guard.fail $"one-way ANOVA has {all.Length} values in {groups.Length} groups; some group needs two. Add observations."

        let f = between / df1 / (within / df2)

        {
            Statistic = f
            DegreesOfFreedom = df2
            PValue = Distributions.FSf(f, df1, df2)
        }

    /// Levene's test of equal variances on distances from group medians (Brown and Forsythe 1974); statistic F.
    static member LeveneMedian(groups: float[][]) : TestResult =
        groups
        |> Array.map (fun g -> let m = Descriptive.Median g in Array.map (fun x -> abs (x - m)) g)
        |> LocationTests.OneWay
