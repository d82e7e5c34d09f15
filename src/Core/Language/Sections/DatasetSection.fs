// Reading `datasets`: what a reader reads, or a mixture of other data sets.
module internal PeftAlign.Core.Language.DatasetSection

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

/// The fields of training rows: those that determine a row's shape, and those that accompany them.
let private shapedFields =
    [
        "text"
        "messages"
        "prompt"
        "completion"
        "chosen"
        "rejected"
        "label"
        "margin"
        "tools"
        "chat_template_kwargs"
        "input_ids"
        "labels"
        "assistant_masks"
        "completion_mask"
        "seq_lengths"
        "prompt_ids"
        "completion_ids"
        "chosen_ids"
        "rejected_ids"
        "chosen_input_ids"
        "chosen_labels"
        "rejected_input_ids"
        "rejected_labels"
    ]

/// The fields that a data set may map: with those that plugins read beside them, by a contract's trait "column:NAME".
let rowFields (known: Known) =
    [
        yield! shapedFields

        for kind in [ "method"; "benchmark"; "reader"; "judge" ] do
            for contract in known.OfKind kind do
                for trait' in contract.Schema.Traits do
                    if trait'.StartsWith("column:", System.StringComparison.Ordinal) then
                        trait'.Substring "column:".Length
    ]
    |> List.distinct

/// A misspelt field would be read by nobody, and the training would use whatever else the row holds; so it is a fault.
let private columns =
    let reader = named (filled AnyText)

    {
        Shape = RowFields
        Read =
            fun context path node ->
                let fields = rowFields context.Known

                reader.Read context path node
                |> Option.map (
                    List.choose (fun (column, mark, source) ->
                        if not (List.contains column fields) then
                            context.Faults.Add(
                                mark,
                                join path column,
                                $"rows have no field {Suggest.shown column}{Suggest.hint fields column}"
                            )

                        source |> Option.map (fun source -> column, source))
                )
    }

let private count = small (Interval.atLeast 1) |> map int64

let private rowsOf =
    fields {
        let! split = optional "split" "A split's name." (filled AnyText)
        and! take = optional "take" "The first N rows." count
        and! map = optional "map" "Our column names -> the file's." columns
        and! tags = tags
        return split, take, Option.defaultValue [] map, tags
    }

let private weights: Reader<(string * float * Place) list> =
    let weight = marked (number (Interval.parse "(0,)"))
    let byName = named weight
    let union = filledList (marked (name "dataset"))

    let use' context path (name, mark) =
        context.Uses.Add
            {
                Kind = "dataset"
                Name = name
                Mark = mark
                Path = path
            }

    let weighted: Reader<(string * float * Place) list> =
        {
            Shape = MapOf weight.Shape
            Read =
                fun context path node ->
                    match byName.Read context path node with
                    | Some [] -> fault context node path "the mixture is empty; name at least one data set"
                    | Some parts ->
                        for name, mark, _ in parts do
                            use' context path (name, mark)

                        if parts |> List.forall (fun (_, _, weight) -> weight.IsSome) then
                            Some(parts |> List.map (fun (name, mark, weight) -> name, fst weight.Value, mark))
                        else
                            None
                    | None -> None
        }

    // Weight 0 in this form: each data set counts by its number of rows.
    let bySize = union |> map (List.map (fun (name, mark) -> name, 0.0, mark))

    byLook (Either [ weighted.Shape; union.Shape ]) (fun node ->
        match node.Body with
        | Sequence _ -> Some bySize
        | Mapping _ -> Some weighted
        | _ -> None)

let dataset: Reader<Dataset> =
    let make source (split, take, columns, tags) : Dataset =
        {
            Source = source
            Split = split
            Take = take
            Columns = columns
            Tags = tags
        }

    let files =
        configured "reader" "reader" "What reads it." rowsOf false
        |> map (fun (rows, bound) -> make (Files bound) rows)

    let mixture =
        record (
            fields {
                let! parts =
                    required "mixture" "Data sets with their proportions, or a list of them by size." weights

                and! take = optional "take" "The first N rows." count
                and! tags = tags
                return make (Mixture parts) (None, take, [], tags)
            }
        )

    byLook (Either [ files.Shape; mixture.Shape ]) (fun node ->
        if not node.Body.IsMapping then None
        elif hasKey "mixture" node then Some mixture
        else Some files)
