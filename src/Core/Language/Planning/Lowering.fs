// From policies to jobs: what each trained, chosen, merged and evaluated policy needs. What two rows share has one identity and
// is one job.
namespace PeftAlign.Core.Language

open System
open System.Collections.Generic
open PeftAlign.Core

type internal Lowering(lookup: Lookup, matrix: Matrix, context: Context, graph: Graph) as this =
    let lowered = Dictionary<Policy, Lowered>()

    let sources =
        Sources(lookup, matrix, context, graph, (fun (policy, point) -> this.Needed(policy, point)))

    member private _.Sources = sources

    /// The policy at a point of its training (Check and HasCheckpoint ensure that it is reached); at the end where no point is given.
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
            let adapter = fst lookup.Adapters[name]
            let settings = this.Sources.Resolve(run.AdapterOptions, Some run.Seed)

            let part key contract =
                Specs.contractTree contract (Tree.find key settings |> Option.defaultValue (Map []))

            let own = part "own" adapter.Bound.Contract

            match adapter.Quantization, own with
            | Some quantization, Map entries ->
                Map(entries @ [ "quantization", part "quantization" quantization.Contract ]),
                [ adapter.Bound.Contract.Plugin.Id; quantization.Contract.Plugin.Id ]
            | _ -> own, [ adapter.Bound.Contract.Plugin.Id ]

    /// The options of a reference job that say which policy it computes: a folder, the declared model, or where the training starts.
    static member private ReferencePolicy(training: string -> Tree option, isOverOther, start: Lowered) =
        match training "reference", training "init_adapter" with
        | Some(Content(path, mark)), _ -> [ "reference", Content(path, mark) ]
        | Some(Text "base"), _ ->
            [
                "reference_is_base", Flag true
                if isOverOther then
                    "start", start.Tree
            ]
        | _, None -> []
        | _, Some adapter -> [ "init_adapter", adapter ]

    /// The job that computes a training's reference log-probabilities, and the entry of the training's options that names it.
    member private this.ReferenceJob(policy: Policy, run: StageRun, start: Lowered, dataset: Tree, adapter: Tree) =
        let training key = Tree.find key run.Setting.Training
        let quantization = Tree.find "quantization" adapter |> Option.defaultValue Null

        // A folder stands beside the policy: it may hold an adapter over the policy's base.
        let reference =
            match training "reference" with
            | Some(Text "base") -> this.Sources.Model(policy.Facts.Model, policy.Facts.Seed).Tree
            | _ -> start.Tree

        // Where the policy went through other stages, only the job can see whether the base is quantised.
        let isOverOther =
            run.Adapter.IsSome
            && (quantization <> Null || start.IsQuantized)
            && start.Tree <> reference

        let limits =
            [ "max_length"; "max_prompt_length"; "truncation"; "dtype" ]
            |> List.choose (fun key -> training key |> Option.map (fun value -> key, value))

        let id =
            graph.Add(
                "reference",
                {
                    Label = $"reference/{Policies.label policy}"
                    Axes = Specs.axes policy
                    Loads = graph.LoadsOf start.Tree
                    Group = start.Base
                },
                [
                    graph.Engine "reference"
                    "policy", reference
                    "dataset", dataset
                    "limits", Map limits
                    // its rows' answers; no loss option changes them
                    "method", Specs.contractTree run.Setting.Method (Map [])
                    "quantization", quantization
                ]
                @ Lowering.ReferencePolicy(training, isOverOther, start)
            )

        graph.Need(id, "")
        "reference_log_probs", Output(id, "")

    /// Whether each batch mixes the answers that the method measures, which no job can compute before: the trait, or the trait with the
    /// values of an option that it goes with.
    static member private MixesAnswers(run: StageRun) =
        let shown (tree: Tree) =
            match tree with
            | Text text -> text
            | other -> Tree.options other

        let holds (condition: string) =
            match condition.Split('=', 2) with
            | [| name; values |] ->
                Tree.find name run.Setting.Options
                |> Option.exists (fun value -> Array.contains (shown value) (values.Split '|'))
            | _ -> false

        run.Setting.Method.Schema.Traits
        |> Seq.exists (fun found ->
            match found.Split(':', 2) with
            | [| "mixes-answers" |] -> true
            | [| "mixes-answers"; condition |] -> holds condition
            | _ -> false)

    /// Reference log-probabilities as a job of their own, where the method asks for it and has a use for it.
    member private this.Reference(policy: Policy, run: StageRun, start: Lowered, dataset: Tree, adapter: Tree) =
        let isAsked =
            Tree.find "precompute_reference" run.Setting.Training = Some(Flag true)

        let usesReference = run.Setting.Method.Schema.Traits |> Seq.contains "reference"

        if isAsked && usesReference && not (Lowering.MixesAnswers run) then
            AdapterFaults.ofReference context matrix lookup policy run
            [ this.ReferenceJob(policy, run, start, dataset, adapter) ]
        else
            []

    /// The policy that a training makes, as later jobs refer to it.
    member private _.Trained(id, run: StageRun, start: Lowered, adapter: Tree) : Lowered =
        let quantization = Tree.find "quantization" adapter

        {
            Tree = Specs.moved start.Tree id
            Base =
                match run.Adapter, quantization with
                | None, _ -> id
                | Some _, Some format -> start.Base + Tree.options format
                | Some _, None -> start.Base
            IsQuantized = run.Adapter.IsSome && (start.IsQuantized || quantization.IsSome)
            Over =
                match run.Adapter, quantization with
                | Some name, Some format -> [ Specs.quantization (fst lookup.Adapters[name]) format ]
                | _ -> start.Over
        }

    member private this.Train(policy: Policy, run: StageRun) : Lowered =
        match AdapterFaults.ofWeights matrix lookup run with
        | Some why ->
            let owner = policy.Facts.Methods.Head
            context.Faults.Add(lookup.Methods[owner].Mark, $"methods.{owner}", $"{Policies.label policy} {why}")
            raise Unplannable
        | None -> ()

        let start =
            match run.Previous.Origin with
            | Declared name -> this.Sources.Model(name, Some run.Seed)
            | _ -> this.Needed(run.Previous, run.Until)

        let dataset = this.Sources.Dataset(run.Dataset, Some run.Seed)
        let adapter, adapterPlugins = this.Adapter run
        let training = this.Sources.Resolve(run.Setting.Training, Some run.Seed)

        let id =
            graph.Add(
                "train",
                {
                    Label = "train/" + Policies.label policy
                    Axes = Specs.axes policy
                    Loads = adapterPlugins @ graph.LoadsOf start.Tree
                    Group = ""
                },
                [
                    graph.Engine "train"
                    "policy", start.Tree
                    "dataset", dataset
                    "method", Specs.contractTree run.Setting.Method (this.Sources.Resolve(run.Setting.Options, Some run.Seed))
                    "training", training
                    "adapter", adapter
                    "seed", Whole(int64 run.Seed)
                    // the declared model, however many stages lie between
                    if Tree.find "reference" run.Setting.Training = Some(Text "base") then
                        "base_policy", this.Sources.Model(policy.Facts.Model, policy.Facts.Seed).Tree
                ]
                @ this.Reference(policy, run, start, dataset, adapter)
            )

        this.Trained(id, run, start, adapter)

    member private this.Choose(policy: Policy, select: Select, variants: Policy list) : Lowered =
        let candidates = variants |> List.map (fun variant -> this.Needed(variant, None))

        let id =
            graph.Add(
                "select",
                {
                    Label = "select/" + Policies.label policy
                    Axes = Specs.axes policy
                    Loads = candidates |> List.collect (fun candidate -> graph.LoadsOf candidate.Tree)
                    Group = ""
                },
                [
                    graph.Engine "select"
                    "by", Text select.By
                    "largest", Flag select.Largest
                    "candidates", Tree.List(candidates |> List.map _.Tree |> List.sortBy Tree.options)
                ]
            )

        graph.Need(id, "")

        { candidates.Head with
            Tree = Specs.moved candidates.Head.Tree id
            IsQuantized = candidates |> List.exists _.IsQuantized
            Over = candidates |> List.collect _.Over |> List.distinct
        }

    /// A merge's parents; two names of one job are a fault, since a merge takes each model once.
    member private this.Parents(row: MergeRow, parents: Policy list, at: Point option) : Lowered list =
        let named = parents |> List.map (fun parent -> parent, this.Needed(parent, at))

        match
            named
            |> List.groupBy (fun (_, found) -> found.Tree)
            |> List.tryFind (fun (_, alike) -> alike.Length > 1)
        with
        | None ->
            match Merges.apart row (named |> List.map (fun (parent, found) -> parent, found.Over)) with
            | None -> named |> List.map snd
            | Some why ->
                context.Faults.Add(row.Mark, row.Path, why)
                raise Unplannable
        | Some(_, alike) ->
            let names =
                alike
                |> List.map (fun (parent, _) -> Policies.label parent)
                |> String.concat ", "

            context.Faults.Add(
                row.Mark,
                row.Path,
                $"merge '{row.Name}' gathers one model by {alike.Length} names: {names} have the same settings and are one job; select one of them, or let them differ"
            )

            raise Unplannable

    member private this.Merge(policy: Policy, row: MergeRow, parents: Policy list, at: Point option) : Lowered =
        match AdapterFaults.ofMerge matrix lookup row parents with
        | Some why ->
            context.Faults.Add(row.Mark, row.Path, why)
            raise Unplannable
        | None -> ()

        let parents = this.Parents(row, parents, at)
        let name = row.BaseModel |> Option.defaultValue policy.Facts.Model
        let root = this.Sources.Model(name, policy.Facts.Seed)

        let id =
            graph.Add(
                "merge",
                {
                    Label = "merge/" + Policies.label policy
                    Axes = Specs.axes policy @ [ "checkpoint", Merges.onTheWay policy ]
                    Loads = graph.LoadsOf root.Tree
                    Group = ""
                },
                [
                    graph.Engine "merge"
                    "strategy",
                    Specs.boundTree
                        { row.Bound with
                            Options = this.Sources.Resolve(row.Bound.Options, policy.Facts.Seed)
                        }
                    "base", Text row.Base
                    "base_model", root.Tree
                    "parents", Tree.List(parents |> List.map _.Tree)
                    "seed", Whole(int64 (policy.Facts.Seed |> Option.defaultValue 0))
                ]
            )

        graph.Need(id, "")

        {
            Tree = Specs.moved root.Tree id
            Base = id
            IsQuantized = root.IsQuantized || (parents |> List.exists _.IsQuantized)
            Over = Merges.over row (parents |> List.map _.Over)
        }

    /// The policy's jobs, made once.
    member private this.Policy(policy: Policy) : Lowered =
        match lowered.TryGetValue policy with
        | true, found -> found
        | _ ->
            let found =
                match policy.Origin with
                | Declared name -> this.Sources.Model(name, policy.Facts.Seed)
                | Stage run -> this.Train(policy, run)
                | Chosen(select, variants) -> this.Choose(policy, select, variants)
                | MergedFrom(row, parents, at) -> this.Merge(policy, row, parents, at)

            lowered.Add(policy, found)
            found

    /// The policy, with a note that its end (or this point) is needed.
    member this.Needed(policy: Policy, point: Point option) : Lowered =
        let found = this.At(policy, point)

        for struct (_, leaf) in Tree.leaves "" found.Tree do
            match leaf with
            | Output(id, at) -> graph.Need(id, at)
            | _ -> ()

        found

    member this.Evaluate
        (policy: Policy, point: Point option, control: string, benchmark: Benchmark, variant: string, options: Tree)
        =
        let subject = this.Needed(policy, point)

        let labelled mark =
            [
                "evaluate"
                (if variant = "" then
                     benchmark.Label
                 else
                     $"{benchmark.Label}[{variant}]")
                Policies.label policy + mark
                control
            ]
            |> List.filter ((<>) "")

        for mark, at in Merges.stands policy point do
            graph.Add(
                "evaluate",
                {
                    Label = String.Join("/", labelled mark)
                    Axes =
                        Specs.axes policy
                        @ [
                            "benchmark", benchmark.Label
                            "checkpoint", at
                            "control", control
                            "benchmark_variant", variant
                        ]
                    Loads = []
                    Group = subject.Base
                },
                [
                    graph.Engine "evaluate"
                    "policy", subject.Tree
                    "benchmark", Specs.contractTree benchmark.Bound.Contract (this.Sources.Resolve(options, policy.Facts.Seed))
                    if control <> "" then
                        "control", Text control
                ]
            )
            |> fun id -> graph.Need(id, "")

    member _.Report(claims: Tree option) =
        let outputs = graph.Jobs |> Array.map _.Id |> Array.sort |> List.ofArray

        graph.Add(
            "report",
            {
                Label = "report"
                Axes = []
                Loads = []
                Group = ""
            },
            [
                graph.Engine "report"
                "claims", claims |> Option.defaultValue Null
                "seeds", Tree.List(lookup.Manifest.Seeds |> List.sort |> List.map (int64 >> Whole))
                "jobs", Tree.List(outputs |> List.map (fun id -> Output(id, "")))
            ]
        )
        |> fun id -> graph.Need(id, "")
