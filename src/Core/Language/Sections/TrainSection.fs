// Reading `train`: each row is a matrix of models, data sets, chains of methods, adapters and seeds.
module internal PeftAlign.Core.Language.TrainSection

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

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

let private maxStages = 32

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

                        if stages.Length > maxStages then
                            fault context node path $"the chain has {stages.Length} stages; the limit is {maxStages}"
                        elif last.Until.IsSome then
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
    withDefault "name" "What labels and selections call this row." "" ownName

let row: Reader<TrainRow> =
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
            and! tags = tags

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
