// Ties, empty cells and other borders that the golden sets do not reach: scipy 1.17.1's and numpy's values, or the definition.
module PeftAlign.Core.Tests.TieTests

open System
open NUnit.Framework
open PeftAlign.Core.Statistics

let private near (expected: float) (actual: float) =
    Assert.That(actual, Is.EqualTo(expected).Within(1e-9 * abs expected))

[<Test>]
let ``A sign test counts no equal pair`` () =
    // binomtest(3, 4)
    near 0.625 (CategoricalTests.SignTest([| 2.0; 3.0; 4.0; 1.0; 7.0; 7.0 |], [| 1.0; 2.0; 3.0; 2.0; 7.0; 7.0 |]))

[<TestCase(-1, 2.451234878256772e-48)>]
[<TestCase(1, 9.804939513027087e-47)>]
[<TestCase(2, 1.9172791342817576e-19)>]
let ``Kendall's law is exact for many values with at most one inversion`` (distance: int, p: float) =
    let x = Array.init 40 float
    let y = Array.copy x

    if distance > 0 then
        y[10] <- x[10 + distance]
        y[10 + distance] <- x[10]

    near p (Correlation.KendallB(x, y)).PValue

[<TestCase(0.0, 1.0)>]
[<TestCase(0.25, 1.0)>]
[<TestCase(0.3, 2.0)>]
[<TestCase(0.5, 2.0)>]
[<TestCase(0.75, 3.0)>]
[<TestCase(1.0, 4.0)>]
let ``A level that a value reaches exactly is that value's quantile`` (level: float, value: float) =
    Assert.That(Descriptive.Quantile([| 4.0; 1.0; 3.0; 2.0 |], level, QuantileMethod.InvertedCdf), Is.EqualTo value)

[<TestCase(1, 7, 0.02913752913752914)>]
[<TestCase(2, 7, 0.28613053613053613)>]
[<TestCase(3, 10, 0.1788954079975752)>]
[<TestCase(0, 4, 0.028571428571428567)>]
[<TestCase(4, 13, 0.11523854393015785)>]
[<TestCase(1, 10, 0.001093333910671372)>]
[<TestCase(5, 11, 1.0)>]
let ``Fisher's test counts the mirrored table`` (successes: int, trials: int, p: float) =
    near p (Proportions.FisherExact(successes, trials, trials - successes, trials))

[<Test>]
let ``A negative rank sum is corrected towards its mean`` () =
    let d = [| -1.1; -2.3; 0.4; -3.7; -4.2; 0.9; -5.5; -6.1; 1.6 |]

    let r =
        RankTests.SignedRankAsymptotic(d, ZeroMethod.Wilcox, true, Alternative.TwoSided)

    Assert.That(r.Statistic, Is.EqualTo 7.0)
    near -1.777046633277277 r.Z
    near 0.07556056752594133 r.PValue

[<Test>]
let ``Friedman's test corrects for ties within rows`` () =
    let rows =
        [|
            [| 1.0; 2; 2 |]
            [| 3; 1; 3 |]
            [| 2; 2; 5 |]
            [| 4; 1; 2 |]
            [| 1; 3; 3 |]
        |]

    let r = RankTests.Friedman rows
    near 2.375 r.Statistic
    near 0.3049827687110583 r.PValue

[<Test>]
let ``The noncentral law ends at both infinities`` () =
    Assert.That(Distributions.NoncentralTCdf(infinity, 7.0, 1.5), Is.EqualTo 1.0)
    Assert.That(Distributions.NoncentralTCdf(-infinity, 7.0, 1.5), Is.EqualTo 0.0)

[<Test>]
let ``A replicate as far from the centre as the difference is extreme`` () =
    // Differences of the draws: 1, -1, 1, -1, so the centre is 0 and all four lie exactly as far as the difference of 1.
    let first, second = [| 1.0; 0.0; 2.0 |], [| 0.0; 1.0; -1.0 |]
    let rows = [| [| 0; 0; 0 |]; [| 1; 1; 1 |]; [| 0; 0; 0 |]; [| 1; 1; 1 |] |]
    let r = Bootstrap.MeanDifference(first, second, rows, rows, 0.05)
    Assert.That((r.Difference, r.PShifted), Is.EqualTo((1.0, 1.0)))

[<Test>]
let ``One seed's items are resampled as a plain sample`` () =
    let items = [| 0.31; 0.44; 0.29; 0.52; 0.97; 0.35; 0.41 |]
    let rows = Bootstrap.Indices(7, 2000, RandomStream(2L, "items"))
    let plain = Bootstrap.Resample(items, Func<_, _> Array.average, rows, 0.05)

    let one =
        HierarchicalBootstrap.Crossed([| items |], Array.create 2000 [| 0 |], rows, 0.05)

    Assert.That(plain.BcaAcceleration, Is.Not.Zero)
    Assert.That((one.Percentile, one.Bca), Is.EqualTo((plain.Percentile, plain.Bca)))

/// Ranks and residual sums of squares are numpy's (matrix_rank, lstsq), tails scipy's.
[<Test>]
let ``An empty cell takes a degree of freedom from the interaction`` () =
    let cells = [| 0, 0; 0, 1; 0, 2; 1, 0; 1, 1; 1, 2; 2, 0; 2, 1 |]

    let levels pick =
        cells |> Array.collect (fun cell -> Array.create 3 (string (pick cell: int)))

    let y =
        [|
            2.04
            -2.56
            0.42
            -0.87
            -0.75
            -0.52
            -2.62
            -0.83
            -1.47
            3.82
            0.73
            0.15
            -0.08
            -0.47
            -0.86
            -0.49
            0.38
            -0.34
            1.96
            0.8
            1.02
            2.25
            1.25
            0.19
        |]

    let table =
        Anova.Table(y, [| "a"; "b" |], [| levels fst; levels snd |], Anova.Terms(2, true), SumOfSquares.TypeI)

    let expected =
        [
            "a", 2, 15.479068055555551, 0.018652774696118438
            "b", 2, 7.633313888888875, 0.10978055475533607
            "a:b", 3, 3.46788055555556, 0.5271476634916104
        ]

    for row, (name, df, ss, p) in Seq.zip table.Terms expected do
        Assert.That((row.Name, row.DegreesOfFreedom), Is.EqualTo((name, df)))
        near ss row.SumOfSquares
        near p row.PValue

    let rest = Array.last table.Terms
    Assert.That(rest.DegreesOfFreedom, Is.EqualTo 16)
    near 23.999800000000004 rest.SumOfSquares
