// Bootstraps on stored indices, variance decomposition and curves against numpy, scipy, statsmodels and scikit-learn.
module PeftAlign.Core.Tests.ResamplingTests

open System
open System.IO
open System.Text.Json
open NUnit.Framework
open FsCheck.NUnit
open PeftAlign.Core.Statistics
open PeftAlign.Core.Tests.Golden

/// int32 tensors of a safetensors file: an eight-byte header length, a JSON header, raw little-endian data.
let private tensors (file: string) =
    let bytes = File.ReadAllBytes file
    let length = int (BitConverter.ToUInt64(bytes, 0))
    let header = JsonDocument.Parse(ReadOnlyMemory(bytes, 8, length)).RootElement

    fun (name: string) ->
        let entry = header.GetProperty name
        Assert.That(entry.GetProperty("dtype").GetString(), Is.EqualTo "I32")
        let start = 8 + length + entry.GetProperty("data_offsets").[0].GetInt32()

        let shape =
            [| for d in entry.GetProperty("shape").EnumerateArray() -> d.GetInt32() |]

        let data =
            Array.init (Array.fold (*) 1 shape) (fun i -> BitConverter.ToInt32(bytes, start + 4 * i))

        shape, data

let private matrix (shape: int[], data: int[]) = Array.chunkBySize shape[1] data

let private checkStatistic (node: Node) (r: BootstrapResult) =
    // Differences of equal sums in another order: accelerations that are zero but for rounding.
    let rounding = { strict with Noise = 1e-15 }
    let pair (i: Interval) = [| i.Lower; i.Upper |]
    node["statistic"].Is r.Statistic
    node["standard_error_sd_n_minus_1_of_replicates"].Is r.StandardError
    node["percentile95"].Are(pair r.Percentile)
    node["scipy_percentile"].Are(pair r.Percentile)
    node["basic95"].Are(pair r.Basic)
    node["scipy_basic"].Are(pair r.Basic)
    node["bca95"].Are(pair r.Bca)
    node["scipy_BCa"].Are(pair r.Bca)
    node["bca_z0"].Is(r.BcaZ0, rounding)
    node["bca_acceleration"].Is(r.BcaAcceleration, rounding)
    node["bca_levels"].Are(pair r.BcaLevels)
    node["normal95"].Are(pair r.Normal)
    node["replicates_first5"].Are(Array.take 5 r.Replicates)

let private checkHierarchical (g: Node) (indices: string -> int[] * int[]) =
    let first, second =
        g["first_arm_seed_by_item"].Table, g["second_arm_seed_by_item"].Table

    g["statistic"].Skip()

    let seeds, common =
        matrix (indices "seed_indices"), matrix (indices "common_item_indices")

    let shape, data = indices "item_indices"
    let items = data |> Array.chunkBySize shape[2] |> Array.chunkBySize shape[1]
    let difference = HierarchicalBootstrap.Difference(first, second)

    let check (name: string) (r: HierarchicalResult) =
        let node = g[name]
        node["percentile95"].Are [| r.Percentile.Lower; r.Percentile.Upper |]
        node["se"].Is r.StandardError

        if node.Has "mean" then
            node["mean"].Is r.Mean

        if node.Has "first5" then
            node["first5"].Are(Array.take 5 r.Replicates)

        if node.Has "share_at_or_below_zero" then
            node["share_at_or_below_zero"].Is r.ShareAtOrBelowZero

    check "nested_first_arm" (HierarchicalBootstrap.Nested(first, seeds, items, 0.05))
    check "nested_paired_difference" (HierarchicalBootstrap.Nested(difference, seeds, items, 0.05))
    check "seeds_only" (HierarchicalBootstrap.SeedsOnly(first, seeds, 0.05))
    check "crossed_same_items_for_all_seeds_first_arm" (HierarchicalBootstrap.Crossed(first, seeds, common, 0.05))
    check "crossed_paired_difference" (HierarchicalBootstrap.Crossed(difference, seeds, common, 0.05))

