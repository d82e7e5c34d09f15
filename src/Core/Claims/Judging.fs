// What a claim came to: the verdict that its evidence allows, before the correction for multiplicity.
namespace PeftAlign.Core.Claims

open System
open System.Collections.Generic
open PeftAlign.Core.Statistics

/// <summary>One unit of a claim: a configuration, with its contrast.</summary>
type ClaimUnit = { Label: string; Value: float }

/// <summary>What a claim came to.</summary>
/// <remarks><para>Verdict: supported, contradicted or inconclusive; Reason says why it is inconclusive. Statement: the check in words.
/// Estimate with the interval Lower to Upper of level Level (for equivalences 1 - 2 alpha) and PValue by the bootstrap or SignFlipP by
/// exact sign flips of the units (NaN for one unit); where resampling does not vary, interval and PValue are an exact test's. AdjustedP is Holm's over all claims of the set that have data.</para>
/// <para>Method: how the interval was made, in words; empty where there is none.</para>
/// <para>Positive and Negative count units above and below zero (above and below Than where that is not zero). Drawn: what was resampled.</para></remarks>
[<NoComparison>]
type ClaimResult =
    {
        Id: string
        Says: string
        Statement: string
        Metric: string
        Verdict: string
        Reason: string
        Estimate: float
        Lower: float
        Upper: float
        Level: float
        Method: string
        Than: float
        PValue: float
        SignFlipP: float
        AdjustedP: float
        Positive: int
        Negative: int
        Units: IReadOnlyList<ClaimUnit>
        Drawn: IReadOnlyList<string>
    }

/// A result before the correction for multiplicity, and which way it points.
type internal Judged =
    {
        Result: ClaimResult
        P: float
        Leaning: string
    }

