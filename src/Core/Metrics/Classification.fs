// Scores of classifiers: accuracy, F1 in its averages, balanced accuracy, Matthews correlation, kappa, confusion matrix;
// ranking scores: ROC AUC, average precision, log loss, Brier. Conventions are scikit-learn's.
namespace PeftAlign.Core.Metrics

open System
open PeftAlign.Core.Statistics

/// Scores over the labels that occur in gold or predicted, ascending. Confusion has gold labels in rows.
/// A label without gold and predicted items counts F1 0. Kappa is NaN where both sides hold one and the same label.
type ClassificationResult =
    {
        Labels: int[]
        Confusion: int[][]
        Accuracy: float
        MacroF1: float
        MicroF1: float
        WeightedF1: float
        BalancedAccuracy: float
        MatthewsCorrelation: float
        CohenKappa: float
    }

/// Precision, recall and F1 of one label.
type LabelScores =
    {
        Precision: float
        Recall: float
        F1: float
    }

module private Confusions =
    let labelScores zeroDivision (hits: int) (wrong: int) (missed: int) : LabelScores =
        let ratio above below =
            if below = 0.0 then zeroDivision else above / below

        let hits, wrong, missed = float hits, float wrong, float missed

        {
            Precision = ratio hits (hits + wrong)
            Recall = ratio hits (hits + missed)
            F1 = ratio (2.0 * hits) (2.0 * hits + wrong + missed)
        }

    let private dot (a: float[]) (b: float[]) =
        Array.fold2 (fun s x y -> s + x * y) 0.0 a b

    /// Scores of a confusion matrix with gold labels in rows.
    let scores (labels: int[]) (confusion: int[][]) =
        let golds, columns =
            confusion |> Array.map Array.sum, confusion |> Array.transpose |> Array.map Array.sum

        let n, rows, sums =
            float (Array.sum golds), golds |> Array.map float, columns |> Array.map float

        let diagonal = Array.init labels.Length (fun i -> float confusion[i].[i])
        let hits = Array.sum diagonal

        let f1 =
            labels
            |> Array.mapi (fun i _ ->
                let hits = confusion[i].[i]
                (labelScores 0.0 hits (columns[i] - hits) (golds[i] - hits)).F1)

        let present = Array.zip diagonal rows |> Array.filter (fun (_, r) -> r > 0.0)
        let chance = dot rows sums
        let spread = sqrt ((n * n - dot sums sums) * (n * n - dot rows rows))

        {
            Labels = labels
            Confusion = confusion
            Accuracy = hits / n
            MacroF1 = Array.average f1
            // Over all labels every error is one false positive and one false negative.
            MicroF1 = hits / n
            WeightedF1 = dot f1 rows / n
            BalancedAccuracy = present |> Array.averageBy (fun (d, r) -> d / r)
            MatthewsCorrelation = (if spread = 0.0 then 0.0 else (hits * n - chance) / spread)
            CohenKappa = (hits * n - chance) / (n * n - chance)
        }

    /// How often each of `kinds` occurs in the rows, where kind[row] is a row's.
    let tally kinds (kind: int[]) (rows: int[]) =
        let counts = Array.zeroCreate<int> kinds

        for row in rows do
            counts[kind[row]] <- counts[kind[row]] + 1

        counts

    /// Scores of how often each pair of a gold and a predicted label occurs, over the labels of pairs that do.
    let ofPairs (pairs: (int * int)[]) (counts: int[]) =
        let there = Array.zip pairs counts |> Array.filter (fun (_, count) -> count > 0)

        let labels =
            there
            |> Array.collect (fun ((g, p), _) -> [| g; p |])
            |> Array.distinct
            |> Array.sort

        let confusion = labels |> Array.map (fun _ -> Array.zeroCreate<int> labels.Length)

        for (g, p), count in there do
            confusion[Array.BinarySearch(labels, g)].[Array.BinarySearch(labels, p)] <- count

        scores labels confusion

