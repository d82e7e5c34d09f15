// What resampling, or an exact test in its place, says of a claim's statistic: an interval, and the probability of a value so large or
// small if the truth lay on the other side.
namespace PeftAlign.Core.Claims

open System
open PeftAlign.Core
open PeftAlign.Core.Statistics

type internal Evidence =
    {
        Interval: Statistics.Interval
        /// NaN limits where there is nothing to show.
        Shown: Statistics.Interval
        /// p of the hypothesis that the truth is at most (at least) a number.
        AtMost: float -> float
        AtLeast: float -> float
        IsExact: bool
        /// How the interval was made, in words.
        By: string
    }

module internal Evidence =
    /// Fewer cannot reach a two-sided p of 0.05 by sign flips: 2 / 2^5 = 0.0625.
    let enough = 6

    let private listed (words: string list) =
        match List.rev words with
        | last :: (_ :: _ as others) -> String.Join(", ", List.rev others) + " and " + last
        | _ -> String.Join("", words)

    let private between lower upper : Statistics.Interval = { Lower = lower; Upper = upper }

    /// The interval at a level: BCa, percentile where BCa does not exist. Tails count the observed value.
    let private bootstrap (resampled: Resampled) alpha =
        let found =
            BootstrapIntervals.result resampled.Estimate resampled.Replicates resampled.Without alpha

        let interval =
            if Double.IsNaN(found.Bca.Lower + found.Bca.Upper) then
                found.Percentile
            else
                found.Bca

        let tail test =
            float (1 + (resampled.Replicates |> Array.filter test |> Array.length))
            / float (1 + resampled.Replicates.Length)

        {
            Interval = interval
            Shown = interval
            AtMost = fun number -> tail (fun r -> r <= number)
            AtLeast = fun number -> tail (fun r -> r >= number)
            IsExact = false
            By = $"bootstrap of {listed resampled.Drawn}"
        }

    /// For n equal values between two bounds: if the mean is at most m, each is so large with a probability of at most
    /// (m - low) / (value - low). For yes-or-no items this is the binomial test and Clopper and Pearson's interval.
    let private bounded value n (low, high) alpha =
        let share part whole =
            if part <= 0.0 then 0.0 else Math.Pow(part / whole, float n)

        let root = Math.Pow(alpha / 2.0, 1.0 / float n)

        let interval = between (low + (value - low) * root) (high - (high - value) * root)

        {
            Interval = interval
            Shown = interval
            AtMost =
                fun number ->
                    if number >= value then
                        1.0
                    else
                        share (number - low) (value - low)
            AtLeast =
                fun number ->
                    if number <= value then
                        1.0
                    else
                        share (high - number) (high - value)
            IsExact = true
            By = $"exact, of {n} equal values in their bounds"
        }

    /// For n items on which every policy scored the same: a share q of differing items would go unseen with a probability of (1 - q)^n. The limits are
    /// those of the share that goes unseen with the interval's error, and p is that probability for the least share that allows a number.
    let private limited value n (limits: float -> float * float) alpha =
        let low, high = limits (1.0 - Math.Pow(alpha / 2.0, 1.0 / float n))

        let p allows =
            let rec least few many step =
                let middle = 0.5 * (few + many)

                if step = 0 then few
                elif allows (limits middle) then least few middle (step - 1)
                else least middle many (step - 1)

            if allows (limits 0.0) then
                1.0
            elif allows (limits 1.0) then
                Math.Pow(1.0 - least 0.0 1.0 60, float n)
            else
                0.0

        {
            Interval = between low high
            Shown = between low high
            AtMost =
                fun number ->
                    if number >= value then
                        1.0
                    else
                        p (fun (low, _) -> low <= number)
            AtLeast =
                fun number ->
                    if number <= value then
                        1.0
                    else
                        p (fun (_, high) -> high >= number)
            IsExact = true
            By = $"exact, of {n} items with equal scores"
        }

    /// Sign flips of n equal differences from a number: all are on one side once in 2^n.
    let private flipped value n =
        let p = Math.Pow(0.5, float n)

        {
            Interval = between value value
            Shown = between nan nan
            AtMost = fun number -> if number >= value then 1.0 else p
            AtLeast = fun number -> if number <= value then 1.0 else p
            IsExact = true
            By = ""
        }

    /// Student's t over the values of the highest level, which contain the noise of all levels below. Where the claim's number is not just
    /// their mean (a ratio, the best of several), the interval extends beyond both.
    let private student (resampled: Resampled) alpha =
        let values = resampled.Top.Values
        let freedom = float (values.Length - 1)
        let error, mean = Descriptive.StandardError values, Descriptive.Mean values
        let low, high = min mean resampled.Estimate, max mean resampled.Estimate

        let half = error * Distributions.StudentTQuantile(1.0 - 0.5 * alpha, freedom)

        /// Of a distance from a number in the direction that speaks against it.
        let tail distance =
            if distance <= 0.0 then
                1.0
            else
                Distributions.StudentTSf(distance / error, freedom)

        between (low - half) (high + half), (fun number -> tail (low - number)), (fun number -> tail (number - high))

    /// A bootstrap of few seeds or configurations gives too narrow an interval, however many items stand behind each, so the wider of its
    /// interval and t's is taken, and the larger p. With many seeds the two agree.
    let private widened (resampled: Resampled) alpha (evidence: Evidence) =
        let interval, atMost, atLeast = student resampled alpha

        let wide =
            between (min interval.Lower evidence.Interval.Lower) (max interval.Upper evidence.Interval.Upper)

        { evidence with
            Interval = wide
            Shown = wide
            AtMost = fun number -> max (atMost number) (evidence.AtMost number)
            AtLeast = fun number -> max (atLeast number) (evidence.AtLeast number)
            By = $"the wider of {evidence.By}, and t over {resampled.Top.Values.Length} {resampled.Top.Of}"
        }

    let private isFew (resampled: Resampled) = resampled.Top.Count < enough

    /// Policies whose seeds are mostly others share too few for a t, but have enough for a bootstrap.
    let private hasT (resampled: Resampled) =
        let shared = resampled.Top.Values.Length
        shared >= enough || (shared > 1 && isFew resampled)

    let private isConstant (resampled: Resampled) =
        let rounding = 1e-12 * max 1.0 (abs resampled.Estimate)

        resampled.Replicates
        |> Array.forall (fun r -> abs (r - resampled.Estimate) <= rounding)

    /// Where all resamplings are the same, they say nothing of what another item would give: the exact test takes their place, or the reason
    /// why there is none. alpha is the interval's.
    let find (claim: Claim) (resampled: Resampled) alpha : Result<Evidence, string> =
        let value, count = resampled.Estimate, resampled.Count

        if claim.Statistic = RankCorrelation || not (isConstant resampled) then
            let evidence = bootstrap resampled alpha

            Ok(
                if hasT resampled then
                    widened resampled alpha evidence
                else
                    evidence
            )
        else
            match resampled.Constant with
            | Between(low, high) -> Ok(bounded value count (low, high) alpha)
            | Limits limits -> Ok(limited value count limits alpha)
            | Unbounded when claim.Holds <> Within -> Ok(flipped value count)
            | Unbounded ->
                Error "every resampling gives the same number, and scores without bounds have no exact test of an equivalence"
            | Unclear ->
                Error
                    "every resampling gives the same number, and no exact test fits it; state it without 'ratio', 'take' and 'absolute', or add items"

    /// Whether a bootstrap has so few to draw that its interval is too narrow, and there is no t in its place.
    let isTooFew (resampled: Resampled) evidence =
        not evidence.IsExact && isFew resampled && not (hasT resampled)