module internal Judging =
    let empty (claim: Claim) reason : ClaimResult =
        {
            Id = claim.Id
            Says = claim.Says
            Statement = Statements.claim claim
            Metric = String.Join(", ", claim.Metrics)
            Verdict = "inconclusive"
            Reason = reason
            Estimate = nan
            Lower = nan
            Upper = nan
            Level = nan
            Method = ""
            Than = claim.Than
            PValue = nan
            SignFlipP = nan
            AdjustedP = nan
            Positive = 0
            Negative = 0
            Units = [||]
            Drawn = [||]
        }

    let nothing result =
        {
            Result = result
            P = nan
            Leaning = ""
        }

    let private twoSided evidence limit =
        min 1.0 (2.0 * min (evidence.AtMost limit) (evidence.AtLeast limit))

    let private signFlip (units: float[]) than stream =
        let shifted = units |> Array.map (fun value -> value - than)

        if units.Length < 2 then
            nan
        elif units.Length <= 16 then
            (Permutation.SignFlipExact shifted).PAbsolute
        else
            (Permutation.SignFlip(shifted, 10000, stream)).PAbsolute

    /// Which verdict the interval allows, and the p-value that must be small for it.
    let private leaning (claim: Claim) limit (evidence: Evidence) (flips: float) =
        let interval = evidence.Interval

        let p () =
            if claim.Test = BySignFlip then
                flips
            else
                twoSided evidence limit

        match claim.Holds with
        | Greater when interval.Lower > limit -> "supported", p ()
        | Greater when interval.Upper < limit -> "contradicted", p ()
        | Less when interval.Upper < limit -> "supported", p ()
        | Less when interval.Lower > limit -> "contradicted", p ()
        | Greater
        | Less -> "", p ()
        | Within ->
            if interval.Lower > limit then
                "contradicted", twoSided evidence limit
            elif interval.Upper < -limit then
                "contradicted", twoSided evidence -limit
            else
                (if interval.Lower > -limit && interval.Upper < limit then
                     "supported"
                 else
                     ""),
                max (evidence.AtLeast limit) (evidence.AtMost -limit)

    /// Where there are too few and no t, an exact test takes the bootstrap's place; it cannot be significant, so the verdict gives that as the reason.
    let private ofFew (claim: Claim) (resampled: Resampled) flips (lean: string, _: float) =
        let top = resampled.Top

        let why =
            if top.Of = "items" then
                "add items"
            elif claim.Statistic <> MeanOf then
                $"and t is for means; add {top.Of}"
            else
                "and the policies share fewer than two of them; give them the same seeds"

        let reason =
            if lean = "" then
                "the interval holds both sides"
            else
                $"only {top.Count} {top.Of}: the bootstrap's interval is too narrow, {why}"

        reason, "", (if claim.Holds = Within then nan else flips)

    let private missingFlips =
        "sign flips need the mean of at least two units; name axes in each, or leave test out"

    /// Reason (empty: the verdict's own), verdict and p.
    let private concluded (claim: Claim) (resampled: Resampled) limit evidence flips =
        let lean, p = leaning claim limit evidence flips

        if claim.Test = BySignFlip && claim.Holds <> Within && Double.IsNaN flips then
            missingFlips, "", nan
        elif claim.Test = ByBootstrap && Evidence.isTooFew resampled evidence then
            ofFew claim resampled flips (lean, p)
        elif lean = "" && evidence.IsExact then
            $"every resampling gives the same number, and the exact interval of {resampled.Count} holds both sides", lean, p
        else
            "", lean, p

    let private methodOf (resampled: Resampled) (evidence: Evidence) =
        if evidence.By <> "" && resampled.HasSingleSeeds && resampled.Top.Of = "items" then
            evidence.By + " of one seed, so about that training alone"
        else
            evidence.By

    /// What the statement says of policies that stand on both sides; most are chains that a method's name selects unnoticed.
    let private cancelling (names: string list) =
        match names with
        | [] -> ""
        | [ name ] -> $"; {name} stands on both sides"
        | name :: others -> $"; {name} and {others.Length} more stand on both sides"

    /// What the units came to, before anything is said of how sure it is. `limit` is the claim's Than on the scale of the scores.
    let private described (claim: Claim) table (units: Unit[]) (resampled: Resampled) limit shown =
        let zero =
            if claim.Statistic = MeanOf && claim.Holds <> Within then
                limit
            else
                0.0

        let count isMeant =
            resampled.Units |> Array.filter isMeant |> Array.length

        let unit (unit: Unit) value : ClaimUnit =
            {
                Label = unit.Label
                Value = shown value
            }

        { empty claim "" with
            Statement = Statements.claim claim + cancelling (Units.onBothSides claim table units)
            Estimate = shown resampled.Estimate
            Positive = count (fun value -> value > zero)
            Negative = count (fun value -> value < zero)
            Units = Array.map2 unit units resampled.Units
            Drawn = resampled.Drawn |> Array.ofList
        }

    /// Why resampling gives no interval; empty where it does.
    let private obstacle (claim: Claim) (resampled: Resampled) =
        if
            not (
                Double.IsFinite resampled.Estimate
                && Array.forall Double.IsFinite resampled.Replicates
            )
        then
            "the statistic does not exist for every resampling of these units"
            + (if claim.Log then "; a ratio needs scores above 0" else "")
        elif resampled.Drawn.IsEmpty then
            "one configuration, one seed and no items: there is nothing to resample; add seeds or items"
        else
            ""

    let private judged (claim: Claim) table (units: Unit[]) (resampled: Resampled) alpha (stream: RandomStream) =
        let limit = if claim.Log then log claim.Than else claim.Than
        let level = if claim.Holds = Within then 2.0 * alpha else alpha

        let shown value = if claim.Log then exp value else value

        let result = described claim table units resampled limit shown

        let without reason = nothing { result with Reason = reason }

        let sure evidence =
            let flips =
                if claim.Statistic = MeanOf && claim.Holds <> Within then
                    signFlip resampled.Units limit (stream.Child "signs")
                else
                    nan

            let reason, lean, p = concluded claim resampled limit evidence flips

            {
                Result =
                    { result with
                        Reason = reason
                        Lower = shown evidence.Shown.Lower
                        Upper = shown evidence.Shown.Upper
                        Level = 1.0 - level
                        Method = methodOf resampled evidence
                        PValue = p
                        SignFlipP = flips
                    }
                P = p
                Leaning = lean
            }

        match obstacle claim resampled with
        | "" ->
            match Evidence.find claim resampled level with
            | Ok evidence -> sure evidence
            | Error why -> without why
        | why -> without why

    let private ofUnits (claim: Claim) modelTags (table: Observation[]) draws alpha seed =
        let units = Units.find claim modelTags table

        if units.Length = 0 then
            nothing (empty claim "no finished evaluations fit the claim")
        else
            let stream = RandomStream(seed, "claim/" + claim.Id)

            // A claim without a number must not take the numbers from the others.
            try
                judged claim table units (Resampling.run claim table units draws stream) alpha stream
            with :? StatisticsException as e ->
                nothing (empty claim e.Message)

    /// Gives the number of the evaluations that exist, but no verdict where some are missing.
    let one (claim: Claim) modelTags (table: Observation[]) firsts pending draws alpha seed =
        let found = ofUnits claim modelTags table draws alpha seed

        match Gaps.find claim modelTags table firsts pending with
        | "" -> found
        | gap ->
            { found with
                Leaning = ""
                Result =
                    { found.Result with
                        Reason =
                            (if found.Result.Units.Count = 0 then
                                 $"{found.Result.Reason}; {gap}"
                             else
                                 gap)
                    }
            }
