// What training starts from and learns from: models, judges and data sets as options trees, with the jobs that make them. Asks
// its caller for policies of this run (a model may be one), so that the two files know each other by one function only.
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
        /// Whether an adapter of it may lie over a base that is quantised as it is loaded.
        IsQuantized: bool
        /// The quantisations of the declared model over which the weights may have been trained (of a selection's candidates each),
        /// empty text for the model as it is; none where they were merged of policies over different ones.
        Over: string list
    }

type internal Sources(lookup: Lookup, matrix: Matrix, context: Context, graph: Graph, policyAt: Policy * Point option -> Lowered)
    =
    let models = Dictionary<struct (string * Nullable<int>), Lowered>()
    let underway = HashSet<string>()

    let ofSeed (seed: int option) =
        match seed with
        | Some seed -> Nullable seed
        | None -> Nullable()

    /// A thing that is made of itself, by way of selections or mixtures, is a fault.
    let guarded what (mark: Place) path make =
        if not (underway.Add what) then
            context.Faults.Add(mark, path, $"{what} is made of itself; break the circle")
            raise Unplannable

        if underway.Count > 100 then
            context.Faults.Add(
                mark,
                path,
                $"{what} rests on more than 100 other things that this run makes; make fewer from each other"
            )

            raise Unplannable

        try
            make ()
        finally
            underway.Remove what |> ignore

    /// Names in options become what they stand for.
    member this.Resolve(tree: Tree, seed: int option) : Tree =
        tree
        |> Tree.replace (fun leaf ->
            match leaf with
            | Refer("dataset", name, _) -> this.Dataset(name, seed)
            | Refer("model", name, _) -> this.Model(name, seed).Tree
            | Refer("judge", name, _) -> this.Judge name
            | leaf -> leaf)

    // ---- models and judges ----

    member private this.Tokenizer(tokenizer: Tokenizer) =
        match tokenizer with
        | Bytes -> Text "bytes"
        | TokenizerFiles(path, mark) -> Content(path, mark)
        | TrainedOn(dataset, _, size) -> Map [ "train", this.Dataset(dataset, None); "size", Whole(int64 size) ]

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
                IsQuantized = false
                Over = [ "" ]
            }
        | Initialised made -> this.Made(made, naming)
        | FromRun selection -> this.FromRun(selection, seed)

    /// A model of random weights, made by a job of its own.
    member private this.Made(made: Fresh, naming: string) : Lowered =
        let contract = made.Architecture.Contract

        let id =
            graph.Add(
                "make-model",
                {
                    Label = "make-model/" + naming
                    Axes = [ "model", naming ]
                    Loads = [ contract.Plugin.Id ]
                    Group = ""
                },
                [
                    graph.Engine "make-model"
                    "architecture",
                    Specs.boundTree
                        { made.Architecture with
                            Options = this.Resolve(made.Architecture.Options, None)
                        }
                    "tokenizer", this.Tokenizer made.Tokenizer
                    "seed", Whole(int64 made.Seed)
                ]
            )

        graph.Need(id, "")

        {
            Tree = Map [ "weights", Output(id, "") ]
            Base = id
            IsQuantized = false
            Over = [ "" ]
        }

    /// A policy of the run itself: the one that the selection names.
    member private _.FromRun(selection: Selection, seed: int option) : Lowered =
        let policy = matrix.One(selection, seed)

        // As a declared model its weights count as they are; its own adapters still apply over what they were trained over.
        let declared (found: Lowered) =
            if found.IsQuantized then
                found
            else
                { found with Over = [ "" ] }

        match selection.Checkpoints with
        | [] -> policyAt (policy, None) |> declared
        | [ step ] when matrix.HasCheckpoint(selection, policy, step) -> policyAt (policy, Some(Step step)) |> declared
        | [ _ ] -> raise Unplannable
        | _ ->
            context.Faults.Add(selection.Mark, selection.Path, "one policy is meant here; give one checkpoint")
            raise Unplannable

    member this.Model(name: string, seed: int option) : Lowered =
        let model = lookup.Models[name]

        let key =
            match model.Source with
            | FromRun _ -> struct (name, ofSeed seed)
            | _ -> struct (name, Nullable())

        match models.TryGetValue key with
        | true, found -> found
        | _ ->
            let source =
                guarded $"model '{name}'" (lookup.MarkOf("model", name)) "" (fun () -> this.Source(model.Source, name, seed))

            let found =
                match model.ChatTemplate, source.Tree with
                | Some template, Map entries ->
                    { source with
                        Tree = Map(entries @ [ "chat_template", template ] |> List.rev |> List.distinctBy fst)
                    }
                | _ -> source

            models.Add(key, found)
            found

    member private this.Judge(name: string) : Tree =
        let judge = lookup.Judges[name]

        let weights =
            match judge.Source with
            | None -> []
            | Some source ->
                let made =
                    guarded $"judge '{name}'" (lookup.MarkOf("judge", name)) "" (fun () -> this.Source(source, name, None))

                [ "model", made.Tree ]

        Map(
            weights
            @ [
                "name", Provided(judge.Bound.Contract.Name, judge.Bound.Contract.Plugin.Id)
                "result_version", Whole(int64 judge.Bound.Contract.Schema.ResultVersion)
                "options", this.Resolve(judge.Bound.Options, None)
            ]
        )

    // ---- data sets ----

    member this.Dataset(name: string, seed: int option) : Tree =
        let dataset = lookup.Datasets[name]

        let optional key value =
            value |> Option.map (fun value -> key, value) |> Option.toList

        guarded $"data set '{name}'" (lookup.MarkOf("dataset", name)) "" (fun () ->
            match dataset.Source with
            | Mixture parts ->
                Map(
                    ("mixture", this.Parts(parts, seed))
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
                            Specs.boundTree
                                { bound with
                                    Options = this.Resolve(bound.Options, seed)
                                }
                        ]
                        @ optional "split" (dataset.Split |> Option.map Text)
                        @ optional "take" (dataset.Take |> Option.map Whole)
                        @ columns
                    )

                if Specs.isNamed "model" bound.Options || Specs.isNamed "judge" bound.Options then
                    this.MakeDataset(name, tree, seed)
                else
                    tree)

    /// The data sets of a mixture with their proportions, in an order of their contents, so that neither the manifest's order nor a path's
    /// name counts.
    member private this.Parts(parts, seed: int option) : Tree =
        // Sums in the order of the values, so that the manifest's order does not show in the last digit.
        let total =
            parts |> List.map (fun (_, weight, _) -> weight) |> List.sort |> List.sum

        let part (name, weight, _) =
            Map
                [
                    "dataset", this.Dataset(name, seed)
                    "name", Recorded(Text name)
                    if total > 0.0 then
                        "proportion", Real(weight / total)
                ]

        parts |> List.map part |> List.sortBy graph.Identity |> Tree.List

    /// A data set that a model or judge of the manifest takes part in is made by a job.
    member private _.MakeDataset(name, tree, seed) : Tree =
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
                    Loads = []
                    Group = ""
                },
                [ graph.Engine "make-dataset"; "dataset", tree ]
            )

        graph.Need(id, "")
        Map [ "made", Output(id, "") ]
