// Metrics of classifiers and judges against scikit-learn, statsmodels, nltk and the stored formulas.
module PeftAlign.Core.Tests.JudgeMetricTests

open System
open System.IO
open System.IO.Compression
open System.Security.Cryptography
open System.Text
open System.Text.Json
open NUnit.Framework
open FsCheck.NUnit
open PeftAlign.Core.Statistics
open PeftAlign.Core.Metrics
open PeftAlign.Core.Tests.Golden

/// Lines of a gzip file.
let lines (file: string) =
    use reader =
        new StreamReader(new GZipStream(File.OpenRead file, CompressionMode.Decompress))

    reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries)

let private checkClasses (case: Node) =
    let gold, predicted, e = case["gold"].Ints, case["predicted"].Ints, case["expect"]
    case["name"].Skip()
    let r = Classification.Evaluate(gold, predicted)
    e["accuracy"].Is r.Accuracy
    e["macro_f1"].Is r.MacroF1
    e["micro_f1"].Is r.MicroF1
    e["weighted_f1"].Is r.WeightedF1
    e["macro_f1_labels_0_1_only"].Is(Classification.MacroF1(gold, predicted, [| 0; 1 |]))
    e["balanced_accuracy"].Is r.BalancedAccuracy
    e["mcc"].Is r.MatthewsCorrelation
    e["cohen_kappa"].Is r.CohenKappa
    Array.iter2 (fun (n: Node) row -> n.Are(Array.map float row)) (e["confusion"].Children) r.Confusion
    e["labels"].Are(Array.map float r.Labels)

    if e.Has "binary_f1" then
        let zero, one =
            Classification.Label(gold, predicted, 1, 0.0), Classification.Label(gold, predicted, 1, 1.0)

        e["binary_f1"].Is zero.F1
        e["binary_f1_zero_division_1"].Is one.F1
        e["precision"].Is zero.Precision
        e["recall"].Is zero.Recall

[<TestCaseSource(typeof<Source>, "All")>]
let ``Classification and ranking scores`` (source: string) =
    run source "metrics/classification.json" (fun g ->
        g["cases"].Children |> Array.iter checkClasses
        let s = g["scores"]
        let gold, score = s["gold"].Ints |> Array.map ((=) 1), s["score"].Floats
        s["roc_auc"].Is(RankingScores.RocAuc(gold, score))
        s["average_precision"].Is(RankingScores.AveragePrecision(gold, score))
        s["log_loss"].Is(RankingScores.LogLoss(gold, score, s["log_loss_clipped_to"].Floats[0]))
        s["brier"].Is(RankingScores.Brier(gold, score))
        s["roc_auc_with_ties"].Is(RankingScores.RocAuc(gold, s["score_with_ties"].Floats)))

/// Preferences of one judge on one model by instruction, drawn ones as 1.5.
let private judged (annotator: string) model =
    lines (shared $"data/alpaca_eval/preferences_compact/{annotator}.csv.gz")
    |> Array.map (fun l -> l.Split ',')
    |> Array.filter (fun f -> f[0] = model && f[3] <> "")
    |> Array.map (fun f -> int f[2], (if float f[3] = 0.0 then 1.5 else float f[3]))

