// AlpacaEval 2's length-controlled win rate (Dubois et al. 2024): an L1-penalised logistic model of the preference on
// length difference, instruction difficulty and the model itself; the length term is removed from the prediction.
// The fit here is the exact minimiser; the tool's coordinate descent stops at 1e-4 and differs from it by up to 0.15 points.
namespace PeftAlign.Core.Metrics

open System
open PeftAlign.Core.Statistics

/// Which terms the model has.
type LengthControlledForm =
    /// Length and model; not comparable with published numbers.
    | Minimal = 0
    /// Length, difficulty and model.
    | Unregularised = 1
    /// The leaderboard's: the same, with the two gamed baselines' rows as a regulariser.
    | Version1 = 2

/// One judged row. Preference in [1, 2] or NaN; lengths in characters (code points); difficulty of the instruction.
type LengthRow =
    {
        Preference: float
        BaselineLength: float
        ModelLength: float
        Difficulty: float
    }

/// One row of a gamed baseline: preference in [0, 1], standardised length difference, difficulty.
type GamedRow =
    {
        Preference: float
        StandardisedLength: float
        Difficulty: float
    }

/// A fit. Weights are those of length, difficulty (absent in Minimal) and model, in this order.
/// MeanScores are the cross-validated log-likelihoods of the penalties Cs; the largest wins.
type LengthControlledResult =
    {
        WinRate: float
        StandardError: float
        Weights: float[]
        C: float
        Cs: float[]
        MeanScores: float[]
    }

/// Length-controlled win rates.
[<AbstractClass; Sealed>]
type LengthControlled =
    /// The ten penalties that the tool tries: 10^(-4 + 8k/9).
    static member Penalties: float[] =
        Array.init 10 (fun k -> 10.0 ** (-4.0 + 8.0 * float k / 9.0))

    /// Prediction without the length term for given weights (difficulty 0 where the form has none), per row in [0, 1].
    static member Predict(weights: float[], difficulties: float[]) : float[] =
        let model = weights[weights.Length - 1]
        let slope = if weights.Length > 2 then weights[1] else 0.0
        difficulties |> Array.map (fun d -> Elementary.sigmoid (model + slope * d))

    /// Win rate of a model over a baseline model from both models' published weights (length, difficulty, model), percent.
    static member HeadToHead(weights: float[], baseline: float[], difficulties: float[]) : float =
        100.0
        * Array.average (LengthControlled.Predict(Array.map2 (-) weights baseline, difficulties))

    /// Rows of the regression: gamed rows in front (Version1), then the model's rows that have a preference.
    static member internal Data(rows: LengthRow[], gamed: GamedRow[], form: LengthControlledForm) : SparseLogistic.Data =
        let differences = rows |> Array.map (fun r -> r.BaselineLength - r.ModelLength)
        let sd = Descriptive.StandardDeviation differences

        // Equal lengths throughout (the baseline against itself) have nothing to control: their length term is zero.
        let standardised d = if d = 0.0 then 0.0 else d / sd

        if sd = 0.0 && differences[0] <> 0.0 then
            Guard.fail
                $"the length differences of {rows.Length} rows do not vary, so length is no variable. Use the plain win rate."

        let features length difficulty model =
            if form = LengthControlledForm.Minimal then
                [| tanh length; model |]
            else
                [| tanh length; difficulty; model |]

        let own =
            Array.zip rows differences
            |> Array.map (fun (r, d) -> features (standardised d) r.Difficulty 1.0, WinRate.Score r.Preference, 1.0)
            |> Array.filter (fun (_, p, _) -> not (Double.IsNaN p))

        let others =
            if form <> LengthControlledForm.Version1 then
                [||]
            else
                // A fifth of the model's weight, shared by the two gamed baselines.
                gamed
                |> Array.map (fun g -> features g.StandardisedLength g.Difficulty 0.0, g.Preference, 0.1)

        let x, p, s = Array.append others own |> Array.unzip3
        { X = x; P = p; S = s }

    /// Mean over five folds of the held-out log-likelihood, per penalty. Row i of n is in fold (n - 1 - i) mod 5;
    /// a fold's score is divided by its number of rows, not by their weights, as the tool does.
    static member internal CrossValidate(data: SparseLogistic.Data, penalties: float[]) : float[] =
        let n = data.P.Length
        let fold i = (n - 1 - i) % 5

        let part test : SparseLogistic.Data =
            let keep = [| 0 .. n - 1 |] |> Array.filter test

            {
                X = keep |> Array.map (fun i -> data.X[i])
                P = keep |> Array.map (fun i -> data.P[i])
                S = keep |> Array.map (fun i -> data.S[i])
            }

        let score k =
            let train, test = part (fun i -> fold i <> k), part (fun i -> fold i = k)
            let mutable w = Array.zeroCreate data.X[0].Length

            penalties
            |> Array.map (fun c ->
                // Each fit starts from the one before it: the path of a growing C is continuous.
                w <- SparseLogistic.fit train c w

                let one i x =
                    let q = Math.Clamp(Elementary.sigmoid (SparseLogistic.dot x w), 1e-15, 1.0 - 1e-15)
                    test.S[i] * (test.P[i] * log q + (1.0 - test.P[i]) * log (1.0 - q))

                Array.mapi one test.X |> Array.average)

        [| 0..4 |]
        |> Array.Parallel.map score
        |> Array.transpose
        |> Array.map Array.average

    static member private Result(rows: LengthRow[], weights, c, penalties, scores) =
        let q = LengthControlled.Predict(weights, rows |> Array.map (fun r -> r.Difficulty))

        {
            WinRate = 100.0 * Array.average q
            StandardError = 100.0 * Descriptive.StandardError q
            Weights = weights
            C = c
            Cs = penalties
            MeanScores = scores
        }

    /// Fit at a given penalty C (the exact optimum). `gamed` is used by Version1 alone.
    static member FitAt(rows: LengthRow[], gamed: GamedRow[], form: LengthControlledForm, c: float) : LengthControlledResult =
        Guard.atLeast "rows" 2 rows

        if not (c > 0.0) then
            Guard.fail $"C is {c}; it is positive."

        let data = LengthControlled.Data(rows, gamed, form)
        let w = SparseLogistic.fit data c (Array.zeroCreate data.X[0].Length)
        LengthControlled.Result(rows, w, c, [| c |], [||])

    /// The tool's whole procedure with converged fits: C by five-fold cross-validation over ten values (the first of the
    /// best), then the exact optimum on all rows. Rows without preference stay in the prediction.
    /// Error: fewer than ten judged rows, or Version1 without gamed rows.
    static member Fit(rows: LengthRow[], gamed: GamedRow[], form: LengthControlledForm) : LengthControlledResult =
        Guard.atLeast "rows" 10 rows

        if form = LengthControlledForm.Version1 then
            Guard.atLeast "gamed" 1 gamed

        let data = LengthControlled.Data(rows, gamed, form)
        Guard.atLeast "rows with a preference" 10 data.P
        let scores = LengthControlled.CrossValidate(data, LengthControlled.Penalties)
        let best = Array.findIndex ((=) (Array.max scores)) scores
        let c = LengthControlled.Penalties[best]
        let w = SparseLogistic.fit data c (Array.zeroCreate data.X[0].Length)
        LengthControlled.Result(rows, w, c, LengthControlled.Penalties, scores)
