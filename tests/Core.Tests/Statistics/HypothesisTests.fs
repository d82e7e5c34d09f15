// Tests of hypotheses, multiplicity, equivalence, effect sizes and power against scipy and statsmodels.
module PeftAlign.Core.Tests.HypothesisTests

open NUnit.Framework
open FsCheck.NUnit
open PeftAlign.Core.Statistics
open PeftAlign.Core.Tests.Golden

let private twoSided = Alternative.TwoSided

let private checkT (node: Node) (t: TTestResult) =
    node["t"].Is t.T
    node["df"].Is t.DegreesOfFreedom
    node["p"].Is t.PValue
    node["ci95"].Are [| t.Interval.Lower; t.Interval.Upper |]

let private alternatives =
    dict
        [
            "two-sided", Alternative.TwoSided
            "greater", Alternative.Greater
            "larger", Alternative.Greater
            "less", Alternative.Less
        ]

let private zeros =
    dict
        [
            "wilcox", ZeroMethod.Wilcox
            "pratt", ZeroMethod.Pratt
            "zsplit", ZeroMethod.ZSplit
        ]

let private checkWilcoxon (g: Node) (pairs: string -> float[]) =
    for key in g.Keys do
        match key.Split '/' with
        | [| data; "exact"; alternative |] ->
            let r = RankTests.SignedRankExact(pairs data, alternatives[alternative])
            g[key, "statistic"].Is r.Statistic
            g[key, "p"].Is r.PValue
        | [| data; zero; "asymptotic"; correction |] ->
            let r =
                RankTests.SignedRankAsymptotic(pairs data, zeros[zero], (correction = "correction=True"), twoSided)

            g[key, "statistic"].Is r.Statistic
            g[key, "z"].Is r.Z
            g[key, "p"].Is r.PValue
        | _ -> Assert.Fail $"unknown Wilcoxon case {key}"

let private checkPermutations (g: Node) =
    let check (node: Node) (r: PermutationResult) (statistic: string) (twice: string) =
        node[statistic].Is r.Statistic
        node["arrangements"].Is r.Arrangements
        node["p_abs_ge"].Is r.PAbsolute
        node["p_greater"].Is r.PGreater
        node["p_less"].Is r.PLess
        node[twice].Is r.TwiceSmallerTail

    let differences = g["sign_flip", "differences"].Floats
    check (g["sign_flip"]) (Permutation.SignFlipExact differences) "mean" "scipy_two_sided"
    let groups = g["two_groups"]

    check
        groups
        (Permutation.TwoGroupsExact(groups["x"].Floats, groups["y"].Floats))
        "mean_difference"
        "scipy_two_sided_twice_smaller_tail"

    let draws = g["monte_carlo_sign_flip"]
    let signs = draws["signs"].Children |> Array.map (fun r -> r.Ints)
    let r = Permutation.SignFlip(differences, signs)
    draws["count_abs_ge"].Is r.CountAbsolute
    draws["p_plus_one"].Is r.PAbsolute

let private checkMcNemar (case: Node) =
    let table = case["table"].Table
    let r = CategoricalTests.McNemar(int (table[0].[1]), int (table[1].[0]))
    // The same from answers: both right, only first, only second, both wrong.
    let answers =
        [|
            for i in 0..1 do
                for j in 0..1 do
                    for _ in 1 .. int (table[i].[j]) -> i = 0, j = 0
        |]

    let again = CategoricalTests.McNemar(Array.map fst answers, Array.map snd answers)
    Assert.That((again.OnlyFirst, again.OnlySecond), Is.EqualTo((r.OnlyFirst, r.OnlySecond)))
    case["exact_p"].Is r.ExactP
    case["mid_p"].Is r.MidP

    let pair (name: string) statistic p =
        if case[name].IsNull then
            case[name].Is(statistic: float)
        else
            case[name].Are [| statistic; p |]

    pair "chi2" r.ChiSquared r.ChiSquaredP
    pair "chi2_corrected" r.CorrectedChiSquared r.CorrectedP