/// Classifiers' scores.
[<AbstractClass; Sealed>]
type Classification =
    /// Scores of one label against all others; `zeroDivision` is returned where a denominator is zero.
    static member Label(gold: int[], predicted: int[], label: int, zeroDivision: float) : LabelScores =
        Classification.LabelOfRows(gold, predicted, label, zeroDivision).Invoke [| 0 .. gold.Length - 1 |]

    /// The label's scores over any rows of the items, named by their numbers, a row as often as it is named: for resampling.
    static member LabelOfRows(gold: int[], predicted: int[], label: int, zeroDivision: float) : Func<int[], LabelScores> =
        Guard.atLeast "gold" 1 gold
        Guard.sameLength "gold" gold "predicted" predicted

        let kind =
            Array.map2 (fun g q -> (if g = label then 1 else 0) + (if q = label then 2 else 0)) gold predicted

        Func<int[], LabelScores>(fun rows ->
            Guard.atLeast "rows" 1 rows
            let counts = Confusions.tally 4 kind rows
            Confusions.labelScores zeroDivision counts[3] counts[2] counts[1])

    /// Mean F1 over the given labels, whether they occur or not (an absent one counts 0).
    static member MacroF1(gold: int[], predicted: int[], labels: int[]) : float =
        Guard.atLeast "labels" 1 labels

        labels
        |> Array.averageBy (fun l -> Classification.Label(gold, predicted, l, 0.0).F1)

    /// All scores of predicted against gold labels.
    static member Evaluate(gold: int[], predicted: int[]) : ClassificationResult =
        Classification.OfRows(gold, predicted).Invoke [| 0 .. gold.Length - 1 |]

    /// All scores over any rows of the items, named by their numbers, a row as often as it is named: for resampling.
    static member OfRows(gold: int[], predicted: int[]) : Func<int[], ClassificationResult> =
        Guard.atLeast "gold" 1 gold
        Guard.sameLength "gold" gold "predicted" predicted
        let items = Array.zip gold predicted
        let pairs = Array.distinct items
        let place = pairs |> Array.mapi (fun k pair -> pair, k) |> dict
        let kind = items |> Array.map (fun pair -> place[pair])

        Func<int[], ClassificationResult>(fun rows ->
            Guard.atLeast "rows" 1 rows
            Confusions.tally pairs.Length kind rows |> Confusions.ofPairs pairs)

/// Scores of a real-valued prediction of a binary label.
[<AbstractClass; Sealed>]
type RankingScores =
    static member private Split(gold: bool[], scores: float[]) =
        Guard.sameLength "gold" gold "scores" scores
        Guard.sample "scores" 1 scores
        let positives = gold |> Array.filter id |> Array.length
        float positives, float (gold.Length - positives)

    /// Area under the ROC curve; ties one half. NaN where only one class occurs.
    static member RocAuc(gold: bool[], scores: float[]) : float =
        let p, n = RankingScores.Split(gold, scores)
        let ranks = Descriptive.AverageRanks scores
        let sum = Array.fold2 (fun s g r -> if g then s + r else s) 0.0 gold ranks

        if p = 0.0 || n = 0.0 then
            nan
        else
            (sum - 0.5 * p * (p + 1.0)) / (p * n)

    /// Average precision: sum over thresholds of (recall gained) x precision. NaN without positives.
    static member AveragePrecision(gold: bool[], scores: float[]) : float =
        let p, _ = RankingScores.Split(gold, scores)

        let groups =
            Array.zip scores gold |> Array.groupBy fst |> Array.sortByDescending fst

        let step (hits, seen, sum) (_, items: (float * bool)[]) =
            let gained = items |> Array.filter snd |> Array.length |> float
            let hits, seen = hits + gained, seen + float items.Length
            hits, seen, sum + gained / p * (hits / seen)

        let _, _, sum = groups |> Array.fold step (0.0, 0.0, 0.0)
        if p = 0.0 then nan else sum

    /// Mean negative log-likelihood, natural logarithm; probabilities are clipped to [clip, 1 - clip].
    static member LogLoss(gold: bool[], probabilities: float[], clip: float) : float =
        RankingScores.Split(gold, probabilities) |> ignore

        Array.map2 (fun g q -> let q = min (max q clip) (1.0 - clip) in -log(if g then q else 1.0 - q)) gold probabilities
        |> Array.average

    /// Mean squared distance of the probability from the outcome.
    static member Brier(gold: bool[], probabilities: float[]) : float =
        RankingScores.Split(gold, probabilities) |> ignore

        Array.map2 (fun g q -> let e = q - (if g then 1.0 else 0.0) in e * e) gold probabilities
        |> Array.average
