// The typed experiment: what a manifest says, after names of contracts are found and options are bound, before the matrix is
// laid out. Names of models, data sets, methods ... stay names here; the planner follows them.
namespace PeftAlign.Core.Language

open PeftAlign.Core
open PeftAlign.Core.Language.Options

/// A point of a training run.
type internal Point =
    | Step of int
    | Epoch of float

module internal Point =
    let text point =
        match point with
        | Step step -> $"step:{step}"
        | Epoch epoch -> "epoch:" + Tree.number epoch

/// Which policies: axis -> accepted values; an absent axis accepts all. Checkpoints are steps; none means the final policy.
type internal Selection =
    {
        Mark: Place
        Path: string
        Axes: (string * string list) list
        Checkpoints: int list
    }

    member selection.Values axis =
        selection.Axes
        |> List.tryPick (fun (name, values) -> if name = axis then Some values else None)

type internal Tokenizer =
    | Bytes
    | TokenizerFiles of string * Place
    | TrainedOn of dataset: string * Place * size: int

/// A model that the run makes: an architecture with random weights.
type internal Fresh =
    {
        Architecture: Bound
        Tokenizer: Tokenizer
        Seed: int
    }

type internal ModelSource =
    | Folder of path: Tree * config: Tree option
    | Initialised of Fresh
    | FromRun of Selection

type internal Model =
    {
        Source: ModelSource
        ChatTemplate: Tree option
        Tags: string list
    }

type internal DatasetSource =
    | Files of Bound
    | Mixture of (string * float * Place) list

type internal Dataset =
    {
        Source: DatasetSource
        Split: string option
        Take: int64 option
        Columns: (string * string) list
        Tags: string list
    }

type internal Adapter =
    {
        Bound: Bound
        Quantization: Bound option
        Tags: string list
    }

module internal Adapter =
    let private parts (adapter: Adapter) =
        [
            "own", adapter.Bound
            match adapter.Quantization with
            | Some quantization -> "quantization", quantization
            | None -> ()
        ]

    /// Both parts' options as one tree, so that grids in either make variants.
    let settings (adapter: Adapter) =
        Map(parts adapter |> List.map (fun (part, bound) -> part, bound.Options))

    /// Every combination of both parts' grids.
    let variants (adapter: Adapter) = Variants.ofParts (parts adapter)

/// How one variant of a grid is chosen.
type internal Select = { By: string; Largest: bool }

/// Entries are the options as written, so that a row's `set` can stand over them.
type internal Method =
    {
        Contract: Contract
        Mark: Place
        Entries: Entry list
        Adapter: string option
        Select: Select option
        Tags: string list
    }

type internal Judge =
    {
        Bound: Bound
        Source: ModelSource option
    }

type internal Benchmark = { Label: string; Bound: Bound }

type internal Stage =
    {
        Method: string
        Dataset: string option
        Adapter: string option
        Until: Point option
        Mark: Place
        Path: string
    }

type internal TrainRow =
    {
        Name: string
        Models: string list
        Datasets: string list
        Chains: Stage list list
        /// None is the method's own; Some "none" is full fine-tuning.
        Adapters: string option list
        Seeds: int list option
        Set: Entry list
        Tags: string list
        Evaluate: Benchmark list
        Mark: Place
        Path: string
    }

type internal MergeRow =
    {
        Name: string
        Bound: Bound
        Of: Selection
        Across: string list
        Base: string
        BaseModel: string option
        Tags: string list
        Evaluate: Benchmark list
        Mark: Place
        Path: string
    }

type internal Target =
    | Untouched
    | Trained
    | Merged
    | Selected of Selection

type internal EvaluateRow =
    {
        Of: Target list
        With: Benchmark list
        Controls: string list
        Mark: Place
        Path: string
    }

/// A section of names; Broken holds names that are declared but could not be read.
type internal Section<'T> =
    {
        Items: (string * 'T) list
        Marks: (string * Place) list
        Broken: string list
    }

    member section.Names = (section.Items |> List.map fst) @ section.Broken

type internal PluginEntry =
    | ById of id: string * version: string
    | ByPath of string
    | ByFile of string

type internal Manifest =
    {
        Name: string
        Seeds: int list
        Models: Section<Model>
        Datasets: Section<Dataset>
        Adapters: Section<Adapter>
        Methods: Section<Method>
        Judges: Section<Judge>
        Train: TrainRow list
        Merge: MergeRow list
        Evaluate: EvaluateRow list
        Claims: Tree option
        Track: Bound list
        /// False where a row could not be read: that a selection finds nothing is then not reported as well.
        Complete: bool
    }