[<TestCaseSource(typeof<Source>, "All")>]
let Bootstraps (source: string) =
    run source "statistics/bootstrap.json" (fun g ->
        let indices = tensors (locate source "statistics/bootstrap_indices.safetensors")
        let rows = matrix (indices "indices")

        let x, y, correct =
            g["x"].Floats, g["y_paired_with_x"].Floats, g["correct_0_1"].Floats

        Assert.That(rows.Length, Is.EqualTo(g["draws"].Int))

        let statistic (name: string) (sample: float[]) f =
            checkStatistic (g["statistics", name]) (Bootstrap.Resample(sample, Func<_, _> f, rows, 0.05))

        statistic "mean" x Array.average
        statistic "median" x Descriptive.Median
        statistic "sd_n_minus_1" x Descriptive.StandardDeviation
        statistic "mean_paired_difference" (Array.map2 (-) x y) Array.average
        statistic "accuracy" correct Array.average
        let two = g["two_samples"]
        let second = matrix (indices "indices_second_sample")

        let r =
            Bootstrap.MeanDifference(two["first"].Floats, two["second"].Floats, rows, second, 0.05)

        two["difference"].Is r.Difference
        two["standard_error"].Is r.StandardError
        two["percentile95"].Are [| r.Percentile.Lower; r.Percentile.Upper |]
        two["p_two_sided_shifted_null"].Is r.PShifted
        checkHierarchical (g["hierarchical"]) indices)

let private checkTerm (node: Node) (table: AnovaTable) (term: AnovaTerm) =
    // A sum of squares is a difference of larger ones; what rounding leaves of them is relative to the total.
    let scaled =
        { strict with
            Noise = 1e-14 * table.TotalSumOfSquares
        }

    node["sum_sq"].Is(term.SumOfSquares, scaled)
    node["df"].Is term.DegreesOfFreedom
    node["F"].Is term.F
    node["p"].Is term.PValue

    if node.Has "eta2" then
        node["eta2"].Is term.Eta2
        node["partial_eta2"].Is term.PartialEta2
        node["omega2"].Is term.Omega2

let private checkTable (node: Node) (table: AnovaTable) =
    let names = table.Terms |> Array.map (fun t -> t.Name)
    Assert.That(names, Is.EqualTo<string[]> node.Keys)

    for term in table.Terms do
        checkTerm (node[term.Name]) table term

