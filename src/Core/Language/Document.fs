// The whole manifest: one record of sections. Reading goes on past every fault.
module internal PeftAlign.Core.Language.Document

open PeftAlign.Core
open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

let private empty: Section<'T> = { Items = []; Marks = []; Broken = [] }

let private version: Reader<int64> =
    let reader = integer Interval.all

    { reader with
        Read =
            fun context path node ->
                match reader.Read context path node with
                | Some 1L -> Some 1L
                | Some other -> fault context node path $"this is a manifest of version {other}; this program reads version 1"
                | None -> None
    }

/// A section that failed as a whole counts as empty and incomplete.
let private lenient (fallback: 'T) (field: Fields<'T>) : Fields<'T> =
    { field with
        Get = fun context path node -> field.Get context path node |> Option.orElse (Some fallback)
    }

let private optionalSection key docs item =
    withDefault key docs empty (section item) |> lenient empty

let private optionalRows key docs item =
    withDefault key docs ([], true) (rows item) |> lenient ([], false)

/// A preset: paths to values. They are inserted where the preset is chosen, and read only then, each in its place.
let private presetValues: Reader<unit> =
    {
        Shape = MapOf Anything
        Read =
            fun context path node ->
                if isMapping context path node (MapOf Anything) then
                    Some()
                else
                    None
    }

/// 42 is the default seed of transformers and TRL.
let private content: Fields<Manifest> =
    fields {
        let! _ = required "peftalign" "The language's version: 1." version |> lenient 1L

        and! name =
            withDefault "name" "The experiment's name; the file's where absent." "" (filled AnyText)
            |> lenient ""

        and! seeds =
            withDefault "seeds" "One run of every configuration for each." [ 42 ] (oneOrMany (small (Interval.atLeast 0)))
            |> lenient [ 42 ]

        and! _ =
            withDefault
                "plugins"
                "The plugins that this manifest may use; the product's own where absent."
                ([], true)
                PluginList.reader

        and! _ =
            optional "preset" "The preset that is put in: a name under presets." (filled AnyText)
            |> lenient None

        and! _ =
            withDefault "presets" "Values for other sizes of the experiment, by path as --set writes it." [] (named presetValues)
            |> lenient []

        and! models = optionalSection "models" "Where training starts." ModelSection.model

        and! datasets =
            optionalSection "datasets" "What it trains on." DatasetSection.dataset

        and! adapters =
            optionalSection "adapters" "Parameter-efficient adapters." AdapterSection.adapter

        and! methods =
            optionalSection "methods" "Methods with their settings." MethodSection.method

        and! judges = optionalSection "judges" "Models that judge." JudgeSection.judge

        and! train =
            optionalRows "train" "What is trained: each row is a matrix." TrainSection.row

        and! merge = optionalRows "merge" "What is merged." MergeSection.row
        and! evaluate = optionalRows "evaluate" "What is evaluated." EvaluateSection.row

        and! claims =
            withDefault "report" "What the report tests." None EvaluateSection.report
            |> lenient None

        and! track = optionalRows "track" "Where numbers go besides metrics.jsonl." tracker

        return
            {
                Name = name
                Seeds = seeds |> List.distinct
                Models = models
                Datasets = datasets
                Adapters = adapters
                Methods = methods
                Judges = judges
                Train = fst train
                Merge = fst merge
                Evaluate = fst evaluate
                Claims = claims
                Track = fst track
                Complete = snd train && snd merge && snd evaluate
            }
    }

let reader: Reader<Manifest> = record content

/// The root with its preset and the overrides applied; None after a fault that ends reading.
let root (faults: Faults) (text: string) (overrides: string seq) : Node option =
    Yaml.parse text "" faults
    |> Option.map (fun root -> Overrides.applyAll faults overrides root)

/// The `plugins` section alone, read before anything that depends on it.
let plugins (faults: Faults) (root: Node) : (PluginEntry * Place) list option =
    let context =
        {
            Faults = faults
            Known = Known []
            Uses = ResizeArray()
        }

    entries root
    |> Array.tryFind (fun entry -> entry.Key = "plugins")
    |> Option.bind (fun entry -> PluginList.reader.Read context "plugins" entry.Value)
    |> Option.map fst