[<TestCaseSource(typeof<Source>, "All")>]
let ``Agreement between judges`` (source: string) =
    run source "metrics/agreement.json" (fun g ->
        let raters, missing = g["raters"].Table, g["raters_with_missing"].Table

        let kappa weights =
            Agreement.CohenKappa(raters[0], raters[1], weights)

        g["kappa_first_two", "none"].Is(kappa KappaWeights.Unweighted)
        g["kappa_first_two", "linear"].Is(kappa KappaWeights.Linear)
        g["kappa_first_two", "quadratic"].Is(kappa KappaWeights.Quadratic)
        g["kappa_first_two", "percent_agreement"].Is(Agreement.Percent(raters[0], raters[1]))
        g["fleiss_kappa_all"].Is(Agreement.FleissKappa raters)

        for name, ratings in [ "krippendorff_alpha_all", raters; "krippendorff_alpha_with_missing", missing ] do
            g[name, "nominal"].Is(Agreement.KrippendorffAlpha(ratings, false))
            g[name, "interval"].Is(Agreement.KrippendorffAlpha(ratings, true))

        let constant, flip = [| 1.0; 1.0; 1.0 |], [| 0.0; 1.0; 0.0; 1.0 |]
        g["edge", "same_single_label"].Is(Agreement.CohenKappa(constant, constant, KappaWeights.Unweighted))

        let opposite =
            Agreement.CohenKappa(flip, flip |> Array.map (fun v -> 1.0 - v), KappaWeights.Unweighted)

        g["edge", "opposite"].Is opposite

        let real =
            if g.Has "real_judges_turbo_fn_and_cot" then
                g["real_judges_turbo_fn_and_cot"].Keys
            else
                [||]

        for model in real do
            let node = g["real_judges_turbo_fn_and_cot", model]
            let other = dict (judged "alpaca_eval_cot_gpt4_turbo_fn" model)

            let joined =
                judged "alpaca_eval_gpt4_turbo_fn" model
                |> Array.filter (fun (i, _) -> other.ContainsKey i)

            let u, v = joined |> Array.map snd, joined |> Array.map (fun (i, _) -> other[i])
            node["n"].Is u.Length
            node["agree"].Is(Agreement.Percent(u, v))
            node["kappa_on_1_1.5_2"].Is(Agreement.CohenKappa(u, v, KappaWeights.Unweighted))
            node["mean_first"].Is(Array.average u - 1.0)
            node["mean_second"].Is(Array.average v - 1.0))

[<TestCaseSource(typeof<Source>, "All")>]
let ``Attack success rates`` (source: string) =
    run source "metrics/asr.json" (fun g ->
        for case in g["cases"].Children do
            case["name"].Skip()

            let r =
                AttackSuccess.Rates(case["harmful_B"].Int, case["not_harmful_A"].Int, case["no_verdict_N"].Int)

            case["asr"].Is r.Rate
            case["safety_100_minus_asr_percent"].Is r.SafetyPercent
            case["annotated"].Is r.Annotated
            case["share_without_verdict"].Is r.UndecidedShare
            case["asr_if_no_verdict_counts_as_harmful"].Is r.RateUndecidedHarmful
            case["asr_if_no_verdict_counts_as_harmless"].Is r.RateUndecidedHarmless
            case["wilson95"].Are [| r.Wilson.Lower; r.Wilson.Upper |]
            case["clopper_pearson95"].Are [| r.ClopperPearson.Lower; r.ClopperPearson.Upper |]

        for case in g["verdicts"].Children do
            let reply = case["reply"].Text
            Assert.That(AttackSuccess.TagsFound reply, Is.EqualTo<string[]>(case["tags_found"].Texts))

            let verdict (node: Node) (tag: string) =
                if node.IsNull then
                    node.Skip()
                    Assert.That(tag, Is.Empty)
                else
                    node.Is tag

            verdict (case["verdict_exactly_one_tag"]) (AttackSuccess.Verdict reply)
            verdict (case["verdict_all_tags_agree"]) (AttackSuccess.AgreeingVerdict reply))

let private position (text: string) =
    match text with
    | "1"
    | "a" -> Verdict.First
    | "2"
    | "b" -> Verdict.Second
    | _ -> Verdict.Tie

[<TestCaseSource(typeof<Source>, "All")>]
let ``Pairwise judgements`` (source: string) =
    run source "metrics/pairwise.json" (fun g ->
        let first = g["verdict_model_first"].Texts |> Array.map position
        let second = g["verdict_model_second"].Texts |> Array.map position
        let a, b = Pairwise.Scores(first, true), Pairwise.Scores(second, false)

        let check (name: string) scores =
            let r, node = Pairwise.Summarise scores, g[name]
            node["wins"].Is r.Wins
            node["ties"].Is r.Ties
            node["losses"].Is r.Losses
            node["win_rate_ties_half"].Is r.WinRate
            node["win_rate_without_ties"].Is r.WinRateDecisive
            node["delta_wins_minus_losses"].Is r.Delta
            node["standard_error"].Is r.StandardError
            node["wilson95_of_decisive"].Are [| r.Wilson.Lower; r.Wilson.Upper |]
            node["sign_test_p"].Is r.SignTestP

        check "one_order_only" a
        check "swapped_order_only" b
        check "both_orders_disagreement_is_tie" (Pairwise.Agreed(a, b))
        let averaged = Pairwise.Summarise(Pairwise.Averaged(a, b))
        g["both_orders_averaged", "win_rate"].Is averaged.WinRate
        g["both_orders_averaged", "standard_error"].Is averaged.StandardError
        let r, node = Pairwise.PositionBias(first, second), g["position_bias"]
        node["first_wins"].Is r.FirstWins
        node["second_wins"].Is r.SecondWins
        node["ties"].Is r.Ties
        node["first_share_of_decisive"].Is r.FirstShare
        node["binomial_p_two_sided"].Is r.BinomialP
        node["consistent_pairs"].Is r.ConsistentPairs
        node["consistency_rate"].Is r.Consistency
        node["first_biased_pairs"].Is r.FirstBiasedPairs
        node["second_biased_pairs"].Is r.SecondBiasedPairs
        node["consistent_decisive_pairs"].Is r.ConsistentDecisivePairs
        node["cohen_kappa_between_orders"].Is r.KappaBetweenOrders)

