// Readers of the sections that declare things: models, datasets, adapters, methods, judges.
module internal PeftAlign.Core.Language.Declarations

open System
open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Parts

let private pathOf: Reader<Tree> = marked (filled FilePath) |> map Content

let tags =
    optional "tags" "Words by which selections find it." (oneOrMany (filled AnyText))
    |> fun field ->
        {
            Specs = field.Specs
            Get = fun context path node -> field.Get context path node |> Option.map (Option.defaultValue [])
        }

/// A chat template's name, or a file where it looks like one.
let private template =
    { pathOf with
        Shape = AnyText
        Read =
            fun context path node ->
                (filled AnyText).Read context path node
                |> Option.map (fun text ->
                    if text.Contains '/' || text.EndsWith(".jinja", StringComparison.Ordinal) then
                        Content(text, node.Mark)
                    else
                        Text text)
    }

// ---- models ----

let private trainedTokenizer: Reader<Tokenizer> =
    record (
        fields {
            let! dataset =
                required "train" "The data set to train it on." (marked (name "dataset"))

            and! size =
                required "size" "Entries of its vocabulary." (small (Interval.parse "[256,)"))

            return TrainedOn(fst dataset, snd dataset, size)
        }
    )

let private tokenizer: Reader<Tokenizer> =
    let files =
        marked (filled FilePath)
        |> map (fun (path, mark) -> if path = "bytes" then Bytes else TokenizerFiles(path, mark))

    byLook (Either [ Choice [ "bytes" ]; FilePath; trainedTokenizer.Shape ]) (fun node ->
        match node.Body with
        | Mapping _ -> Some trainedTokenizer
        | Scalar _ -> Some files
        | _ -> None)

/// The architecture's own options stand under `set`.
let private architecture =
    fields {
        let! name =
            required "init" "An architecture whose weights are drawn at random." (marked (filled (Name "architecture")))

        and! set =
            optional
                "set"
                "The architecture's options (config.json)."
                (marked
                    {
                        Shape = MapOf Anything
                        Read = fun _ _ node -> Some node
                    })

        and! tokenizer =
            required "tokenizer" "bytes, a folder, or { train: DATASET, size: N }." tokenizer

        and! seed = withDefault "seed" "Seed of the weights." 0 (small (Interval.atLeast 0))
        return name, set, tokenizer, seed
    }

let private bindArchitecture context path (node: Node) (((name, mark), set: (Node * Place) option, tokenizer, seed)) =
    contract context (join path "init") "architecture" name mark
    |> Option.bind (fun found ->
        let owner = $"the architecture '{name}'"
        let settings, place = set |> Option.defaultValue (node, node.Mark)

        let given =
            match set with
            | Some(settings, _) when isMapping context (join path "set") settings (MapOf Anything) ->
                entries settings |> List.ofArray
            | _ -> []

        Options.bind context (join path "set") owner place [] false (schemas found) given
        |> Option.map (fun options ->
            Initialised
                {
                    Architecture =
                        {
                            Contract = found
                            Options = Map options
                        }
                    Tokenizer = tokenizer
                    Seed = seed
                }))

let private fresh: Reader<ModelSource> =
    recordWith (Record architecture.Specs) architecture (fun context path node own _ -> bindArchitecture context path node own)

