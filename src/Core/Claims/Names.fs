// The names that claims may use: axes of policies, and what the plan's policies are called on them.
module internal PeftAlign.Core.Claims.Names

open System.Collections.Generic
open PeftAlign.Core.Language

/// Axes by which claims find policies; "tag" and "kind" as in selections.
let axes =
    Selections.axes @ [ "variant"; "checkpoint"; "control"; "benchmark_variant" ]

let private kinds = [ "untouched"; "trained"; "merged" ]

/// Names that none of the policies has: a claim on them would be about the others alone.
let unknown (faults: Faults) (uses: Use seq) (policies: IReadOnlyList<IReadOnlyDictionary<string, string>>) =
    let known =
        axes
        |> List.map (fun axis ->
            let names =
                if axis = "kind" then
                    Seq.ofList kinds
                else
                    policies |> Seq.collect (Gaps.planned >> Observations.values axis)

            axis, HashSet names)
        |> dict

    for use' in uses do
        let name = use'.Name.TrimStart '!'
        let names = known[use'.Kind]
        // What is left out need not be there, since a file of claims may serve several runs; but it may be misspelt.
        if
            not (names.Contains name)
            && (not (use'.Name.StartsWith '!') || (Suggest.nearest names name).IsSome)
        then
            faults.Add(
                use'.Mark,
                use'.Path,
                $"no policy of the plan has the {use'.Kind} {Suggest.shown name}{Suggest.hint names name}"
            )