[<TestCaseSource(typeof<Source>, "All")>]
let ``Hypothesis tests`` (source: string) =
    run source "statistics/tests.json" (fun g ->
        let a, b, c =
            g["data", "a"].Floats, g["data", "b_paired_with_a"].Floats, g["data", "c_independent"].Floats

        let x, y =
            g["data", "x_with_ties_and_zeros"].Floats, g["data", "y_with_ties_and_zeros"].Floats

        checkT (g["t_one_sample_a_vs_0.45"]) (LocationTests.OneSampleT(a, 0.45, twoSided, 0.95))
        checkT (g["t_paired"]) (LocationTests.PairedT(a, b, twoSided, 0.95))
        checkT (g["t_independent_equal_variance"]) (LocationTests.IndependentT(a, c, true, twoSided, 0.95))
        checkT (g["t_welch"]) (LocationTests.IndependentT(a, c, false, twoSided, 0.95))
        g["t_paired_greater"].Is (LocationTests.PairedT(a, b, Alternative.Greater, 0.95)).PValue
        let flat, one = [| 1.0; 2.0; 3.0 |], [| 2.0; 3.0; 4.0 |]
        checkT (g["degenerate", "paired_equal_inputs"]) (LocationTests.PairedT(flat, flat, twoSided, 0.95))
        checkT (g["degenerate", "constant_nonzero_difference"]) (LocationTests.PairedT(one, flat, twoSided, 0.95))
        // Differences are rounded to the data's four decimals, so that ties are ties.
        let rounded (u: float[]) v =
            Array.map2 (fun (p: float) q -> System.Math.Round(p - q, 4)) u v

        checkWilcoxon (g["wilcoxon"]) (fun name -> if name = "a_minus_b" then rounded a b else rounded y x)

        let mw (name: string) (r: MannWhitneyResult) =
            g["mann_whitney", name, "U_first"].Is r.U
            g["mann_whitney", name, "p"].Is r.PValue

        mw "exact" (RankTests.MannWhitneyExact(a, c))
        mw "asymptotic_continuity" (RankTests.MannWhitneyAsymptotic(a, c, true))
        mw "asymptotic_no_continuity" (RankTests.MannWhitneyAsymptotic(a, c, false))
        mw "ties_asymptotic" (RankTests.MannWhitneyAsymptotic(x, Array.take 40 y, true))
        checkPermutations (g["permutation"])
        g["mcnemar"].Children |> Array.iter checkMcNemar
        let friedman = RankTests.Friedman(g["friedman", "rows_by_treatment"].Table)
        (g["friedman", "chi2"]: Node).Is friedman.Statistic
        (g["friedman", "p"]: Node).Is friedman.PValue
        let kruskal = RankTests.KruskalWallis(g["kruskal", "groups"].Table)
        (g["kruskal", "h"]: Node).Is kruskal.Statistic
        (g["kruskal", "p"]: Node).Is kruskal.PValue

        let q =
            CategoricalTests.CochranQ(g["cochran_q", "rows"].Table |> Array.map (Array.map (fun v -> v = 1.0)))

        (g["cochran_q", "q"]: Node).Is q.Statistic
        (g["cochran_q", "p"]: Node).Is q.PValue
        g["sign_test_a_b"].Is(CategoricalTests.SignTest(a, b))
        let levene = LocationTests.LeveneMedian [| a; c |]
        g["levene_median_a_c"].Are [| levene.Statistic; levene.PValue |])

let private corrections =
    [
        "bonferroni", Correction.Bonferroni
        "holm", Correction.Holm
        "holm-sidak", Correction.HolmSidak
        "simes-hochberg", Correction.Hochberg
        "hommel", Correction.Hommel
        "fdr_bh", Correction.BenjaminiHochberg
        "fdr_by", Correction.BenjaminiYekutieli
    ]

