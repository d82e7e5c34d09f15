// Reading `merge`: a strategy, its parents by selection, and the axes that it gathers.
module internal PeftAlign.Core.Language.MergeSection

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

/// The axes over which a merge may gather its parents.
let mergeAxes =
    [ "model"; "dataset"; "method"; "adapter"; "seed"; "stage"; "merge"; "row" ]

/// `rescale` beside the parameters is the strategy's option of that name.
let private withRescale (rescale: (string * Place) option) given =
    match rescale with
    | Some(value, mark) ->
        {
            Key = "rescale"
            KeyMark = mark
            IsPlain = false
            Value = Node(mark, Scalar(Scalars.Text value, value))
            Distance = 0
        }
        :: given
    | None -> given

let private sampled (entry: Entry) =
    if MergeParameters.isVaried entry.Value then
        { entry with
            Value = MergeParameters.sample entry.Value
        }
    else
        entry

/// The bound options with what differs between layers or tensors in the place of its sample.
let private varied context path (schemas: PeftAlign.Core.OptionSchema list) (given: Entry list) (bound: (string * Tree) list) =
    let found =
        [
            for entry in given do
                if MergeParameters.isVaried entry.Value then
                    for option in schemas do
                        if option.Name = entry.Key || Seq.contains entry.Key option.Aliases then
                            option.Name, MergeParameters.read context (join path entry.Key) option entry.Value
        ]

    if found |> List.forall (fun (_, tree) -> tree.IsSome) then
        let found = found |> List.map (fun (name, tree) -> name, tree.Value) |> Map.ofList

        bound
        |> List.map (fun (name, tree) -> name, found |> Map.tryFind name |> Option.defaultValue tree)
        |> Some
    else
        None

let private bind context path (node: Node) (((name: string), mark), (parameters: Node option), rescale) =
    contract context (join path "method") "merge" name mark
    |> Option.bind (fun found ->
        let inner = join path "parameters"

        let given = optionalEntries context inner parameters
        let owner = $"the merge strategy '{name}'"
        let schemas = schemas found

        Options.bind context inner owner node.Mark [] false schemas (given |> List.map sampled |> withRescale rescale)
        |> Option.bind (varied context inner schemas given)
        |> Option.map (fun options ->
            {
                Options.Contract = found
                Options.Options = Map options
            }))

let private strategy: Fields<Options.Bound> =
    let parameters: Reader<Node> =
        {
            Shape = Configured("merge", "", [])
            Read = fun _ _ node -> Some node
        }

    let scaling = marked (choice [ "exact"; "l1"; "off" ])

    fields {
        let! name =
            required "method" "The merge strategy." (marked (filled (Name "merge strategy")))

        and! parameters = optional "parameters" "The strategy's options." parameters

        and! rescale =
            optional "rescale" "How sparsified task vectors are scaled; exact (1/p) where absent." scaling

        return name, parameters, rescale
    }
    |> refine bind

let row: Reader<MergeRow> =
    record (
        fields {
            let! mark, path = place
            and! name = required "name" "The merge's name." ownName
            and! bound = strategy
            and! selection = required "of" "The parents." Selections.reader

            and! across =
                required "across" "The axes along which parents are gathered." (oneOrMany (choice mergeAxes))

            and! kind =
                withDefault "base" "Over which weights adapters are folded in." "dequantised" (choice [ "w16"; "dequantised" ])

            and! baseModel =
                optional "base_model" "The parents' common base where absent." (name "model")

            and! tags = tags

            and! evaluate =
                defaulted "evaluate" "Benchmarks for this merge." (filledList benchmark)

            return
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
                    Path = path
                }
        }
    )
