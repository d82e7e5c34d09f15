// --set PATH=VALUE: changes the document (anchors and '<<' already expanded) before it is typed. PATH is keys with dots, list
// items by [number], a key that holds a dot in double quotes: train[0].models, models."gpt-2.5".path. VALUE is YAML. A preset is a
// mapping of such paths to values in the manifest itself; `preset: NAME` chooses it, and overrides stand above it.
module internal PeftAlign.Core.Language.Overrides

open System
open System.Text.RegularExpressions

type private Part =
    | Key of string
    | Item of int

let private part =
    Regex("""\G(?:\.?"(?<quoted>[^"]*)"|\.?(?<key>[^.\[\]"=]+)|\[(?<item>[0-9]{1,9})\])""", RegexOptions.CultureInvariant)

let private parsePath (path: string) =
    let rec go at parts =
        if at = path.Length then
            Some(List.rev parts)
        else
            match part.Match(path, at) with
            | found when found.Success && found.Length > 0 ->
                let next =
                    if found.Groups["item"].Success then
                        Item(int found.Groups["item"].Value)
                    elif found.Groups["quoted"].Success then
                        Key found.Groups["quoted"].Value
                    else
                        Key found.Groups["key"].Value

                go (at + found.Length) (next :: parts)
            | _ -> None

    match go 0 [] with
    | Some [] -> None
    | found -> found

/// The document with the value put in at the path; missing mappings on the way are made.
let rec private put (mark: Place) parts (value: Node) (node: Node) : Result<Node, string> =
    match parts, node.Body with
    | [], _ -> Ok value
    | Key key :: rest, Mapping entries ->
        let place = entries |> Array.tryFindIndex (fun entry -> entry.Key = key)

        let inner =
            place
            |> Option.map (fun i -> entries[i].Value)
            |> Option.defaultValue (Node(mark, Mapping [||]))

        put mark rest value inner
        |> Result.map (fun changed ->
            let entry =
                {
                    Key = key
                    KeyMark = mark
                    IsPlain = false
                    Value = changed
                    Distance = 0
                }

            match place with
            | Some i ->
                Node(
                    node.Mark,
                    Mapping(
                        entries
                        |> Array.mapi (fun j old -> if i = j then { entry with KeyMark = old.KeyMark } else old)
                    )
                )
            | None -> Node(node.Mark, Mapping(Array.append entries [| entry |])))
    | Key _ :: _, Scalar(Scalars.Null, _) -> put mark parts value (Node(mark, Mapping [||]))
    | Key key :: _, _ -> Error $"'{key}' would be a key of {Nodes.describe node}"
    | Item i :: rest, Sequence items when i < items.Length ->
        put mark rest value items[i]
        |> Result.map (fun changed ->
            Node(node.Mark, Sequence(items |> Array.mapi (fun j old -> if i = j then changed else old))))
    | Item i :: rest, Sequence items when i = items.Length ->
        // The number after the last item's appends a new item.
        put mark rest value (Node(mark, Mapping [||]))
        |> Result.map (fun added -> Node(node.Mark, Sequence(Array.append items [| added |])))
    | Item i :: _, Sequence items ->
        Error $"item [{i}] does not exist; the list has {items.Length}, counted from 0, and the next is [{items.Length}]"
    | Item i :: _, _ -> Error $"item [{i}] would be of {Nodes.describe node}"

/// Puts a value in; a mistake is a fault and leaves the document as it was.
let private set (faults: Faults) (mark: Place) at (path: string) (value: Node) (root: Node) : Node =
    let bad message =
        faults.Add(mark, at, message)
        root

    match parsePath path with
    | None -> bad $"'{path}' is no path; write it like methods.dpo.beta=0.2 or train[0].models=[a]"
    | Some parts ->
        match put mark parts value root with
        | Ok changed when changed.Size <= Yaml.maxNodes && changed.Depth <= Yaml.maxDepth -> changed
        | Ok _ -> bad $"the manifest grows beyond {Yaml.maxNodes} nodes or {Yaml.maxDepth} levels"
        | Error why -> bad why

/// Positions inside an override's text would mislead; its own mark stands for all of it.
let rec private anchored (mark: Place) (node: Node) =
    match node.Body with
    | Sequence items -> Node(mark, Sequence(items |> Array.map (anchored mark)))
    | Mapping entries ->
        let at entry =
            { entry with
                KeyMark = mark
                Value = anchored mark entry.Value
            }

        Node(mark, Mapping(entries |> Array.map at))
    | body -> Node(mark, body)

let private apply (faults: Faults) (root: Node) (text: string) : Node =
    let mark: Place = { Line = 0; Column = 0; Origin = text }

    match text.IndexOf '=' with
    | at when at > 0 ->
        match Yaml.parseAs Yaml.setting (text.Substring(at + 1)) text faults with
        | None -> root
        | Some value -> set faults mark "" (text.Substring(0, at).Trim()) (anchored mark value) root
    | _ ->
        faults.Add(mark, "", "expected PATH=VALUE, such as methods.dpo.beta=0.2")
        root

let private entry key (node: Node) =
    match node.Body with
    | Mapping entries -> entries |> Array.tryFind (fun entry -> entry.Key = key) |> Option.map _.Value
    | _ -> None

let private entries (node: Node) =
    match node.Body with
    | Mapping entries -> entries
    | _ -> [||]

/// The document with the chosen preset's values put in; kinds other than a name and mappings are the reader's faults.
let private preset (faults: Faults) (root: Node) (chosen: Node) : Node =
    let presets = entry "presets" root |> Option.map entries |> Option.defaultValue [||]

    match chosen.Body with
    | Scalar(Scalars.Text name, _) ->
        match presets |> Array.tryFind (fun preset -> preset.Key = name) with
        | Some preset ->
            let put root (entry: Entry) =
                match parsePath entry.Key with
                | Some(Key("preset" | "presets") :: _) ->
                    faults.Add(
                        entry.KeyMark,
                        "presets." + name,
                        $"{Suggest.shown entry.Key}: a preset cannot choose or change presets; write the values of both in one"
                    )

                    root
                | _ -> set faults entry.KeyMark ("presets." + name) entry.Key entry.Value root

            entries preset.Value |> Array.fold put root
        | None ->
            let known = presets |> Array.map _.Key
            faults.Add(chosen.Mark, "preset", $"there is no preset {Suggest.shown name}{Suggest.hint known name}")
            root
    | _ -> root

/// The document as the preset (the manifest's own, or that of an override) and the overrides make it.
let applyAll (faults: Faults) (overrides: string seq) (root: Node) : Node =
    let set faults root =
        overrides |> Seq.fold (apply faults) root

    // Only the last pass reports faults: an override may change what the preset adds.
    let first = set (Faults()) root

    match entry "preset" first with
    | Some chosen -> preset faults root chosen |> set faults
    | None -> set faults root