[<TestCaseSource(typeof<Source>, "All")>]
let ``Corrections for multiplicity`` (source: string) =
    run source "statistics/multiplicity.json" (fun g ->
        for family in g.Keys |> Array.filter (fun k -> k <> "versions" && k <> "combine_unordered") do
            let p = g[family, "p"].Floats

            for name, correction in corrections do
                let adjusted = Multiplicity.Adjust(p, correction)
                g[family, name, "adjusted"].Are adjusted
                Array.iter2 (fun (n: Node) (v: float) -> n.Is((v <= 0.05))) (g[family, name, "reject_05"].Children) adjusted

        let p = g["unordered", "p"].Floats
        let pair (node: Node) (r: TestResult) = node.Are [| r.Statistic; r.PValue |]
        pair (g["combine_unordered", "fisher"]) (Multiplicity.CombineFisher p)
        pair (g["combine_unordered", "stouffer"]) (Multiplicity.CombineStouffer p))

let private checkTost (node: Node) (r: EquivalenceResult) =
    node["p"].Is r.PValue

    let triple (t: TestResult) =
        [| t.Statistic; t.PValue; t.DegreesOfFreedom |]

    node["lower_test_t_p_df"].Are(triple r.Lower)
    node["upper_test_t_p_df"].Are(triple r.Upper)

let private checkCorrelation (g: Node) =
    let x, y = g["x"].Floats, g["y"].Floats
    let u, v = g["x_ties"].Floats, g["y_ties"].Floats

    let pair (name: string) (r: CorrelationResult) =
        g[name].Are [| r.Coefficient; r.PValue |]

    pair "pearson" (Correlation.Pearson(x, y))
    let i = Correlation.PearsonInterval(x, y, 0.95)
    g["pearson_fisher_ci95"].Are [| i.Lower; i.Upper |]
    pair "spearman" (Correlation.Spearman(x, y))
    pair "spearman_ties" (Correlation.Spearman(u, v))
    pair "kendall_b" (Correlation.KendallB(x, y))
    pair "kendall_b_exact" (Correlation.KendallB(Array.take 10 x, Array.take 10 y))
    pair "kendall_b_ties" (Correlation.KendallB(u, v))
    g["kendall_c_ties"].Is(Correlation.KendallC(u, v))
    pair "point_biserial" (Correlation.Pearson(u |> Array.map (fun k -> if k > 2.0 then 1.0 else 0.0), y))
    g["average_ranks_x_ties"].Are(Descriptive.AverageRanks u)

[<TestCaseSource(typeof<Source>, "All")>]
let ``Equivalence and effect sizes`` (source: string) =
    run source "statistics/equivalence_effect.json" (fun g ->
        let a, b, c = g["a"].Floats, g["b_paired"].Floats, g["c"].Floats

        for margin in g["tost_paired"].Keys do
            checkTost (g["tost_paired", margin]) (Equivalence.Paired(a, b, float margin, 0.05))

        for key in g["tost_independent"].Keys do
            let parts = key.Split '/'
            let r = Equivalence.Independent(a, c, float parts[0], (parts[1] = "pooled"), 0.05)
            checkTost (g["tost_independent", key]) r

        let interval = (Equivalence.Paired(a, b, 0.01, 0.05)).Interval
        g["ci90_paired_difference"].Are [| interval.Lower; interval.Upper |]
        let e = g["effect"]
        e["cohen_d_pooled_a_c"].Is(EffectSizes.CohenD(a, c))
        e["hedges_g_exact_gamma"].Is(EffectSizes.HedgesG(a, c))
        e["hedges_g_approximate_1_minus_3_over_4df_minus_1"].Is(EffectSizes.HedgesGApproximate(a, c))
        e["glass_delta_sd_of_c"].Is(EffectSizes.GlassDelta(a, c))
        e["cohen_dz_paired"].Is(EffectSizes.CohenDz(a, b))
        e["cohen_dav_paired"].Is(EffectSizes.CohenDav(a, b))
        e["cliffs_delta_a_c"].Is(EffectSizes.CliffDelta(a, c))
        e["common_language_a_gt_c_ties_half"].Is(EffectSizes.CommonLanguage(a, c))
        checkCorrelation (g["correlation"]))