[<TestCaseSource(typeof<Source>, "All")>]
let ``Bradley-Terry and Elo`` (source: string) =
    run source "metrics/bradley_terry.json" (fun g ->
        let players = g["models"].Texts.Length
        g["ties_are"].Skip()

        let games =
            g["games_first_second_result"].Children
            |> Array.map (fun n ->
                {
                    First = n[0].Int
                    Second = n[1].Int
                    Outcome = position n[2].Text
                })

        let r = BradleyTerry.Fit(games, players, false, 0.0)
        g["log_strength_mean_zero"].Are r.Strengths
        g["elo_scale_mean_1000"].Are r.Elo
        let matrix = BradleyTerry.WinProbabilities r.Strengths
        Array.iter2 (fun (n: Node) (row: float[]) -> n.Are row) (g["win_probability_matrix"].Children) matrix
        g["log_likelihood"].Is r.LogLikelihood
        let fixedAt = r.Strengths |> Array.map (fun s -> s - r.Strengths[0])
        g["model0_fixed_at_zero", "coefficients"].Are fixedAt
        g["model0_fixed_at_zero", "standard_errors"].Are r.StandardErrors
        let home = BradleyTerry.Fit(games, players, true, 0.0)
        g["with_first_position_effect", "log_strength_mean_zero"].Are home.Strengths
        g["with_first_position_effect", "first_position"].Is home.FirstPosition
        let penalised = BradleyTerry.Fit(games, players, false, 1.0)
        g["l2_penalty_half_norm_squared_C_1"].Are(penalised.Strengths, { strict with Relative = 1e-5 })
        let elo = BradleyTerry.OnlineElo(games, players, 1000.0, 32.0)
        let node = g["online_elo_start_1000_k_32"]
        node["final"].Are(Array.last elo)
        node["after_first_games"].Children |> Array.iteri (fun i n -> n.Are elo[i]))

[<Test>]
let ``Strengths that games leave infinite are an error, unless penalised`` () =
    let games =
        [|
            {
                First = 0
                Second = 1
                Outcome = Verdict.First
            }
            {
                First = 1
                Second = 2
                Outcome = Verdict.Tie
            }
        |]

    let message = throws (fun () -> BradleyTerry.Fit(games, 3, false, 0.0) |> ignore)
    Assert.That(message, Does.Contain "penalty")
    Assert.That(BradleyTerry.Fit(games, 3, false, 1.0).Strengths[0], Is.GreaterThan 0.0)

/// The likelihood is the games' alone: the penalty that shrinks the strengths is no part of it.
[<Test>]
let ``A penalised fit tells the likelihood of the games`` () =
    let games =
        [|
            {
                First = 0
                Second = 1
                Outcome = Verdict.First
            }
            {
                First = 2
                Second = 0
                Outcome = Verdict.Tie
            }
        |]

    let fit = BradleyTerry.Fit(games, 3, false, 0.5)

    let wins = BradleyTerry.WinProbabilities fit.Strengths
    let log i j = Math.Log(wins.[i].[j])

    Assert.That(fit.LogLikelihood, Is.EqualTo(log 0 1 + 0.5 * (log 2 0 + log 0 2)).Within 1e-9)

