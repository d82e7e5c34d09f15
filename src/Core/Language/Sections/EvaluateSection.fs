// Reading `evaluate` and `report`.
module internal PeftAlign.Core.Language.EvaluateSection

open System
open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

let private target: Reader<Target> =
    let words = [ "untouched", Untouched; "trained", Trained; "merged", Merged ]

    let word =
        choice (words |> List.map fst)
        |> map (fun word -> words |> List.find (fst >> (=) word) |> snd)

    byLook (Either [ word.Shape; Selections.reader.Shape ]) (fun node ->
        match node.Body with
        | Mapping _ -> Some(map Selected Selections.reader)
        | Scalar _ -> Some word
        | _ -> None)

let row: Reader<EvaluateRow> =
    record (
        fields {
            let! mark, path = place

            and! targets =
                required "of" "untouched, trained, merged, or selections." (oneOrMany target)

            and! benchmarks = required "with" "Benchmarks." (oneOrMany benchmark)

            and! controls =
                defaulted "control" "Controls of policies that have them." (oneOrMany (filled AnyText))

            return
                {
                    Of = targets
                    With = benchmarks
                    Controls = controls
                    Mark = mark
                    Path = path
                }
        }
    )

/// The claims to test: a built-in set's name, or a file where it looks like one.
let report: Reader<Tree option> =
    let claims =
        marked (filled AnyText)
        |> map (fun (text, mark) ->
            if text.Contains '/' || text.EndsWith(".yaml", StringComparison.Ordinal) then
                Content(text, mark)
            else
                Text text)

    record (
        fields {
            let! claims = optional "claims" "A set of claims, by name or file." claims
            return claims
        }
    )
