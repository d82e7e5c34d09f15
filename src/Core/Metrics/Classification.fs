// Scores of classifiers: accuracy, F1 in its averages, balanced accuracy, Matthews correlation, kappa, confusion matrix;
// ranking scores: ROC AUC, average precision, log loss, Brier. Conventions are scikit-learn's.
namespace PeftAlign.Core.Metrics

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

/// Classifiers' scores.
[<AbstractClass; Sealed>]
type Classification =
    static member private Counts(gold: int[], predicted: int[], label: int) =
        let count p =
            Array.fold2 (fun n g q -> if p g q then n + 1 else n) 0 gold predicted

        float (count (fun g q -> g = label && q = label)),
        float (count (fun g q -> g <> label && q = label)),
        float (count (fun g q -> g = label && q <> label))

    /// Scores of one label against all others; `zeroDivision` is returned where a denominator is zero.
    static member Label(gold: int[], predicted: int[], label: int, zeroDivision: float) : LabelScores =
        Guard.atLeast "gold" 1 gold
        Guard.sameLength "gold" gold "predicted" predicted
        let hits, wrong, missed = Classification.Counts(gold, predicted, label)

        let ratio above below =
            if below = 0.0 then zeroDivision else above / below

        {
            Precision = ratio hits (hits + wrong)
            Recall = ratio hits (hits + missed)
            F1 = ratio (2.0 * hits) (2.0 * hits + wrong + missed)
        }

    /// Mean F1 over the given labels, whether they occur or not (an absent one counts 0).
    static member MacroF1(gold: int[], predicted: int[], labels: int[]) : float =
        Guard.atLeast "labels" 1 labels

        labels
        |> Array.averageBy (fun l -> Classification.Label(gold, predicted, l, 0.0).F1)

    /// All scores of predicted against gold labels.
    static member Evaluate(gold: int[], predicted: int[]) : ClassificationResult =
        Guard.atLeast "gold" 1 gold
        Guard.sameLength "gold" gold "predicted" predicted
        let labels = Array.append gold predicted |> Array.distinct |> Array.sort
        let pairs = Array.zip gold predicted |> Array.countBy id |> dict

        let cell g p =
            match pairs.TryGetValue((g, p)) with
            | true, n -> n
            | _ -> 0

        let confusion = labels |> Array.map (fun g -> labels |> Array.map (cell g))
        let n = float gold.Length
        let rows = confusion |> Array.map (Array.sum >> float)
        let columns = confusion |> Array.transpose |> Array.map (Array.sum >> float)
        let diagonal = Array.init labels.Length (fun i -> float confusion[i].[i])
        let hits = Array.sum diagonal

        let f1 =
            labels |> Array.map (fun l -> Classification.Label(gold, predicted, l, 0.0).F1)

        let dot (a: float[]) (b: float[]) =
            Array.fold2 (fun s x y -> s + x * y) 0.0 a b

        let present = Array.zip diagonal rows |> Array.filter (fun (_, r) -> r > 0.0)
        let chance = dot rows columns
        let spread = sqrt ((n * n - dot columns columns) * (n * n - dot rows rows))

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
