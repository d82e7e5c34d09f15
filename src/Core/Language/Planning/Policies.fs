// The matrix by name: every policy that the manifest speaks of (untouched, trained, merged), before any of it has an identity.
// Selections look at Facts; the planner walks Origin.
namespace PeftAlign.Core.Language

open System

/// What selections and labels see of a policy. Lists, because a merged policy has several data sets and methods.
type internal Facts =
    {
        Kind: string
        Model: string
        Datasets: string list
        Methods: string list
        /// The chain up to this stage, such as "sft>dpo".
        Chain: string
        Adapters: string list
        /// The adapter where a row or stage names it; empty where it is the method's own.
        AdapterAxis: string
        Seed: int option
        Stage: int
        IsLast: bool
        Merge: string
        Row: string
        /// Values of grids, such as "beta=0.1".
        Variant: string
        /// The point at which a merged policy's parents were taken, such as "step:100"; empty for their end.
        Point: string
        Tags: string list
    }

[<CustomEquality; NoComparison>]
type internal Policy =
    {
        Facts: Facts
        Origin: Origin
        Label: string
    }

    /// Equal where the same cell is meant; the label alone is ambiguous (a row may have a model's name).
    member private policy.Key =
        let facts = policy.Facts
        struct (policy.Label, facts.Kind, facts.Row, facts.Chain, facts.AdapterAxis, facts.Seed)

    override policy.Equals other =
        match other with
        | :? Policy as other -> policy.Key = other.Key
        | _ -> false

    override policy.GetHashCode() =
        HashCode.Combine(policy.Label, policy.Facts.Seed)

and internal Origin =
    /// A model as declared.
    | Declared of model: string
    | Stage of StageRun
    /// The best of several variants.
    | Chosen of Select * Policy list
    /// At is the point of the parents' training that is merged; their end where there is none.
    | MergedFrom of MergeRow * parents: Policy list * at: Point option

and internal StageRun =
    {
        Previous: Policy
        Until: Point option
        Dataset: string
        Adapter: string option
        AdapterOptions: Tree
        Setting: Methods.Setting
        Seed: int
    }

/// The sections by name, and each adapter's variants, looked up once.
type internal Lookup(manifest: Manifest) =
    let adapters =
        [
            for name, adapter in manifest.Adapters.Items -> name, (adapter, Adapter.variants adapter)
        ]

    let marks =
        dict
            [
                "model", dict manifest.Models.Marks
                "dataset", dict manifest.Datasets.Marks
                "judge", dict manifest.Judges.Marks
            ]

    /// Where a model, dataset or judge is declared.
    member _.MarkOf(kind: string, name: string) : Place =
        match marks[kind].TryGetValue name with
        | true, mark -> mark
        | _ -> Place.none

    member val Manifest = manifest
    member val Models = dict manifest.Models.Items
    member val Datasets = dict manifest.Datasets.Items
    member val Methods = dict manifest.Methods.Items
    member val Judges = dict manifest.Judges.Items
    member val Adapters = dict adapters

/// A cell of a row's matrix.
type internal Cell =
    {
        Row: TrainRow
        Dataset: string
        Adapter: string option
        Seed: int
    }