let private withTemplate (source: Fields<'T>) =
    fields {
        let! source = source

        and! chatTemplate =
            optional "chat_template" "A template's name or file; the folder's own where absent." template

        and! tags = tags
        return source, chatTemplate, tags
    }

let private folder =
    fields {
        let! path = required "path" "A model folder." pathOf

        and! config =
            optional "config" "A config.json that gives the shape of a folder that is not there yet." pathOf

        return Folder(path, config)
    }

let private fromRun =
    fields {
        let! selection = required "run" "One policy of this run." Selections.reader
        return FromRun selection
    }

let model: Reader<Model> =
    let make (source, chatTemplate, tags) : Model =
        {
            Source = source
            ChatTemplate = chatTemplate
            Tags = tags
        }

    let plain content =
        record (withTemplate content) |> map make

    let initialised =
        let all = withTemplate architecture
        let names = all.Specs |> List.map (fun spec -> spec.Name)

        recordWith (Record all.Specs) all (fun context path node (own, chatTemplate, tags) others ->
            for entry in others do
                context.Faults.Add(
                    entry.KeyMark,
                    join path entry.Key,
                    $"unknown key '{entry.Key}'{Suggest.hint names entry.Key}"
                )

            bindArchitecture context path node own
            |> Option.map (fun source -> make (source, chatTemplate, tags)))

    let made = plain fromRun
    let onDisk = plain folder

    byLook (Either [ onDisk.Shape; initialised.Shape; made.Shape ]) (fun node ->
        if not node.Body.IsMapping then None
        elif hasKey "init" node then Some initialised
        elif hasKey "run" node then Some made
        else Some onDisk)

// ---- data sets ----

let private columns =
    let reader = named (filled AnyText)

    {
        Shape = reader.Shape
        Read =
            fun context path node ->
                reader.Read context path node
                |> Option.map (List.choose (fun (column, _, source) -> source |> Option.map (fun source -> column, source)))
    }

let private rowsOf =
    fields {
        let! split = optional "split" "A split's name." (filled AnyText)
        and! take = optional "take" "The first N rows." (integer (Interval.atLeast 1))
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

                and! take = optional "take" "The first N rows." (integer (Interval.atLeast 1))
                and! tags = tags
                return make (Mixture parts) (None, take, [], tags)
            }
        )

    byLook (Either [ files.Shape; mixture.Shape ]) (fun node ->
        if not node.Body.IsMapping then None
        elif hasKey "mixture" node then Some mixture
        else Some files)

// ---- adapters ----

/// What an adapter's type stands for: its contract and perhaps a quantisation (qlora = lora + nf4).
let private expand context path kind name mark =
    contract context path "adapter" name mark
    |> Option.bind (fun found ->
        match Given.text found.Schema.Alias with
        | "" -> Some(found, kind)
        | alias ->
            let tree = Tree.ofJson alias

            let word key =
                match Tree.find key tree with
                | Some(Text text) -> Some text
                | _ -> None

            contract context path "adapter" (word "type" |> Option.defaultValue "") mark
            |> Option.map (fun target ->
                target,
                kind
                |> Option.orElse (word "quantization" |> Option.map (fun name -> name, mark))))

let private adapterCore =
    fields {
        let! name =
            required "type" "The adapter's type." (marked (filled (Name "adapter type")))

        and! quantization =
            optional "quantization" "Train over a base quantised like this." (marked (filled AnyText))

        and! tags = tags
        return name, quantization, tags
    }

let adapter: Reader<Adapter> =
    let names = adapterCore.Specs |> List.map (fun spec -> spec.Name)

    recordWith
        (Configured("adapter", "type", adapterCore.Specs))
        adapterCore
        (fun context path node ((name, mark), quantization, tags) others ->
            expand context (join path "type") quantization name mark
            |> Option.bind (fun (found, quantization) ->
                let quantized =
                    quantization
                    |> Option.map (fun (name, mark) -> contract context (join path "quantization") "quantization" name mark)

                match quantized with
                | Some None -> None
                | _ ->
                    let quantized = quantized |> Option.bind id
                    let own = schemas found
                    let ownNames = own |> List.map _.Name |> set

                    let extra =
                        quantized
                        |> Option.map schemas
                        |> Option.defaultValue []
                        |> List.filter (fun schema -> not (ownNames.Contains schema.Name))

                    let owner = $"the adapter '{name}'"

                    Options.bind context path owner node.Mark names true (own @ extra) others
                    |> Option.map (fun options ->
                        let mine, others =
                            options |> List.partition (fun (name, _) -> ownNames.Contains name)

                        {
                            Bound = { Contract = found; Options = Map mine }
                            Quantization =
                                quantized
                                |> Option.map (fun contract ->
                                    {
                                        Contract = contract
                                        Options = Map others
                                    })
                            Tags = tags
                        })))

