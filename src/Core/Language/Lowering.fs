// From policies to jobs: each policy, data set and judge becomes the options tree of a job or a part of one. What two rows share
// has one identity and is one job.
namespace PeftAlign.Core.Language

open System
open System.Collections.Generic
open PeftAlign.Core

/// A policy as other jobs refer to it.
type internal Lowered =
    {
        /// "weights" and "chat_template".
        Tree: Tree
        /// The weights that would be loaded: equal for adapters over one base.
        Base: string
        /// Plugins that loading it needs.
        Plugins: string list
    }

type internal Lowering(index: Lookup, matrix: Matrix, context: Context, graph: Graph) =
    let manifest = index.Manifest
    let lowered = Dictionary<Policy, Lowered>()
    let models = Dictionary<struct (string * Nullable<int>), Lowered>()
    let underway = HashSet<string>()

    let contractTree (contract: Contract) options =
        Map
            [
                "name", Text contract.Name
                "result_version", Whole(int64 contract.Schema.ResultVersion)
                "options", options
            ]

    let boundTree (bound: Options.Bound) =
        contractTree bound.Contract bound.Options

    let engine job =
        "engine", Whole(int64 (context.Known.EngineVersion job))

    let ofSeed (seed: int option) =
        match seed with
        | Some seed -> Nullable seed
        | None -> Nullable()

    /// Things that are made of themselves, over selections or mixtures, are faults.
    let guarded what (mark: Place) path make =
        if not (underway.Add what) then
            context.Faults.Add(mark, path, $"{what} is made of itself; break the circle")
            raise Unplannable

        try
            make ()
        finally
            underway.Remove what |> ignore

    let axes (policy: Policy) =
        let facts = policy.Facts

        [
            "model", facts.Model
            "dataset", String.Join("+", facts.Datasets)
            "method", facts.Chain
            "adapter", String.Join("+", facts.Adapters)
            "seed", (facts.Seed |> Option.map string |> Option.defaultValue "")
            "stage", (if facts.Stage = 0 then "" else string facts.Stage)
            "variant", facts.Variant
            "merge", facts.Merge
            "row", facts.Row
            "policy", facts.Kind
            "tags", String.Join(",", facts.Tags)
        ]

    let isNamed kind tree =
        Tree.leaves "" tree
        |> Seq.exists (fun (_, leaf) ->
            match leaf with
            | Refer(found, _, _) -> found = kind
            | _ -> false)

    /// Names in options become what they stand for.
    member private this.Resolve(tree: Tree, seed: int option) : Tree =
        tree
        |> Tree.replace (fun leaf ->
            match leaf with
            | Refer("dataset", name, mark) -> this.Dataset(name, mark, seed)
            | Refer("model", name, mark) -> this.Model(name, mark, seed).Tree
            | Refer("judge", name, mark) -> this.Judge(name, mark)
            | leaf -> leaf)

    // ---- models and judges ----

    member private this.Tokenizer(tokenizer: Tokenizer) =
        match tokenizer with
        | Bytes -> Text "bytes"
        | TokenizerFiles(path, mark) -> Content(path, mark)
        | TrainedOn(dataset, mark, size) -> Map [ "train", this.Dataset(dataset, mark, None); "size", Whole(int64 size) ]

    member private this.Source(source: ModelSource, naming: string, seed: int option) : Lowered =
        match source with
        | Folder(path, config) ->
            {
                Tree =
                    Map
                        [
                            "weights", path
                            match config with
                            | Some config -> "config", Recorded config
                            | None -> ()
                        ]
                Base = Tree.options path
                Plugins = []
            }
        | Initialised made ->
            let contract = made.Architecture.Contract

            let id =
                graph.Add(
                    "make-model",
                    {
                        Label = "make-model/" + naming
                        Axes = [ "model", naming ]
                        Plugins = [ contract.Plugin.Id ]
                        Group = ""
                    },
                    [
                        engine "make-model"
                        "architecture", boundTree made.Architecture
                        "tokenizer", this.Tokenizer made.Tokenizer
                        "seed", Whole(int64 made.Seed)
                    ]
                )

            graph.Need(id, "")

            {
                Tree = Map [ "weights", Output(id, "") ]
                Base = id
                Plugins = [ contract.Plugin.Id ]
            }
        | FromRun selection ->
            let policy = matrix.One(selection, seed)

            match selection.Checkpoints with
            | [] -> this.Policy policy
            | [ step ] -> this.At(policy, Some(Step step))
            | _ ->
                context.Faults.Add(selection.Mark, selection.Path, "one policy is meant here; give one checkpoint")
                raise Unplannable

    member private this.Model(name: string, mark: Place, seed: int option) : Lowered =
        let model = index.Models[name]

        let key =
            match model.Source with
            | FromRun _ -> struct (name, ofSeed seed)
            | _ -> struct (name, Nullable())

        match models.TryGetValue key with
        | true, found -> found
        | _ ->
            let source =
                guarded $"model '{name}'" mark "" (fun () -> this.Source(model.Source, name, seed))

            let found =
                match model.ChatTemplate, source.Tree with
                | Some template, Map entries ->
                    { source with
                        Tree = Map(entries @ [ "chat_template", template ] |> List.rev |> List.distinctBy fst)
                    }
                | _ -> source

            models.Add(key, found)
            found

    member private this.Judge(name: string, mark: Place) : Tree =
        let judge = index.Judges[name]

        let weights =
            match judge.Source with
            | None -> []
            | Some source ->
                let made =
                    guarded $"judge '{name}'" mark "" (fun () -> this.Source(source, name, None))

                [ "model", made.Tree ]

        Map(
            weights
            @ [
                "name", Text judge.Bound.Contract.Name
                "result_version", Whole(int64 judge.Bound.Contract.Schema.ResultVersion)
                "options", this.Resolve(judge.Bound.Options, None)
            ]
        )

    // ---- data sets ----

    member private this.Dataset(name: string, mark: Place, seed: int option) : Tree =
        let dataset = index.Datasets[name]

        let optional key value =
            value |> Option.map (fun value -> key, value) |> Option.toList

        guarded $"data set '{name}'" mark "" (fun () ->
            match dataset.Source with
            | Mixture parts ->
                let total = parts |> List.sumBy (fun (_, weight, _) -> weight)

                let part (name, weight, mark) =
                    Map
                        [
                            "dataset", this.Dataset(name, mark, seed)
                            if total > 0.0 then
                                "proportion", Real(weight / total)
                        ]

                let parts = parts |> List.map part |> List.sortBy Tree.options

                Map(
                    ("mixture", Tree.List parts)
                    :: optional "take" (dataset.Take |> Option.map Whole)
                )
            | Files bound ->
                let columns =
                    if dataset.Columns.IsEmpty then
                        []
                    else
                        [
                            "map", Map(dataset.Columns |> List.map (fun (ours, theirs) -> ours, Text theirs))
                        ]

                let tree =
                    Map(
                        [
                            "reader",
                            boundTree
                                { bound with
                                    Options = this.Resolve(bound.Options, seed)
                                }
                        ]
                        @ optional "split" (dataset.Split |> Option.map Text)
                        @ optional "take" (dataset.Take |> Option.map Whole)
                        @ columns
                    )

                if isNamed "model" bound.Options || isNamed "judge" bound.Options then
                    this.MakeDataset(name, bound, tree, seed)
                else
                    tree)

    /// A data set that a model or judge of the manifest takes part in is made by a job.
    member private _.MakeDataset(name, bound: Options.Bound, tree, seed) : Tree =
        let suffix =
            match seed with
            | Some seed -> $"/s{seed}"
            | None -> ""

        let id =
            graph.Add(
                "make-dataset",
                {
                    Label = $"make-dataset/{name}{suffix}"
                    Axes = [ "dataset", name ]
                    Plugins = [ bound.Contract.Plugin.Id ]
                    Group = ""
                },
                [ engine "make-dataset"; "dataset", tree ]
            )

        graph.Need(id, "")
        Map [ "made", Output(id, "") ]

    // ---- trained policies ----

    /// The policy at a point of its training; the end where there is none.
    member private this.At(policy: Policy, point: Point option) : Lowered =
        let found = this.Policy policy

        match policy.Origin, point with
        | Stage run, Some(Step step) when Methods.maxSteps run.Setting = Some step -> found
        | Stage _, Some point ->
            let at tree =
                match tree with
                | Output(id, "") ->
                    graph.Need(id, Point.text point)
                    Output(id, Point.text point)
                | other -> other

            { found with
                Tree = Tree.replace at found.Tree
            }
        | _ -> found

    member private this.Adapter(run: StageRun) : Tree * string list =
        match run.Adapter with
        | None -> Null, []
        | Some name ->
            let adapter = fst index.Adapters[name]
            let own = contractTree adapter.Bound.Contract run.AdapterOptions

            match adapter.Quantization, own with
            | Some quantization, Map entries ->
                Map(entries @ [ "quantization", boundTree quantization ]),
                [ adapter.Bound.Contract.Plugin.Id; quantization.Contract.Plugin.Id ]
            | _ -> own, [ adapter.Bound.Contract.Plugin.Id ]

    /// Reference log-probabilities as a job of their own, where the method asks for it.
    member private this.Reference(policy: Policy, run: StageRun, start: Lowered, dataset: Tree, adapter: Tree) =
        let training key = Tree.find key run.Setting.Training

        let isAsked = training "precompute_reference" = Some(Flag true)

        let usesReference =
            run.Setting.Method.Schema.Traits |> Given.list |> Seq.contains "reference"

        if not (isAsked && usesReference) then
            []
        else
            let reference =
                match training "reference" with
                | Some(Text "base") -> this.Model(policy.Facts.Model, Place.none, policy.Facts.Seed).Tree
                | Some(Content(path, mark)) -> Map [ "weights", Content(path, mark) ]
                | _ -> start.Tree

            let limits =
                [ "max_length"; "max_prompt_length"; "truncation"; "dtype" ]
                |> List.choose (fun key -> training key |> Option.map (fun value -> key, value))

            let id =
                graph.Add(
                    "reference",
                    {
                        Label = $"reference/{Policies.label policy}"
                        Axes = axes policy
                        Plugins = start.Plugins
                        Group = start.Base
                    },
                    [
                        engine "reference"
                        "policy", reference
                        "dataset", dataset
                        "limits", Map limits
                        "quantization", Tree.find "quantization" adapter |> Option.defaultValue Null
                    ]
                )

            graph.Need(id, "")
            [ "reference_log_probs", Output(id, "") ]

    member private this.Train(policy: Policy, run: StageRun) : Lowered =
        let start =
            match run.Previous.Origin with
            | Declared name -> this.Model(name, Place.none, Some run.Seed)
            | _ -> this.At(run.Previous, run.Until)

        let dataset = this.Dataset(run.Dataset, Place.none, Some run.Seed)
        let adapter, adapterPlugins = this.Adapter run
        let training = this.Resolve(run.Setting.Training, Some run.Seed)
        let plugins = run.Setting.Method.Plugin.Id :: adapterPlugins @ start.Plugins

        let id =
            graph.Add(
                "train",
                {
                    Label = "train/" + Policies.label policy
                    Axes = axes policy
                    Plugins = plugins
                    Group = ""
                },
                [
                    engine "train"
                    "policy", start.Tree
                    "dataset", dataset
                    "method", contractTree run.Setting.Method (this.Resolve(run.Setting.Options, Some run.Seed))
                    "training", training
                    "adapter", adapter
                    "seed", Whole(int64 run.Seed)
                ]
                @ this.Reference(policy, run, start, dataset, adapter)
            )

        {
            Tree = this.Moved(start, id)
            Base = if run.Adapter.IsSome then start.Base else id
            Plugins = adapterPlugins @ start.Plugins |> List.distinct
        }

    /// A policy made from another: new weights, the same chat template.
    member private _.Moved(start: Lowered, id: string) : Tree =
        Map
            [
                "weights", Output(id, "")
                match Tree.find "chat_template" start.Tree with
                | Some template -> "chat_template", template
                | None -> ()
            ]

    member private this.Choose(policy: Policy, select: Select, variants: Policy list) : Lowered =
        let candidates = variants |> List.map (fun variant -> this.Needed(variant, None))

        let id =
            graph.Add(
                "select",
                {
                    Label = "select/" + Policies.label policy
                    Axes = axes policy
                    Plugins = []
                    Group = ""
                },
                [
                    engine "select"
                    "by", Text select.By
                    "largest", Flag select.Largest
                    "candidates", Tree.List(candidates |> List.map _.Tree |> List.sortBy Tree.options)
                ]
            )

        graph.Need(id, "")

        { candidates.Head with
            Tree = this.Moved(candidates.Head, id)
        }

    member private this.Merge(policy: Policy, row: MergeRow, parents: Policy list) : Lowered =
        let parents = parents |> List.map (fun parent -> this.Needed(parent, None))
        let name = row.BaseModel |> Option.defaultValue policy.Facts.Model
        let root = this.Model(name, row.Mark, policy.Facts.Seed)

        let id =
            graph.Add(
                "merge",
                {
                    Label = "merge/" + Policies.label policy
                    Axes = axes policy
                    Plugins = row.Bound.Contract.Plugin.Id :: (parents |> List.collect _.Plugins)
                    Group = ""
                },
                [
                    engine "merge"
                    "strategy",
                    boundTree
                        { row.Bound with
                            Options = this.Resolve(row.Bound.Options, policy.Facts.Seed)
                        }
                    "base", Text row.Base
                    "base_model", root.Tree
                    "parents", Tree.List(parents |> List.map _.Tree)
                    "seed", Whole(int64 (policy.Facts.Seed |> Option.defaultValue 0))
                ]
            )

        graph.Need(id, "")

        {
            Tree = this.Moved(root, id)
            Base = id
            Plugins = []
        }

    /// The policy's jobs, made once.
    member private this.Policy(policy: Policy) : Lowered =
        match lowered.TryGetValue policy with
        | true, found -> found
        | _ ->
            let found =
                match policy.Origin with
                | Declared name -> this.Model(name, Place.none, policy.Facts.Seed)
                | Stage run -> guarded $"policy '{Policies.label policy}'" Place.none "train" (fun () -> this.Train(policy, run))
                | Chosen(select, variants) -> this.Choose(policy, select, variants)
                | MergedFrom(row, parents) -> this.Merge(policy, row, parents)

            lowered.Add(policy, found)
            found

    /// The policy, with a note that its end (or this point) is needed.
    member this.Needed(policy: Policy, point: Point option) : Lowered =
        let found = this.At(policy, point)

        for _, leaf in Tree.leaves "" found.Tree do
            match leaf with
            | Output(id, at) -> graph.Need(id, at)
            | _ -> ()

        found

    member this.Evaluate
        (policy: Policy, point: Point option, control: string, benchmark: Benchmark, variant: string, options: Tree)
        =
        let subject = this.Needed(policy, point)
        let at = point |> Option.map Point.text |> Option.defaultValue ""

        let labelled =
            [
                "evaluate"
                (if variant = "" then
                     benchmark.Label
                 else
                     $"{benchmark.Label}[{variant}]")
                Policies.label policy + (if at = "" then "" else "@" + at)
                control
            ]
            |> List.filter ((<>) "")

        let id =
            graph.Add(
                "evaluate",
                {
                    Label = String.Join("/", labelled)
                    Axes =
                        axes policy
                        @ [
                            "benchmark", benchmark.Label
                            "checkpoint", at
                            "control", control
                            "benchmark_variant", variant
                        ]
                    Plugins = benchmark.Bound.Contract.Plugin.Id :: subject.Plugins
                    Group = subject.Base
                },
                [
                    engine "evaluate"
                    "policy", subject.Tree
                    "benchmark", contractTree benchmark.Bound.Contract (this.Resolve(options, policy.Facts.Seed))
                    if control <> "" then
                        "control", Text control
                ]
            )

        graph.Need(id, "")

    member _.Report(claims: Tree option) =
        let outputs = graph.Jobs |> Array.map _.Id |> Array.sort |> List.ofArray

        graph.Add(
            "report",
            {
                Label = "report"
                Axes = []
                Plugins = []
                Group = ""
            },
            [
                engine "report"
                "claims", claims |> Option.defaultValue Null
                "seeds", Tree.List(manifest.Seeds |> List.sort |> List.map (int64 >> Whole))
                "jobs", Tree.List(outputs |> List.map (fun id -> Output(id, "")))
            ]
        )
        |> fun id -> graph.Need(id, "")
