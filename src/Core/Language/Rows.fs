// Readers of the sections that say what to do: train, merge, evaluate, report.
module internal PeftAlign.Core.Language.Rows

open System
open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Parts

let private defaulted key docs (reader: Reader<'T list>) : Fields<'T list> = withDefault key docs [] reader

/// A record's place in the document.
let private place: Fields<Place * string> =
    {
        Specs = []
        Get = fun _ path node -> Some(node.Mark, path)
    }

let benchmark: Reader<Benchmark> =
    let own =
        optional "name" "What reports call it; the type where absent." (filled AnyText)

    configured "benchmark" "type" "The benchmark." own true
    |> map (fun (name, bound) ->
        {
            Label = name |> Option.defaultValue bound.Contract.Schema.Name
            Bound = bound
        })

// ---- train ----

let private until: Reader<Point> =
    let shape =
        Record
            [
                {
                    Name = "epoch"
                    Shape = Number(Interval.parse "(0,)")
                    Required = false
                    Docs = "After this many epochs."
                }
                {
                    Name = "step"
                    Shape = Integer(Interval.atLeast 1)
                    Required = false
                    Docs = "After this many optimiser steps."
                }
            ]

    let epoch =
        record (
            fields {
                let! epoch =
                    required "epoch" "After this many epochs." (number (Interval.parse "(0,)"))

                return Epoch epoch
            }
        )

    let step =
        record (
            fields {
                let! step =
                    required "step" "After this many optimiser steps." (small (Interval.atLeast 1))

                return Step step
            }
        )

    byLook shape (fun node ->
        if not node.Body.IsMapping then None
        elif hasKey "step" node then Some step
        else Some epoch)

let private stage: Reader<Stage> =
    let content =
        fields {
            let! mark, path = place
            and! method = required "method" "A key under methods." (name "method")

            and! dataset =
                optional "dataset" "This stage's data set; the row's where absent." (name "dataset")

            and! adapter =
                optional "adapter" "This stage's adapter; the row's or the method's where absent." Selections.adapterName

            and! until =
                optional "until" "Where the next stage takes over; the end where absent." until

            return
                {
                    Method = method
                    Dataset = dataset
                    Adapter = adapter
                    Until = until
                    Mark = mark
                    Path = path
                }
        }

    let full = record content

    let short: Reader<Stage> =
        {
            Shape = Name "method"
            Read =
                fun context path node ->
                    (name "method").Read context path node
                    |> Option.map (fun method ->
                        {
                            Method = method
                            Dataset = None
                            Adapter = None
                            Until = None
                            Mark = node.Mark
                            Path = path
                        })
        }

    byLook (Either [ short.Shape; full.Shape ]) (fun node -> if node.Body.IsMapping then Some full else Some short)

/// A method is a chain of one stage; a list in the list is a chain.
let private chain: Reader<Stage list> =
    let stages = filledList stage

    let checkedChain =
        { stages with
            Read =
                fun context path node ->
                    stages.Read context path node
                    |> Option.bind (fun stages ->
                        let last = List.last stages

                        if last.Until.IsSome then
                            context.Faults.Add(
                                last.Mark,
                                last.Path,
                                "'until' hands over to a next stage and this is the last one; shorten it by max_steps or epochs"
                            )

                            None
                        else
                            Some stages)
        }

    let one = Either [ stage.Shape; stages.Shape ]

    byLook one (fun node ->
        match node.Body with
        | Sequence _ -> Some checkedChain
        | _ -> Some(map List.singleton stage))

let private seeds = oneOrMany (small (Interval.atLeast 0))

let private options: Reader<Entry list> =
    {
        Shape = MapOf Anything
        Read =
            fun context path node ->
                if isMapping context path node (MapOf Anything) then
                    Some(entries node |> List.ofArray)
                else
                    None
    }

let private rowName =
    withDefault "name" "What labels and selections call this row." "" (filled AnyText)

let train: Reader<TrainRow> =
    record (
        fields {
            let! mark, path = place
            and! name = rowName
            and! models = required "models" "Where training starts." (oneOrMany (name "model"))
            and! datasets = required "datasets" "What it trains on." (oneOrMany (name "dataset"))

            and! chains =
                required "methods" "Methods; a list in the list is a chain of stages." (oneOrMany chain)

            and! adapters =
                optional "adapters" "Adapters instead of the methods' own." (oneOrMany Selections.adapterName)

            and! seeds = optional "seeds" "Seeds instead of the experiment's." seeds
            and! set = withDefault "set" "Options over those of this row's methods." [] options
            and! tags = Declarations.tags

            and! evaluate =
                defaulted "evaluate" "Benchmarks for this row's policies." (filledList benchmark)

            return
                {
                    Name = name
                    Models = models
                    Datasets = datasets
                    Chains = chains
                    Adapters =
                        match adapters with
                        | Some names -> names |> List.map Some
                        | None -> [ None ]
                    Seeds = seeds
                    Set = set
                    Tags = tags
                    Evaluate = evaluate
                    Mark = mark
                    Path = path
                }
        }
    )

// ---- merge ----

/// The axes over which a merge may gather its parents.
let mergeAxes =
    [ "model"; "dataset"; "method"; "adapter"; "seed"; "stage"; "merge"; "row" ]

let private mergeCore =
    fields {
        let! mark, path = place
        and! name = required "name" "The merge's name." (filled AnyText)

        and! strategy =
            required "method" "The merge strategy." (marked (filled (Name "merge strategy")))

        and! selection = required "of" "The parents." Selections.reader

        and! across =
            required "across" "The axes along which parents are gathered." (oneOrMany (choice mergeAxes))

        and! parameters =
            optional
                "parameters"
                "The strategy's options."
                {
                    Shape = Configured("merge", "", [])
                    Read = fun _ _ node -> Some node
                }

        and! rescale =
            optional
                "rescale"
                "How sparsified task vectors are scaled; exact (1/p) where absent."
                (marked (choice [ "exact"; "l1"; "off" ]))

        and! kind =
            withDefault "base" "Over which weights adapters are folded in." "dequantised" (choice [ "w16"; "dequantised" ])

        and! baseModel =
            optional "base_model" "The parents' common base where absent." (name "model")

        and! tags = Declarations.tags

        and! evaluate =
            defaulted "evaluate" "Benchmarks for this merge." (filledList benchmark)

        return (mark, path, name), (strategy, parameters, rescale), (selection, across), (kind, baseModel), (tags, evaluate)
    }

/// `rescale` beside the parameters is the strategy's option of that name.
let private withRescale (rescale: (string * Place) option) given =
    match rescale with
    | Some(value, mark) ->
        {
            Key = "rescale"
            KeyMark = mark
            Value = Node(mark, Scalar(Scalars.Text value, value))
            Inherited = false
        }
        :: given
    | None -> given

let private bindMerge context path place (((name: string), mark), (parameters: Node option), rescale) =
    contract context (join path "method") "merge" name mark
    |> Option.bind (fun found ->
        let inner = join path "parameters"

        let given =
            match parameters with
            | Some node when isMapping context inner node (MapOf Anything) -> entries node |> List.ofArray
            | _ -> []

        Options.bind context inner $"the merge strategy '{name}'" place [] false (schemas found) (withRescale rescale given)
        |> Option.map (fun options ->
            {
                Options.Contract = found
                Options.Options = Map options
            }))

let merge: Reader<MergeRow> =
    let reader = record mergeCore

    {
        Shape = reader.Shape
        Read =
            fun context path node ->
                reader.Read context path node
                |> Option.bind (fun ((mark, place, name), strategy, (selection, across), (kind, baseModel), (tags, evaluate)) ->
                    bindMerge context path mark strategy
                    |> Option.map (fun bound ->
                        {
                            Name = name
                            Bound = bound
                            Of = selection
                            Across = across |> List.distinct
                            Base = kind
                            BaseModel = baseModel
                            Tags = tags
                            Evaluate = evaluate
                            Mark = mark
                            Path = place
                        }))
    }

// ---- evaluate and report ----

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

let evaluate: Reader<EvaluateRow> =
    record (
        fields {
            let! _, path = place

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