[<TestCaseSource(typeof<Source>, "All")>]
let ``Power and sample size`` (source: string) =
    run source "statistics/power.json" (fun g ->
        for case in g["paired_t"].Children do
            let d, n, alpha = case["d"].Float, case["n"].Float, case["alpha"].Float
            case["power"].Is(Power.PairedT(d, n, alpha, alternatives[case["alternative"].Text]))

        for case in g["independent_t"].Children do
            let d, n1, n2, alpha =
                case["d"].Float, case["n1"].Float, case["n2"].Float, case["alpha"].Float

            case["power"].Is(Power.IndependentT(d, n1, n2, alpha, alternatives[case["alternative"].Text]))

        for case in g["two_proportions_normal_cohen_h"].Children do
            let h = Proportions.CohenH(case["p1"].Float, case["p2"].Float)
            case["cohen_h"].Is h
            case["power_two_sided"].Is(Power.TwoProportions(h, case["n_each"].Float, case["alpha"].Float, twoSided))

        let solved = { strict with Relative = 1e-6 }

        for case in g["solve"].Children do
            let alpha, power = case["alpha"].Float, case["power"].Float

            if case.Has "d" then
                let d = case["d"].Float
                case["n_paired"].Is(Power.PairsNeeded(d, alpha, power), solved)
                case["n_each_independent"].Is(Power.EachNeeded(d, alpha, power), solved)
            else
                let h = Proportions.CohenH(case["p1"].Float, case["p2"].Float)
                case["n_each_normal_cohen_h"].Is(Power.EachNeededForProportions(h, alpha, power), solved)

        for case in g["minimum_detectable_d"].Children do
            let d =
                Power.SmallestPairedEffect(case["n"].Int, case["alpha"].Float, case["power"].Float)

            case["paired_d"].Is(d, solved))

[<Property(MaxTest = 100)>]
let ``Adjusted p-values keep the order, lie between p and Bonferroni, and are ranked by power`` (values: int list) =
    let p =
        values |> List.map (fun v -> float (abs (v % 1000)) / 1000.0) |> Array.ofList

    p.Length = 0
    || (let adjust c = Multiplicity.Adjust(p, c)
        let all = corrections |> List.map (snd >> adjust)

        let below (u: float[]) (v: float[]) =
            Array.forall2 (fun a b -> a <= b + 1e-12) u v

        let ordered (q: float[]) =
            Array.zip p q
            |> Array.sort
            |> Array.pairwise
            |> Array.forall (fun ((_, a), (_, b)) -> a <= b + 1e-12)

        all |> List.forall (fun q -> below p q && ordered q)
        && below (adjust Correction.Holm) (adjust Correction.Bonferroni)
        && below (adjust Correction.Hochberg) (adjust Correction.Holm)
        && below (adjust Correction.Hommel) (adjust Correction.Hochberg)
        && below (adjust Correction.BenjaminiHochberg) (adjust Correction.Hommel))

[<Test>]
let ``The exact Mann-Whitney law is that of all arrangements`` () =
    // Of the C(5,2) = 10 ways to place two values among five, U = 0 and U = 6 have one each, U = 1 and 5 too, 2..4 two.
    let r = RankTests.MannWhitneyExact([| 1.0; 2.0 |], [| 3.0; 4.0; 5.0 |])
    Assert.That(r.U, Is.EqualTo 0.0)
    Assert.That(r.PValue, Is.EqualTo(0.2).Within 1e-15)

    let tied =
        throws (fun () -> RankTests.MannWhitneyExact([| 1.0 |], [| 1.0 |]) |> ignore)

    Assert.That(tied, Does.Contain "both samples hold 1")