// ---- methods ----

let private select: Reader<Select> =
    record (
        fields {
            let! by = required "by" "A metric of the training job." (filled AnyText)

            and! mode =
                optional "mode" "min or max; min for losses where absent." (choice [ "min"; "max" ])

            return
                {
                    By = by
                    Largest =
                        match mode with
                        | Some mode -> mode = "max"
                        | None -> not (by.Contains "loss" || by.Contains "perplexity")
                }
        }
    )

let private methodCore =
    fields {
        let! node = self
        and! name = required "type" "The method." (marked (filled (Name "method type")))

        and! adapter =
            optional "adapter" "An adapter's name; full fine-tuning where absent." Selections.adapterName

        and! select = optional "select" "Keeps one variant of a grid." select
        and! tags = tags
        return node, name, adapter, select, tags
    }

/// Options are bound by Methods.bind, since rows may override them.
let method: Reader<Method> =
    recordWith
        (Configured("method", "type", methodCore.Specs))
        methodCore
        (fun context path _ (node, (name, mark), adapter, select, tags) others ->
            contract context (join path "type") "method" name mark
            |> Option.map (fun found ->
                {
                    Contract = found
                    Mark = node.Mark
                    Entries = others
                    Adapter = adapter |> Option.filter ((<>) "none")
                    Select = select
                    Tags = tags
                }))

// ---- judges ----

let private judgeMade: Reader<Judge> =
    let source =
        byLook (Either [ (record fromRun).Shape; fresh.Shape ]) (fun node ->
            if hasKey "run" node then
                Some(record fromRun)
            else
                Some fresh)

    let sourceKeys = [ "run"; "init"; "set"; "tokenizer"; "seed" ]

    let shape = Configured("judge", "type", fromRun.Specs @ architecture.Specs)

    {
        Shape = shape
        Read =
            fun context path node ->
                let all = entries node

                let part keep =
                    Node(node.Mark, Mapping(all |> Array.filter (fun entry -> keep entry.Key)))

                let isSource key = List.contains key sourceKeys
                let made = source.Read context path (part isSource)

                let name, mark =
                    match all |> Array.tryFind (fun entry -> entry.Key = "type") with
                    | Some { Value = value } ->
                        (filled AnyText).Read context (join path "type") value |> Option.defaultValue "", value.Mark
                    | None -> "classifier", node.Mark

                if name = "" then
                    None
                else
                    contract context (join path "type") "judge" name mark
                    |> Option.bind (fun found ->
                        // What the run makes stands for the path.
                        let wanted = schemas found |> List.filter (fun schema -> schema.Name <> "path")

                        let given =
                            all
                            |> Array.filter (fun entry -> entry.Key <> "type" && not (isSource entry.Key))
                            |> List.ofArray

                        Options.bind context path $"the judge '{name}'" node.Mark sourceKeys false wanted given
                        |> Option.map2
                            (fun source options ->
                                {
                                    Bound =
                                        {
                                            Contract = found
                                            Options = Map options
                                        }
                                    Source = Some source
                                })
                            made)
    }

let judge: Reader<Judge> =
    let nothing =
        {
            Specs = []
            Get = fun _ _ _ -> Some()
        }

    let plain =
        configured "judge" "type" "The judge's type." nothing false
        |> map (fun ((), bound) -> { Bound = bound; Source = None })

    byLook (Either [ plain.Shape; judgeMade.Shape ]) (fun node ->
        if not node.Body.IsMapping then
            None
        elif hasKey "run" node || hasKey "init" node then
            Some judgeMade
        else
            Some plain)
