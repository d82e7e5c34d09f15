// The correction for multiplicity: verdicts are those that stay after Holm's adjustment of the p-values of all claims of a set.
namespace PeftAlign.Core.Claims

open System
open System.Collections.Generic
open PeftAlign.Core.Statistics

module internal Verdicts =
    /// Why a claim with a p-value has no verdict.
    let private whyNot alpha (judged: Judged) =
        if judged.Result.Reason <> "" then
            judged.Result.Reason
        elif judged.Leaning = "" then
            "the interval holds both sides"
        elif judged.P > alpha then
            $"the interval is on one side, but p is {Statements.number judged.P}"
        else
            $"{judged.Leaning} by itself, not after the correction for the number of claims"

    /// The results in their order. Claims without a p-value are no part of the family and stay as they are.
    let corrected alpha (all: Judged[]) : IReadOnlyList<ClaimResult> =
        let tested = all |> Array.filter (fun judged -> not (Double.IsNaN judged.P))

        let adjusted =
            if tested.Length = 0 then
                [||]
            else
                Multiplicity.Adjust(tested |> Array.map _.P, Correction.Holm)

        let adjustedOf =
            Array.zip tested adjusted
            |> Array.map (fun (judged, p) -> judged.Result.Id, p)
            |> dict

        [|
            for judged in all ->
                match adjustedOf.TryGetValue judged.Result.Id with
                | true, p when judged.Leaning <> "" && p <= alpha ->
                    { judged.Result with
                        AdjustedP = p
                        Verdict = judged.Leaning
                    }
                | true, p ->
                    { judged.Result with
                        AdjustedP = p
                        Reason = whyNot alpha judged
                    }
                | _ -> judged.Result
        |]
