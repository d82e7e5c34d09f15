// Pairwise judgements in one or both orders: win rates, ties, position bias.
namespace PeftAlign.Core.Metrics

open System
open PeftAlign.Core.Statistics

/// Which position a judge preferred.
type Verdict =
    | First = 0
    | Second = 1
    | Tie = 2

/// A model's record over pairs, each scored 1, 1/2 or 0. WinRateDecisive, Wilson are NaN and SignTestP is 1 without
/// decisive pairs. StandardError is s / sqrt n; NaN for one pair.
type PairwiseResult =
    {
        Wins: int
        Ties: int
        Losses: int
        WinRate: float
        WinRateDecisive: float
        Delta: float
        StandardError: float
        Wilson: Interval
        SignTestP: float
    }

/// What a judge's position preference looks like over both orders.
type PositionBiasResult =
    {
        FirstWins: int
        SecondWins: int
        Ties: int
        FirstShare: float
        BinomialP: float
        ConsistentPairs: int
        Consistency: float
        FirstBiasedPairs: int
        SecondBiasedPairs: int
        ConsistentDecisivePairs: int
        KappaBetweenOrders: float
    }

/// Verdicts on pairs of answers.
[<AbstractClass; Sealed>]
type Pairwise =
    /// The model's scores (1, 1/2, 0) where it stood in the named place.
    static member Scores(verdicts: Verdict[], modelFirst: bool) : float[] =
        let own = if modelFirst then Verdict.First else Verdict.Second

        verdicts
        |> Array.map (fun v ->
            if v = Verdict.Tie then 0.5
            elif v = own then 1.0
            else 0.0)

    /// Scores over both orders in which disagreement counts as a tie.
    static member Agreed(first: float[], second: float[]) : float[] =
        Guard.sameLength "first" first "second" second
        Array.map2 (fun a b -> if a = b then a else 0.5) first second

    /// Scores averaged over both orders.
    static member Averaged(first: float[], second: float[]) : float[] =
        Guard.sameLength "first" first "second" second
        Array.map2 (fun a b -> 0.5 * (a + b)) first second

    /// Record of scores; a score above 1/2 is a win, below it a loss.
    static member Summarise(scores: float[]) : PairwiseResult =
        Guard.sample "scores" 1 scores

        let count test =
            scores |> Array.filter test |> Array.length

        let wins, losses = count (fun s -> s > 0.5), count (fun s -> s < 0.5)
        let decisive = wins + losses

        {
            Wins = wins
            Ties = scores.Length - decisive
            Losses = losses
            WinRate = Array.average scores
            WinRateDecisive = float wins / float decisive
            Delta = float (wins - losses) / float scores.Length
            StandardError = Descriptive.StandardError scores
            Wilson =
                (if decisive = 0 then
                     { Lower = nan; Upper = nan }
                 else
                     Proportions.Wilson95(wins, decisive))
            SignTestP = Proportions.BinomialTest(wins, decisive, 0.5, Alternative.TwoSided)
        }

    /// Position bias from verdicts with the model in first and in second place of the same pairs.
    static member PositionBias(modelFirst: Verdict[], modelSecond: Verdict[]) : PositionBiasResult =
        Guard.atLeast "modelFirst" 1 modelFirst
        Guard.sameLength "modelFirst" modelFirst "modelSecond" modelSecond
        let all = Array.append modelFirst modelSecond

        let count v =
            all |> Array.filter ((=) v) |> Array.length

        let first, second = count Verdict.First, count Verdict.Second
        let a, b = Pairwise.Scores(modelFirst, true), Pairwise.Scores(modelSecond, false)

        let pairs test =
            Array.map2 test a b |> Array.filter id |> Array.length

        let twice v =
            Array.map2 (fun x y -> x = v && y = v) modelFirst modelSecond
            |> Array.filter id
            |> Array.length

        let consistent = pairs (=)

        {
            FirstWins = first
            SecondWins = second
            Ties = count Verdict.Tie
            FirstShare = float first / float (first + second)
            BinomialP = Proportions.BinomialTest(first, first + second, 0.5, Alternative.TwoSided)
            ConsistentPairs = consistent
            Consistency = float consistent / float a.Length
            FirstBiasedPairs = twice Verdict.First
            SecondBiasedPairs = twice Verdict.Second
            ConsistentDecisivePairs = pairs (fun x y -> x = y && x <> 0.5)
            KappaBetweenOrders = Agreement.CohenKappa(a, b, KappaWeights.Unweighted)
        }
