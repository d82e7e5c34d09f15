// Reading `models`: a folder, an architecture with random weights, or a policy of this run.
module internal PeftAlign.Core.Language.ModelSection

open System
open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

let private pathOf: Reader<Tree> = marked (filled FilePath) |> map Content

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

let private trainedTokenizer: Reader<Tokenizer> =
    record (
        fields {
            let! dataset =
                required "train" "The data set to train it on." (marked (name "dataset"))

            and! size =
                required
                    "size"
                    "Entries of its vocabulary: three special tokens, the 256 bytes, and merges."
                    (small (Interval.parse "[259,)"))

            return TrainedOn(fst dataset, snd dataset, size)
        }
    )

let private tokenizer: Reader<Tokenizer> =
    let files =
        marked (filled FilePath)
        |> map (fun (path, mark) -> if path = "bytes" then Bytes else TokenizerFiles(path, mark))

    byLook (Either [ Choice([ "bytes" ], []); FilePath; trainedTokenizer.Shape ]) (fun node ->
        match node.Body with
        | Mapping _ -> Some trainedTokenizer
        | Scalar _ -> Some files
        | _ -> None)

/// A node as it stands, for what reads it later.
let private asWritten shape : Reader<Node> =
    {
        Shape = shape
        Read = fun _ _ node -> Some node
    }

/// The architecture's own options stand under `set`.
let private bindArchitecture context path (node: Node) ((name, mark), set: Node option) =
    contract context (join path "init") "architecture" name mark
    |> Option.bind (fun found ->
        let inner = join path "set"

        let given = optionalEntries context inner set
        let place = (set |> Option.defaultValue node).Mark

        Options.bind context inner $"the architecture '{name}'" place [] false (schemas found) given
        |> Option.map (fun options ->
            {
                Options.Contract = found
                Options.Options = Map options
            }))

let architecture: Fields<ModelSource> =
    let drawn =
        fields {
            let! name =
                required "init" "An architecture whose weights are drawn at random." (marked (filled (Name "architecture")))

            and! set =
                optional "set" "The architecture's options (config.json)." (asWritten (Configured("architecture", "", [])))

            return name, set
        }

    fields {
        let! bound = refine bindArchitecture drawn

        and! tokenizer =
            required "tokenizer" "bytes, a folder, or { train: DATASET, size: N }." tokenizer

        and! seed = withDefault "seed" "Seed of the weights." 0 (small (Interval.atLeast 0))

        return
            Initialised
                {
                    Architecture = bound
                    Tokenizer = tokenizer
                    Seed = seed
                }
    }

let fresh: Reader<ModelSource> = record architecture

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

let fromRun =
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

    let initialised = plain architecture
    let made = plain fromRun
    let onDisk = plain folder

    byLook (Either [ onDisk.Shape; initialised.Shape; made.Shape ]) (fun node ->
        if not node.Body.IsMapping then None
        elif hasKey "init" node then Some initialised
        elif hasKey "run" node then Some made
        else Some onDisk)
