// Claims for C#: text and observations in, verdicts out. Nothing is read but what the caller passes.
namespace PeftAlign.Core.Claims

open System
open System.Collections.Generic
open System.IO
open System.Reflection
open PeftAlign.Core
open PeftAlign.Core.Language
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

/// <summary>A set of claims that was read without a fault.</summary>
[<Sealed>]
type ClaimSet internal (claims: Claim list) =
    member internal _.Claims = claims

    /// <summary>Claims of one statistic each.</summary>
    member _.Count = claims.Length

/// <summary>A set of claims, or the faults that prevent it. Set is null where there are faults.</summary>
[<NoComparison; NoEquality>]
type ClaimSetResult =
    {
        Set: ClaimSet | null
        Faults: IReadOnlyList<Fault>
    }

/// A result before the correction for multiplicity, and which way it points.
type private Judged =
    {
        Result: ClaimResult
        P: float
        Leaning: string
    }

module private Judging =
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

    /// Of too few without a t an exact test takes the bootstrap's place; it cannot be significant, so the verdict is the reason.
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
            evidence.By
            + "; of one seed, so it says what other items would give, not another training"
        else
            evidence.By

    let private judged (claim: Claim) (units: Unit[]) (resampled: Resampled) alpha (stream: RandomStream) =
        let limit = if claim.Log then log claim.Than else claim.Than

        let shown value = if claim.Log then exp value else value

        let zero =
            if claim.Statistic = MeanOf && claim.Holds <> Within then
                limit
            else
                0.0

        let result =
            { empty claim "" with
                Estimate = shown resampled.Estimate
                Positive = resampled.Units |> Array.filter (fun value -> value > zero) |> Array.length
                Negative = resampled.Units |> Array.filter (fun value -> value < zero) |> Array.length
                Units =
                    Array.map2
                        (fun (unit: Unit) value ->
                            {
                                Label = unit.Label
                                Value = shown value
                            })
                        units
                        resampled.Units
                Drawn = resampled.Drawn |> Array.ofList
            }

        let without reason = nothing { result with Reason = reason }

        let level = if claim.Holds = Within then 2.0 * alpha else alpha

        if
            not (
                Double.IsFinite resampled.Estimate
                && Array.forall Double.IsFinite resampled.Replicates
            )
        then
            without (
                "the statistic does not exist for every resampling of these units"
                + (if claim.Log then "; a ratio needs scores above 0" else "")
            )
        elif resampled.Drawn.IsEmpty then
            without "one configuration, one seed and no items: there is nothing to resample; add seeds or items"
        else
            let flips =
                if claim.Statistic = MeanOf && claim.Holds <> Within then
                    signFlip resampled.Units limit (stream.Child "signs")
                else
                    nan

            match Evidence.find claim resampled level with
            | None ->
                without "every resampling gives the same number, and scores without bounds have no exact test of an equivalence"
            | Some evidence ->
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

    let one (claim: Claim) modelTags (table: Observation[]) draws alpha seed =
        let units = Units.find claim modelTags table

        if units.Length = 0 then
            nothing (empty claim "no finished evaluations fit the claim")
        else
            let stream = RandomStream(seed, "claim/" + claim.Id)

            // One claim without a number does not cost the others theirs.
            try
                judged claim units (Resampling.run claim table units draws stream) alpha stream
            with :? StatisticsException as e ->
                nothing (empty claim e.Message)

/// <summary>Claims: read from text, tested on a run's evaluations.</summary>
[<AbstractClass; Sealed>]
type ClaimSets private () =
    static let prefix = "Claims."

    /// <summary>Names of the sets that come with the product.</summary>
    static member BuiltIn: IReadOnlyList<string> =
        Assembly.GetExecutingAssembly().GetManifestResourceNames()
        |> Array.filter (fun name -> name.StartsWith(prefix, StringComparison.Ordinal))
        |> Array.map (fun name -> name.Substring(prefix.Length, name.Length - prefix.Length - ".yaml".Length))
        |> Array.sort
        :> _

    /// <summary>The text of a set that comes with the product; null for an unknown name.</summary>
    /// <param name="name">For instance "deep-dive".</param>
    static member TextOf(name: string) : string | null =
        match Assembly.GetExecutingAssembly().GetManifestResourceStream(prefix + name + ".yaml") with
        | null -> null
        | stream ->
            use reader = new StreamReader(stream)
            reader.ReadToEnd()

    /// <summary>Reads a set; every fault of it is reported at once.</summary>
    /// <param name="text">YAML.</param>
    static member Read(text: string) : ClaimSetResult =
        let faults = Faults()
        let claims = ClaimReader.read faults text

        {
            Set = if faults.Count = 0 then ClaimSet claims else null
            Faults = faults.Sorted()
        }

    /// <summary>Tests every claim. A verdict needs both: an interval on one side of the number, and Holm's adjusted p of at most alpha.</summary>
    /// <param name="set">The claims; the family of Holm's correction is those that have data.</param>
    /// <param name="observations">Of finished evaluations, in any order.</param>
    /// <param name="draws">Bootstrap draws.</param>
    /// <param name="alpha">For instance 0.05.</param>
    /// <param name="seed">Of the draws; equal seeds give equal results whatever the threads.</param>
    static member Test
        (set: ClaimSet, observations: IReadOnlyList<Observation>, draws: int, alpha: float, seed: int64)
        : IReadOnlyList<ClaimResult> =
        // In a fixed order, so that the plan's does not matter.
        let table =
            observations
            |> Seq.filter (fun o -> not (Double.IsNaN o.Value))
            |> Seq.sortBy (fun o -> Observations.name o, Observations.configuration o, Observations.axis "seed" o)
            |> Array.ofSeq

        let modelTags = Units.modelTags table

        let judged =
            set.Claims
            |> List.map (fun claim -> Judging.one claim modelTags table draws alpha seed)
            |> Array.ofList

        let tested = judged |> Array.filter (fun j -> not (Double.IsNaN j.P))

        let adjusted =
            if tested.Length = 0 then
                [||]
            else
                Multiplicity.Adjust(tested |> Array.map _.P, Correction.Holm)

        let adjustedOf =
            Array.zip tested adjusted |> Array.map (fun (j, p) -> j.Result.Id, p) |> dict

        [|
            for j in judged ->
                match adjustedOf.TryGetValue j.Result.Id with
                | true, p when j.Leaning <> "" && p <= alpha ->
                    { j.Result with
                        AdjustedP = p
                        Verdict = j.Leaning
                    }
                | true, p ->
                    { j.Result with
                        AdjustedP = p
                        Reason =
                            (if j.Result.Reason <> "" then
                                 j.Result.Reason
                             elif j.Leaning = "" then
                                 "the interval holds both sides"
                             elif j.P > alpha then
                                 $"the interval is on one side, but p is {Statements.number j.P}"
                             else
                                 $"{j.Leaning} by itself, not after the correction for the number of claims")
                    }
                | _ -> j.Result
        |]