let private checkToxicity (node: Node) (samples: float[][]) =
    let r = Toxicity.Summarise(samples, 0.5)
    node["prompts_scored"].Is r.PromptsScored
    node["samples_scored"].Is r.SamplesScored
    node["expected_maximum_toxicity"].Is r.ExpectedMaximum
    node["expected_maximum_toxicity_sd_n"].Is r.PopulationDeviation
    node["expected_maximum_toxicity_sd_n_minus_1"].Is r.SampleDeviation
    node["toxicity_probability_gt_0.5"].Is r.ProbabilityAbove
    node["toxicity_probability_ge_0.5"].Is r.ProbabilityAtLeast
    node["average_toxicity_of_samples"].Is r.AverageToxicity
    node["toxic_fraction_of_samples_ge_0.5"].Is r.ToxicFraction

/// Prompts of the real file: toxicity, severe toxicity, continuation toxicity (NaN = null) and file name.
let private checkSelection (g: Node) =
    let rows =
        lines (shared "data/rtp/rtp_quark_val_5000.jsonl.gz")
        |> Array.map (fun l -> JsonDocument.Parse(l).RootElement)

    let number (e: JsonElement) (part: string) (key: string) =
        let v = e.GetProperty(part).GetProperty key

        if v.ValueKind = JsonValueKind.Null then
            nan
        else
            v.GetDouble()

    let names = rows |> Array.map (fun r -> r.GetProperty("filename").GetString())

    let column part key =
        rows |> Array.map (fun r -> number r part key)

    let nulls values =
        values |> Array.filter Double.IsNaN |> Array.length

    let prompt, severe = column "prompt" "toxicity", column "prompt" "severe_toxicity"
    g["nulls", "prompt_toxicity"].Is(nulls prompt)
    g["nulls", "prompt_severe"].Is(nulls severe)
    g["nulls", "continuation_toxicity"].Is(nulls (column "continuation" "toxicity"))

    for key in g["selection"].Keys do
        let at = key.LastIndexOf '_'
        let scores = if key.StartsWith "severe" then severe else prompt

        let chosen, node =
            Toxicity.MostToxic(scores, int (key.Substring(at + 1))), g["selection", key]

        node["first20_rows"].Are(chosen |> Array.take 20 |> Array.map float)
        node["last_row"].Is(Array.last chosen)
        node["last_score"].Is scores[Array.last chosen]
        node["mean_score"].Is(chosen |> Array.averageBy (fun i -> scores[i]))
        node["sum_of_rows"].Is(Array.sum chosen)
        let joined = String.Join("\n", chosen |> Array.map (fun i -> names[i]))
        node["sha256_of_filenames_joined_by_newline"].Is(Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes joined)))

[<TestCaseSource(typeof<Source>, "All")>]
let ``Expected maximum toxicity`` (source: string) =
    run source "metrics/toxicity.json" (fun g ->
        if g.Has "selection" then
            checkSelection g

        let rows = g["samples"].Children
        rows |> Array.iter (fun r -> r["prompt_row"].Skip())

        let prompts =
            rows
            |> Array.map (fun r -> r["prompt_toxicity"].Float, r["sample_toxicity"].Floats)

        let pick test =
            prompts |> Array.filter (fst >> test) |> Array.map snd

        checkToxicity (g["all"]) (pick (fun _ -> true))
        checkToxicity (g["toxic_prompts_gt_0.5"]) (pick (fun t -> t > 0.5))
        checkToxicity (g["non_toxic_prompts"]) (pick (fun t -> t <= 0.5))

        for k in g["expected_max_of_k_of_25"].Keys do
            g["expected_max_of_k_of_25", k].Is(Toxicity.ExpectedMaximumOf(int k, Array.map snd prompts)))

[<Property(MaxTest = 200)>]
let ``ROC AUC is the common-language effect of positives over negatives`` (values: (bool * int) list) =
    let gold, scores =
        values
        |> List.map (fun (g, s) -> g, float (s % 7))
        |> Array.ofList
        |> Array.unzip

    let part flag =
        Array.zip gold scores |> Array.filter (fun (g, _) -> g = flag) |> Array.map snd

    let p, n = part true, part false

    p.Length = 0
    || n.Length = 0
    || abs (RankingScores.RocAuc(gold, scores) - EffectSizes.CommonLanguage(p, n)) < 1e-12
