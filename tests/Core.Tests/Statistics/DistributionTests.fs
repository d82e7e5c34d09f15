// Distribution functions and proportions against scipy and statsmodels.
module PeftAlign.Core.Tests.DistributionTests

open NUnit.Framework
open FsCheck.NUnit
open PeftAlign.Core.Statistics
open PeftAlign.Core.Tests.Golden

/// Rows of arguments with the value last.
let private rows (node: Node) (f: float[] -> float) =
    for row in node.Children do
        let values = row.Children
        let last = values.Length - 1
        values[last].Is(f [| for v in Array.take last values -> v.Float |])

[<TestCaseSource(typeof<Source>, "All")>]
let ``Distribution functions`` (source: string) =
    run source "statistics/distributions.json" (fun g ->
        g["columns"].Skip()
        rows (g["normal", "cdf"]) (fun a -> Distributions.NormalCdf a[0])
        rows (g["normal", "sf"]) (fun a -> Distributions.NormalSf a[0])
        rows (g["normal", "ppf"]) (fun a -> Distributions.NormalQuantile a[0])
        rows (g["t", "cdf"]) (fun a -> Distributions.StudentTCdf(a[0], a[1]))
        rows (g["t", "ppf"]) (fun a -> Distributions.StudentTQuantile(a[0], a[1]))
        rows (g["chi2_sf"]) (fun a -> Distributions.ChiSquaredSf(a[0], a[1]))
        rows (g["f_sf"]) (fun a -> Distributions.FSf(a[0], a[1], a[2]))
        rows (g["beta_ppf"]) (fun a -> Distributions.BetaQuantile(a[0], a[1], a[2]))
        rows (g["beta_cdf"]) (fun a -> Distributions.BetaCdf(a[0], a[1], a[2]))
        rows (g["noncentral_t_cdf"]) (fun a -> Distributions.NoncentralTCdf(a[0], a[1], a[2]))

        // log gamma is zero at 1 and 2: what rounding leaves there has no relative size.
        for row in g["lgamma"].Children do
            row[1].Is(Distributions.LogGamma(row[0].Float), { strict with Noise = 1e-15 })

        for row in g["binomial"].Children do
            let k, n, p = row[0].Int, row[1].Int, row[2].Float
            row[3].Is(Distributions.BinomialPmf(k, n, p))
            row[4].Is(Distributions.BinomialCdf(k, n, p)))

let private methods =
    [
        "wilson", ProportionMethod.Wilson
        "beta", ProportionMethod.ClopperPearson
        "agresti_coull", ProportionMethod.AgrestiCoull
        "normal", ProportionMethod.Wald
        "jeffreys", ProportionMethod.Jeffreys
        "wilson_continuity", ProportionMethod.WilsonContinuity
    ]

let private differences =
    [
        "newcomb", DifferenceMethod.Newcombe
        "wald", DifferenceMethod.Wald
        "agresti-caffo", DifferenceMethod.AgrestiCaffo
    ]

[<TestCaseSource(typeof<Source>, "All")>]
let ``Proportions, intervals and tests`` (source: string) =
    run source "statistics/proportions.json" (fun g ->
        for case in g["one"].Children do
            let k, n, alpha = case["successes"].Int, case["n"].Int, case["alpha"].Float

            for name, method in methods do
                let i = Proportions.Interval(k, n, alpha, method)
                case[name].Are [| i.Lower; i.Upper |]

        for case in g["two"].Children do
            let a, b = case["a"].Ints, case["b"].Ints
            let z = Proportions.PooledZTest(a[0], a[1], b[0], b[1])
            case["z_pooled"].Is z.Statistic
            case["p_two_sided"].Is z.PValue

            for name, method in differences do
                let i = Proportions.DifferenceInterval(a[0], a[1], b[0], b[1], 0.05, method)
                case["difference_ci95", name].Are [| i.Lower; i.Upper |]

            case["fisher_exact_p"].Is(Proportions.FisherExact(a[0], a[1], b[0], b[1]))
            case["odds_ratio_sample"].Is(Proportions.OddsRatio(a[0], a[1], b[0], b[1]))
            case["cohen_h"].Is(Proportions.CohenH(float a[0] / float a[1], float b[0] / float b[1]))

        for case in g["binomial_test"].Children do
            let k, n, p = case["k"].Int, case["n"].Int, case["p"].Float
            case["two-sided"].Is(Proportions.BinomialTest(k, n, p, Alternative.TwoSided))
            case["greater"].Is(Proportions.BinomialTest(k, n, p, Alternative.Greater))
            case["less"].Is(Proportions.BinomialTest(k, n, p, Alternative.Less)))

/// A level strictly inside (0, 1) and a positive shape from arbitrary integers.
let private level (n: int) = (float (abs (n % 9973)) + 0.5) / 9974.0
let private shape (n: int) = 0.2 + float (abs (n % 5000)) / 7.0

[<Property(MaxTest = 300)>]
let ``A quantile is where its distribution function reaches the level`` (a: int) (b: int) (c: int) =
    let p, u, v = level a, shape b, shape c
    let t = Distributions.StudentTQuantile(p, u)
    let x = Distributions.BetaQuantile(p, u, v)
    let near actual = abs (actual - p) <= 1e-9 * p + 1e-12

    near (Distributions.StudentTCdf(t, u))
    // Where the quantile crowds against 1, neighbouring floats are further apart in probability than the tolerance.
    && (x > 1.0 - 1e-6 || near (Distributions.BetaCdf(x, u, v)))
    && near (Distributions.NormalCdf(Distributions.NormalQuantile p))

[<Property(MaxTest = 100)>]
let ``The Clopper-Pearson interval holds the Wilson centre and both mirror under exchange of success and failure``
    (k: int)
    (n: int)
    =
    let trials = 1 + abs (n % 400)
    let successes = abs (k % (trials + 1))

    [
        for _, method in methods ->
            let i = Proportions.Interval(successes, trials, 0.05, method)
            let mirror = Proportions.Interval(trials - successes, trials, 0.05, method)
            let p = float successes / float trials

            i.Lower >= 0.0
            && i.Upper <= 1.0
            && (method = ProportionMethod.Jeffreys
                || method = ProportionMethod.AgrestiCoull
                || i.Lower <= p + 1e-12 && p <= i.Upper + 1e-12)
            && abs (i.Lower - (1.0 - mirror.Upper)) < 1e-9
            && abs (i.Upper - (1.0 - mirror.Lower)) < 1e-9
    ]
    |> List.forall id

[<Test>]
let ``Impossible counts and levels are named`` () =
    Assert.That(throws (fun () -> ignore (Proportions.Wilson95(5, 4))), Does.Contain "5 successes in 4 trials")
    Assert.That(throws (fun () -> ignore (Proportions.Interval(1, 4, 1.5, ProportionMethod.Wald))), Does.Contain "alpha is 1.5")
    Assert.That(throws (fun () -> ignore (Descriptive.Mean [| 1.0; nan |])), Does.Contain "values[1] is NaN")
    Assert.That(throws (fun () -> ignore (Descriptive.Mean [||])), Does.Contain "has 0 values")
