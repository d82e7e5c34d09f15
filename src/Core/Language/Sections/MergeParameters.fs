// Parameters of merges that differ between layers or tensors, in mergekit's forms: { layers: [a, b] } runs in straight lines over
// the layers through values at equal distances; of [{ filter: PART, value: V }] the first counts whose filter is part of a tensor's
// name. A list with a value for each model may hold { layers: ... } as well.
module internal PeftAlign.Core.Language.MergeParameters

open PeftAlign.Core

let private hasKey key (node: Node) =
    match node.Body with
    | Mapping entries -> entries |> Array.exists (fun entry -> entry.Key = key)
    | _ -> false

/// Whether a value is of one of these forms. No strategy has a parameter that is a mapping itself.
let isVaried (node: Node) =
    match node.Body with
    | Mapping _ -> true
    | Sequence items -> items |> Array.exists (fun item -> item.Body.IsMapping)
    | _ -> false

/// One value of such a form, in whose place the option's own reader can stand.
let rec sample (node: Node) =
    match node.Body with
    | Mapping entries when entries.Length > 0 ->
        match
            entries
            |> Array.tryFind (fun entry -> entry.Key = "layers" || entry.Key = "value")
        with
        | Some entry -> sample entry.Value
        | None -> node
    | Sequence items when items.Length > 0 -> sample items[0]
    | _ -> node

let private all (items: Tree option[]) =
    if items |> Array.forall Option.isSome then
        Some(items |> Array.map Option.get |> List.ofArray)
    else
        None

let private scalar context path shape (node: Node) =
    match node.Body with
    | Scalar _
    | Broken -> Options.value context path shape node
    | _ -> Readers.fault context node path $"expected one value here, not {Nodes.describe node}"

/// { layers: [a, b] }, or one value.
let private layers context path shape (node: Node) =
    match node.Body with
    | Mapping [| { Key = "layers"; Value = list } |] ->
        let inner = Readers.join path "layers"

        match list.Body with
        | Sequence items when items.Length > 0 ->
            items
            |> Array.mapi (fun k item -> scalar context (Readers.at inner k) shape item)
            |> all
            |> Option.map (fun values -> Map [ "layers", List values ])
        | _ -> Readers.fault context list inner "expected a list of values, from the first layer to the last"
    | Mapping _ ->
        Readers.fault
            context
            node
            path
            "expected a value, or { layers: [FIRST, ..., LAST] }, or a list of { filter: PART, value: V }"
    | _ -> scalar context path shape node

let private case context path shape (node: Node) =
    match node.Body with
    | Mapping entries when hasKey "value" node ->
        let find key =
            entries |> Array.tryFind (fun entry -> entry.Key = key)

        match
            entries
            |> Array.tryFind (fun entry -> entry.Key <> "filter" && entry.Key <> "value")
        with
        | Some other ->
            Readers.fault context other.Value (Readers.join path other.Key) "a filter has the keys 'filter' and 'value' only"
        | None ->
            let filter =
                match find "filter" with
                | Some entry ->
                    (Readers.filled AnyText).Read context (Readers.join path "filter") entry.Value
                    |> Option.map (fun text -> [ "filter", Text text ])
                | None -> Some []

            let value =
                layers context (Readers.join path "value") shape (find "value").Value.Value

            Option.map2 (fun filter value -> Map(filter @ [ "value", value ])) filter value
    | _ -> Readers.fault context node path $"expected {{ filter: PART, value: V }}, not {Nodes.describe node}"

/// Reads a value of one of these forms.
let read context path (option: OptionSchema) (node: Node) : Tree option =
    let shape = Shape.ofOption option

    match node.Body with
    | Sequence items ->
        let item =
            if items |> Array.exists (hasKey "value") then
                case
            else
                layers

        items
        |> Array.mapi (fun k one -> item context (Readers.at path k) shape one)
        |> all
        |> Option.map List
    | _ -> layers context path shape node
