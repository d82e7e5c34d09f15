// A claim as data: which policies are compared, over which units, by which statistic, and what must hold of it.
namespace PeftAlign.Core.Claims

open System
open System.Globalization

/// Accepted values by axis; a value that begins with '!' must not be there.
type internal Filter = (string * string list) list

type internal Take =
    | Mean
    | Largest
    | Smallest

/// What is read off a curve over an axis of numbers.
type internal Curve =
    {
        Along: string
        Log: bool
        /// The slope, else the mean height.
        Slope: bool
    }

/// A part of a contrast: policies whose scores enter with a weight, or parts of its own.
type internal Term =
    {
        Weight: float
        Where: Filter
        Take: Take
        Curve: Curve option
        Absolute: bool
        Parts: Term list
    }

/// Units are the combinations of these: an axis' values, or classes of them by name.
type internal Each =
    | Axis of string
    | Classes of axis: string * (string * string list) list

type internal Statistic =
    | MeanOf
    /// The share of units above zero, ties as one half.
    | ShareOf
    /// Rank correlation over units of the first term with the second.
    | RankCorrelation

type internal Holds =
    | Greater
    | Less
    /// Within a margin around zero (two one-sided tests).
    | Within

type internal Test =
    | ByBootstrap
    | BySignFlip

type internal Claim =
    {
        Id: string
        Says: string
        /// "mmlu" (the benchmark's first metric) or "mmlu/acc"; several are one claim only where "metric" is in Each.
        Metrics: string list
        Where: Filter
        Each: Each list
        Terms: Term list
        /// Logarithms of scores: differences are ratios, and Than is one.
        Log: bool
        Statistic: Statistic
        Holds: Holds
        Than: float
        Test: Test
    }

module internal Statements =
    let number (value: float) =
        value.ToString("0.######", CultureInfo.InvariantCulture)

    let filter (filter: Filter) =
        if filter.IsEmpty then
            "all"
        else
            filter
            |> List.map (fun (axis, values) -> axis + " " + String.Join(" or ", values))
            |> String.concat ", "

    let rec private term first (term: Term) =
        let sign =
            if term.Weight < 0.0 then "- "
            elif first then ""
            else "+ "

        let size = abs term.Weight
        let factor = if size = 1.0 then "" else number size + " "

        let body =
            if term.Parts.IsEmpty then
                $"[{filter term.Where}]"
            else
                "(" + terms term.Parts + ")"

        let body =
            match term.Take with
            | Mean -> body
            | Largest -> "max " + body
            | Smallest -> "min " + body

        let body =
            match term.Curve with
            | Some curve ->
                let scale = if curve.Log then "log2 " else ""

                (if curve.Slope then "slope of " else "height of ")
                + body
                + $" over {scale}{curve.Along}"
            | None -> body

        sign + factor + (if term.Absolute then "|" + body + "|" else body)

    and terms (parts: Term list) =
        parts |> List.mapi (fun i part -> term (i = 0) part) |> String.concat " "

    /// The claim in words that a reader can check: "mean of [tag bt] - [tag hh] > 0, over model, tag harmless or helpful".
    let claim (claim: Claim) =
        let relation =
            match claim.Holds with
            | Greater -> $"> {number claim.Than}"
            | Less -> $"< {number claim.Than}"
            | Within -> $"within ±{number claim.Than}"

        let units =
            claim.Each
            |> List.map (fun each ->
                match each with
                | Axis name -> name
                | Classes(axis, classes) -> axis + " " + String.Join(" or ", classes |> List.map fst))

        let over =
            if units.IsEmpty then
                ""
            else
                ", over " + String.Join(", ", units)

        let body =
            match claim.Statistic, claim.Log with
            | MeanOf, false -> $"mean of {terms claim.Terms} {relation}"
            | MeanOf, true -> $"ratio of {terms claim.Terms} {relation}"
            | ShareOf, _ -> $"share of {terms claim.Terms} above 0 {relation}"
            | RankCorrelation, _ -> $"rank correlation of {terms [ claim.Terms.Head ]} with {terms claim.Terms.Tail} {relation}"

        let where =
            if claim.Where.IsEmpty then
                ""
            else
                $"; only {filter claim.Where}"

        body + over + where