let private checkFactors (g: Node) =
    let rows = g["rows"].Children

    let read (name: string) =
        rows |> Array.map (fun r -> r[name].Text)

    let names = [| "model"; "preference"; "data"; "method" |]
    let factors, metric = names |> Array.map read, read "metric"
    let score = rows |> Array.map (fun r -> r["score"].Float)
    let matters = g["which_factor_matters"]

    for m in matters.Keys do
        let pick (values: 'a[]) =
            Array.zip values metric |> Array.filter (fun (_, k) -> k = m) |> Array.map fst

        for model, twoWay in [ "main_effects", false; "with_two_way", true ] do
            let terms = Anova.Terms(4, twoWay)

            let table =
                Anova.Table(pick score, names, Array.map pick factors, terms, SumOfSquares.TypeII)

            let node = matters[m, model]
            node["total_sum_of_squares"].Is table.TotalSumOfSquares
            node["r_squared"].Is table.RSquared
            checkTable (node["terms"]) table

let private checkUnbalanced (g: Node) =
    let rows = g["rows"].Children

    let factors =
        [| "a"; "b" |] |> Array.map (fun f -> rows |> Array.map (fun r -> r[f].Text))

    let y = rows |> Array.map (fun r -> r["y"].Float)

    let table kind =
        Anova.Table(y, [| "a"; "b" |], factors, Anova.Terms(2, true), kind)

    checkTable (g["type_1_a_then_b"]) (table SumOfSquares.TypeI)
    checkTable (g["type_2"]) (table SumOfSquares.TypeII)
    checkTable (g["type_3_sum_contrasts"]) (table SumOfSquares.TypeIII)

let private checkRegression (g: Node) =
    let x, y, clusters = g["x"].Floats, g["y"].Floats, g["cluster"].Ints

    for name, kind in
        [
            "classic", CovarianceKind.Classic
            "HC0", CovarianceKind.HC0
            "HC3", CovarianceKind.HC3
            "cluster_corrected", CovarianceKind.Clustered
            "cluster_no_correction", CovarianceKind.ClusteredUncorrected
        ] do
        let r = Regression.Line(x, y, kind, clusters)
        let node = g["fits", name]
        node["coefficients"].Are r.Coefficients
        node["standard_errors"].Are r.StandardErrors
        node["p"].Are r.PValues

    g["r_squared"].Is (Regression.Line(x, y, CovarianceKind.Classic, [||])).RSquared
    g["clustered_standard_error_of_mean_y_no_correction"].Is(Regression.ClusteredErrorOfMean(y, clusters))

[<TestCaseSource(typeof<Source>, "All")>]
let Decomposition (source: string) =
    run source "statistics/decomposition.json" (fun g ->
        checkFactors g
        checkUnbalanced (g["unbalanced"])
        let way = g["one_way"]
        let oneWay = LocationTests.OneWay(way["groups"].Table)
        way["F"].Is oneWay.Statistic
        way["p"].Is oneWay.PValue
        let v = g["variance_components"]
        let r = VarianceComponents.Balanced(v["group_by_item"].Table)
        v["ms_between"].Is r.MeanSquareBetween
        v["ms_within"].Is r.MeanSquareWithin
        v["between_variance"].Is r.BetweenVariance
        v["icc1"].Is r.Icc
        v["se_of_grand_mean"].Is r.StandardErrorOfMean
        checkRegression (g["regression"]))

[<TestCaseSource(typeof<Source>, "All")>]
let ``Curves over sample quantity`` (source: string) =
    run source "statistics/curves.json" (fun g ->
        let n, y, loss = g["samples"].Floats, g["score"].Floats, g["loss"].Floats
        let fit = Curves.PowerLaw(n, y)
        let loose = { strict with Relative = 1e-6 }
        let law = g["power_law"]
        law["model"].Skip()
        law["a_b_c"].Are([| fit.A; fit.B; fit.C |], loose)
        law["standard_errors"].Are(fit.StandardErrors, loose)
        law["sum_of_squares"].Is(fit.SumOfSquares, loose)
        let slope = Curves.SlopePerDoubling(n, y, 0.95)
        let doubling = g["slope_per_doubling"]
        doubling["intercept_slope"].Are [| slope.Intercept; slope.Slope |]
        doubling["standard_errors"].Are [| slope.InterceptError; slope.SlopeError |]
        doubling["p"].Are [| slope.InterceptP; slope.SlopeP |]
        doubling["ci95_slope"].Are [| slope.SlopeInterval.Lower; slope.SlopeInterval.Upper |]
        g["area_trapezoid_over_log2_n_divided_by_range"].Is(Curves.MeanHeight(n, y))
        let line = Curves.LogLog(n, loss)
        g["log_log_slope_intercept"].Are [| line.Slope; line.Intercept |]
        let iso = g["isotonic"]
        let z, w = iso["y"].Floats, iso["weight"].Floats
        iso["increasing_weighted"].Are(Curves.Isotonic(z, w, true))
        iso["decreasing_unweighted"].Are(Curves.Isotonic(z, Array.create z.Length 1.0, false))
        let quantiles = g["quantiles_of_isotonic_y"]
        let levels = quantiles["levels"].Floats

        for name, method in
            [
                "linear", QuantileMethod.Linear
                "hazen", QuantileMethod.Hazen
                "weibull", QuantileMethod.Weibull
                "median_unbiased", QuantileMethod.MedianUnbiased
                "inverted_cdf", QuantileMethod.InvertedCdf
            ] do
            quantiles[name].Are(levels |> Array.map (fun l -> Descriptive.Quantile(z, l, method)))

        for case in g["half_width_of_win_rate"].Children do
            let half = Proportions.NormalHalfWidth(case["p"].Float, case["n"].Int, 0.05)
            case["normal95"].Is half
            case["delta_wins_minus_losses"].Is(2.0 * half))

[<Test>]
let ``A seeded bootstrap of a mean agrees with its theory and repeats itself`` () =
    let sample = Array.init 60 (fun i -> sin (float i))

    let run () =
        Bootstrap.Mean(sample, 4000, 0.05, RandomStream(5L, "test"))

    let r = run ()
    Assert.That((run ()).Replicates, Is.EqualTo<float[]> r.Replicates)
    let theory = Descriptive.StandardError sample * sqrt (59.0 / 60.0)
    Assert.That(r.StandardError, Is.EqualTo(theory).Within(5.0).Percent)

[<Test>]
let ``Common items widen the interval of a benchmark's seeds`` () =
    // Items differ much, seeds little: resampling items per seed averages their spread away, common items do not.
    let arm =
        Array.init 5 (fun s -> Array.init 40 (fun i -> if (i * 7 + s) % 40 < 20 + s then 1.0 else 0.0))

    let stream = RandomStream(1L, "hierarchical")
    let crossed = HierarchicalBootstrap.Crossed(arm, 2000, 0.05, stream)
    let nested = HierarchicalBootstrap.Nested(arm, 2000, 0.05, stream)
    Assert.That(crossed.StandardError, Is.GreaterThan(1.5 * nested.StandardError))

    let both =
        HierarchicalBootstrap.ConfigurationsSeedsItems([| arm; arm |], 2000, 0.05, stream)

    Assert.That(both.Mean, Is.EqualTo(crossed.Mean).Within 1e-12)
    Assert.That(both.StandardError, Is.GreaterThan nested.StandardError)

[<Test>]
let ``With one item per seed the hierarchical interval is the plain BCa bootstrap of the seeds`` () =
    let means = [| 0.31; 0.44; 0.29; 0.52; 0.97; 0.35; 0.41 |]
    let rows = Bootstrap.Indices(7, 3000, RandomStream(2L, "seeds"))
    let plain = Bootstrap.Resample(means, Func<_, _> Array.average, rows, 0.05)

    let seeds =
        HierarchicalBootstrap.SeedsOnly(Array.map Array.singleton means, rows, 0.05)

    Assert.That(seeds.Bca, Is.EqualTo plain.Bca)
    Assert.That(seeds.Bca, Is.Not.EqualTo seeds.Percentile)
    // The seeded mean takes the same rows from the same stream, and its jackknife in closed form.
    let seeded = Bootstrap.Mean(means, 3000, 0.05, RandomStream(2L, "seeds"))
    Assert.That(seeded.Bca.Lower, Is.EqualTo(plain.Bca.Lower).Within 1e-12)
    Assert.That(seeded.BcaAcceleration, Is.EqualTo(plain.BcaAcceleration).Within 1e-12)

[<Property(MaxTest = 100)>]
let ``Isotonic fits are monotone, keep the weighted mean and leave monotone data alone`` (values: int list) =
    let y = values |> List.map (fun v -> float (v % 100)) |> Array.ofList

    y.Length = 0
    || (let w = y |> Array.mapi (fun i _ -> 1.0 + float (i % 3))
        let fit = Curves.Isotonic(y, w, true)

        let sum (v: float[]) =
            Array.fold2 (fun s a b -> s + a * b) 0.0 v w

        fit |> Array.pairwise |> Array.forall (fun (a, b) -> a <= b)
        && abs (sum fit - sum y) < 1e-8
        && Curves.Isotonic(Array.sort y, w, true) = Array.sort y)