module internal Policies =
    let private filled (parts: string list) = parts |> List.filter ((<>) "")

    /// "mistral/bt-harmless/sft-q/s1": how reports and --only name it.
    let label (policy: Policy) =
        match policy.Facts.Seed with
        | Some seed -> $"{policy.Label}/s{seed}"
        | None -> policy.Label

    let declared (name: string) (model: Model) (seed: int option) : Policy =
        {
            Facts =
                {
                    Kind = "untouched"
                    Model = name
                    Datasets = []
                    Methods = []
                    Chain = ""
                    Adapters = []
                    AdapterAxis = ""
                    Seed = seed
                    Stage = 0
                    IsLast = true
                    Merge = ""
                    Row = ""
                    Variant = ""
                    Point = ""
                    Tags = model.Tags
                }
            Origin = Declared name
            Label = name
        }

    let private facts (lookup: Lookup) cell isLast dataset axis (adapter: string option) (stage: Stage) (before: Facts) : Facts =
        let adapterTags =
            match adapter with
            | Some name -> (fst lookup.Adapters[name]).Tags
            | None -> []

        let tags =
            [
                before.Tags
                lookup.Datasets[dataset].Tags
                lookup.Methods[stage.Method].Tags
                adapterTags
                cell.Row.Tags
            ]

        { before with
            Kind = "trained"
            Datasets = [ dataset ]
            Methods = [ stage.Method ]
            Chain = filled [ before.Chain; stage.Method ] |> Selections.chainName
            Adapters = [ adapter |> Option.defaultValue "none" ]
            AdapterAxis = filled [ before.AdapterAxis; Option.defaultValue "" axis ] |> String.concat ">"
            Seed = Some cell.Seed
            Stage = before.Stage + 1
            IsLast = isLast
            Row = cell.Row.Name
            Tags = tags |> List.concat |> List.distinct
        }

    /// What a stage on top of a policy is called.
    let private labelled cell (previous: Policy, until: Point option) dataset method axis =
        let before =
            match previous.Facts.Stage, until with
            | 0, _ -> String.Join("/", filled [ cell.Row.Name; previous.Label ])
            | _, Some point -> $"{previous.Label}@{Point.text point}"
            | _ -> previous.Label

        String.Join("/", filled [ before; dataset; method; Option.defaultValue "" axis ])

    /// One stage on top of a policy: a policy for each variant of its grids, or the best of them.
    let private grow (lookup: Lookup) settingsOf cell isLast (previous: Policy, until: Point option) (stage: Stage) =
        let method = lookup.Methods[stage.Method]
        let dataset = stage.Dataset |> Option.defaultValue cell.Dataset
        let axis = stage.Adapter |> Option.orElse cell.Adapter
        let adapter = axis |> Option.orElse method.Adapter |> Option.filter ((<>) "none")
        let facts = facts lookup cell isLast dataset axis adapter stage previous.Facts

        let label (variant: string) =
            let method =
                if variant = "" then
                    stage.Method
                else
                    $"{stage.Method}[{variant}]"

            labelled cell (previous, until) dataset method axis

        let adapters =
            match adapter with
            | Some name -> snd lookup.Adapters[name]
            | None -> [ "", Null ]

        let variant (setting: Methods.Setting) (adapterVariant, options) : Policy =
            let own = String.Join(",", filled [ setting.Variant; adapterVariant ])

            let run =
                {
                    Previous = previous
                    Until = until
                    Dataset = dataset
                    Adapter = adapter
                    AdapterOptions = options
                    Setting = setting
                    Seed = cell.Seed
                }

            {
                Facts =
                    { facts with
                        Variant = String.Join(";", filled [ previous.Facts.Variant; own ])
                    }
                Label = label own
                Origin = Stage run
            }

        match
            method.Select,
            List.allPairs (settingsOf cell.Row stage.Method) adapters
            |> List.map (fun (a, b) -> variant a b)
        with
        | Some select, (_ :: _ :: _ as variants) ->
            [
                {
                    Facts = facts
                    Label = label "best"
                    Origin = Chosen(select, variants)
                }
            ]
        | _, variants -> variants

    /// Every stage of every chain of the row; the last of each chain is marked so.
    let ofRow (lookup: Lookup) settingsOf (seeds: int list) (row: TrainRow) : Policy list =
        let chainOf cell model (chain: Stage list) =
            let start = declared model lookup.Models[model] (Some cell.Seed)
            let last = chain.Length - 1

            let add (starts, made) (i, stage: Stage) =
                let next =
                    starts
                    |> List.collect (fun start -> grow lookup settingsOf cell (i = last) start stage)

                next |> List.map (fun policy -> policy, stage.Until), made @ next

            List.indexed chain |> List.fold add ([ start, None ], []) |> snd

        [
            for model in List.distinct row.Models do
                for dataset in List.distinct row.Datasets do
                    for adapter in List.distinct row.Adapters do
                        for seed in seeds do
                            let cell =
                                {
                                    Row = row
                                    Dataset = dataset
                                    Adapter = adapter
                                    Seed = seed
                                }

                            yield! row.Chains |> List.collect (chainOf cell model)
        ]
