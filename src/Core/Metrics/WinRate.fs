// AlpacaEval's win rate from judge preferences in [1, 2] (1: the baseline is better, 2: the model; alpaca_eval 0.6.6).
namespace PeftAlign.Core.Metrics

open System
open PeftAlign.Core.Statistics

/// Win rate in percent. StandardError is NaN for a single row. Draws counts preferences of exactly 0 or 1.5, before
/// anything is dropped; Total is the rows kept.
type WinRateResult =
    {
        WinRate: float
        StandardError: float
        DiscreteWinRate: float
        Wins: int
        BaselineWins: int
        Draws: int
        Total: int
    }

/// Win rates against a baseline.
[<AbstractClass; Sealed>]
type WinRate =
    /// Preference as a score in [0, 1]; NaN where it is missing or outside [1, 2]. 0 is the old code of a draw.
    static member internal Score(preference: float) =
        let p = if preference = 0.0 then 1.5 else preference
        if p >= 1.0 && p <= 2.0 then p - 1.0 else nan

    /// Win rate of preferences (NaN = missing). Missing ones and those outside [1, 2] are dropped first, except for the
    /// discrete rate, which rounds first (1.5 stays a draw; halves go to the even neighbour), as the tool does.
    /// Error: no preference left.
    static member FromPreferences(preferences: float[]) : WinRateResult =
        let kept =
            preferences |> Array.map WinRate.Score |> Array.filter (Double.IsNaN >> not)

        if kept.Length = 0 then
            Guard.fail
                $"none of {preferences.Length} rows has a preference in [1, 2]; a win rate needs one. Check the judge's output."

        let round p =
            if p = 1.5 then
                0.0
            else
                Math.Round(p, MidpointRounding.ToEven)

        let discrete =
            preferences
            |> Array.map (round >> WinRate.Score)
            |> Array.filter (Double.IsNaN >> not)

        let count test =
            kept |> Array.filter test |> Array.length

        {
            WinRate = 100.0 * Array.average kept
            StandardError = 100.0 * Descriptive.StandardError kept
            DiscreteWinRate = 100.0 * Array.average discrete
            Wins = count (fun p -> p > 0.5)
            BaselineWins = count (fun p -> p < 0.5)
            Draws = preferences |> Array.filter (fun p -> p = 0.0 || p = 1.5) |> Array.length
            Total = kept.Length
        }
