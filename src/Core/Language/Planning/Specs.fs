// Small trees that several jobs' options share.
module internal PeftAlign.Core.Language.Specs

open System

/// A contract with its bound options.
let contractTree (contract: Contract) options =
    Map
        [
            "name", Provided(contract.Name, contract.Plugin.Id)
            "result_version", Whole(int64 contract.Schema.ResultVersion)
            "options", options
        ]

let boundTree (bound: Options.Bound) =
    contractTree bound.Contract bound.Options

/// How a message names the quantisation of an adapter's base; equal for equal quantisations.
let quantization (adapter: Adapter) (tree: Tree) =
    let name =
        adapter.Quantization
        |> Option.map _.Contract.Schema.Name
        |> Option.defaultValue ""

    let options = Tree.find "options" tree |> Option.defaultValue Null
    $"{name} {Tree.options options}"

/// A policy made from another: new weights, the same chat template.
let moved (start: Tree) (job: string) : Tree =
    Map
        [
            "weights", Output(job, "")
            match Tree.find "chat_template" start with
            | Some template -> "chat_template", template
            | None -> ()
        ]

/// Where a job stands in the experiment.
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

/// Whether the options name a thing of this kind.
let isNamed kind tree =
    Tree.leaves "" tree
    |> Seq.exists (fun (struct (_, leaf)) ->
        match leaf with
        | Refer(found, _, _) -> found = kind
        | _ -> false)
