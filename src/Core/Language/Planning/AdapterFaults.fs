// What an adapter's nature forbids, reported before anything is trained: merging what no weights can hold, and precomputing reference
// log-probs where a new adapter does not start as the base.
module internal PeftAlign.Core.Language.AdapterFaults

open PeftAlign.Core.Language

/// The policy's trainings, the last first.
let rec private trainings (matrix: Matrix) (lookup: Lookup) (policy: Policy) : StageRun list =
    match policy.Origin with
    | Stage run -> run :: trainings matrix lookup run.Previous
    | Chosen(_, variants) -> variants |> List.truncate 1 |> List.collect (trainings matrix lookup)
    | MergedFrom(_, parents, _) -> parents |> List.collect (trainings matrix lookup)
    | Declared name ->
        match lookup.Models[name].Source with
        | FromRun selection -> trainings matrix lookup (matrix.One(selection, policy.Facts.Seed))
        | _ -> []

/// The name and the contract of the training's adapter, where that has the trait.
let private adapterWith (lookup: Lookup) traitName (run: StageRun) =
    run.Adapter
    |> Option.map (fun name -> name, (fst lookup.Adapters[name]).Bound.Contract)
    |> Option.filter (fun (_, contract) -> contract.Schema.Traits |> Seq.contains traitName)

/// Policies that nothing can build on because of their controls are refused elsewhere, once their controls are known.
let private endsThere (run: StageRun) =
    run.Setting.Method.Schema.Traits |> Seq.contains "control-adapters"

/// The adapter of a policy that no weights can hold.
let private unmergeable matrix lookup (policy: Policy) =
    trainings matrix lookup policy
    |> List.filter (endsThere >> not)
    |> List.tryPick (adapterWith lookup "no-weights")

/// Why a merge cannot take these parents; None where it can.
let ofMerge matrix lookup (row: MergeRow) (parents: Policy list) =
    parents
    |> List.tryPick (fun parent ->
        unmergeable matrix lookup parent
        |> Option.map (fun (name, contract) ->
            $"merge '{row.Name}' gathers {Policies.label parent}, and no weights can hold its adapter '{name}' ({contract.Schema.Name}): it cannot be merged; select policies of other adapters"))

/// Why a training of all weights cannot continue from the previous policy, whose adapters it merges into the weights; None where it can.
let ofWeights matrix lookup (run: StageRun) =
    if run.Adapter.IsSome then
        None
    else
        unmergeable matrix lookup run.Previous
        |> Option.map (fun (name, contract) ->
            $"trains all weights after a stage with the adapter '{name}' ({contract.Schema.Name}), which no weights can hold; give this method an adapter, or the stage before it another one")

/// Options that may differ where a stage continues with the adapter of the previous one.
let private notOfItsShape = [ "dropout"; "init"; "init_text"; "init_tokenizer" ]

let private shape (run: StageRun) =
    match Tree.find "own" run.AdapterOptions with
    | Some(Map entries) ->
        entries
        |> List.filter (fun (name, _) -> not (List.contains name notOfItsShape))
        |> Map
        |> Tree.options
    | _ -> ""

/// Whether the training continues with the previous stage's adapter instead of a new one.
let private goesOn matrix (lookup: Lookup) (run: StageRun) =
    let contract (run: StageRun) =
        run.Adapter
        |> Option.map (fun name -> (fst lookup.Adapters[name]).Bound.Contract.Name)

    match trainings matrix lookup run.Previous with
    | before :: _ -> contract before = contract run && shape before = shape run
    | [] -> false

/// A fault where reference log-probs of the start are to be precomputed although only the training itself knows where its new adapter starts.
let ofReference (context: Context) matrix (lookup: Lookup) (policy: Policy) (run: StageRun) =
    let training key = Tree.find key run.Setting.Training

    match adapterWith lookup "own-start" run, training "reference", training "init_adapter" with
    | Some(name, contract), (None | Some(Text "start")), None when not (goesOn matrix lookup run) ->
        let owner = policy.Facts.Methods.Head
        let method = lookup.Methods[owner]
        let keys = [ "precompute_reference"; "precompute_ref_log_probs" ]

        let mark, key =
            match method.Entries |> List.tryFind (fun entry -> List.contains entry.Key keys) with
            | Some entry -> entry.KeyMark, entry.Key
            | None -> method.Mark, keys.Head

        context.Faults.Add(
            mark,
            $"methods.{owner}.{key}",
            $"reference: start is the policy with the new adapter '{name}' ({contract.Schema.Name}), which is not the policy before it, so that it is known in the training alone; leave {key} out, or give reference: base"
        )
    | _ -> ()
