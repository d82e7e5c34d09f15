// The graph under construction: a job is made from its options tree; equal identities are one job with several labels.
namespace PeftAlign.Core.Language

open System.Collections.Generic
open PeftAlign.Core

/// What a job is called and where it stands in the experiment; no part of its identity.
type internal Naming =
    {
        Label: string
        Axes: (string * string) list
        /// Plugins without which its output cannot be loaded, such as an adapter's.
        Loads: string list
        Group: string
    }

/// Raised where a plan has more jobs than anyone could run; ends planning.
exception internal TooMany

/// What the caller says of a path: the hash of its content, and which plugins compute it where it is a model.
type internal Paths =
    {
        ContentHash: string -> string
        Parts: string -> FolderPart list
    }

/// Missing takes the paths that lead to nothing, whose names then stand for their contents; without it they are faults.
type internal Graph(faults: Faults, known: Known, paths: Paths, missing: ResizeArray<MissingPath> option) =
    let maxJobs = 500_000
    let jobs = Dictionary<string, PlanJob>()
    let order = List<string>()
    let keep = Dictionary<string, HashSet<string>>()
    let hashes = Dictionary<string, string>()
    let loads = Dictionary<string, string list>()
    let parts = Dictionary<string, FolderPart list>()

    let places =
        Dictionary<string, SortedDictionary<string, IReadOnlyDictionary<string, string>>>()

    let hash (path: string) (mark: Place) =
        match hashes.TryGetValue path with
        | true, found -> found
        | _ ->
            let found =
                match paths.ContentHash path |> Given.text with
                | "" ->
                    let gone =
                        {
                            Path = path
                            Line = mark.Line
                            Column = mark.Column
                        }

                    match missing with
                    | Some missing ->
                        missing.Add gone
                        "missing:" + path
                    | None ->
                        faults.Add(mark, "", gone.Fault.Message)
                        "missing"
                | found -> found

            hashes.Add(path, found)
            found

    let partsOf (path: string) =
        match parts.TryGetValue path with
        | true, found -> found
        | _ ->
            let found = paths.Parts path
            parts.Add(path, found)
            found

    // A model that a plugin computes is its content and who computes it; one that the engine computes is its content alone.
    let meaning (path: string) =
        partsOf path
        |> List.fold (fun text part -> $"{text}+{part.Plugin}/{part.Name}@{part.ResultVersion}") hashes[path]

    let pluginsOf leaf =
        match leaf with
        | Provided(_, plugin) -> [ plugin ]
        | Content(path, _) -> partsOf path |> List.map _.Plugin
        | _ -> []

    let rec hashed tree =
        match tree with
        | Content(path, mark) -> hash path mark |> ignore
        | List items -> items |> List.iter hashed
        | Map entries -> entries |> List.iter (snd >> hashed)
        | _ -> ()

    let inputs tree : PlanInput[] =
        [|
            for struct (place, leaf) in Tree.leaves "" tree do
                match leaf with
                | Content(path, _) ->
                    {
                        Place = place
                        Path = path
                        Hash =
                            match hashes.TryGetValue path with
                            | true, found -> found
                            | _ -> ""
                    }
                | _ -> ()
        |]

    let dependencies tree =
        [|
            for struct (_, leaf) in Tree.leaves "" tree do
                match leaf with
                | Output(job, _) -> job
                | _ -> ()
        |]
        |> Array.distinct

    /// What loading the policies in a tree needs.
    let loadsOf tree =
        [
            for struct (_, leaf) in Tree.leaves "" tree do
                match leaf with
                | Content _ -> yield! pluginsOf leaf
                | _ -> ()
            for id in dependencies tree do
                yield! loads[id]
        ]

    let plugins tree =
        [
            for struct (_, leaf) in Tree.leaves "" tree do
                yield! pluginsOf leaf
            yield! loadsOf tree
        ]
        |> List.filter ((<>) "")
        |> List.distinct
        |> List.sort
        |> Array.ofList

    let axes (naming: Naming) : IReadOnlyDictionary<string, string> =
        naming.Axes |> List.filter (fun (_, value) -> value <> "") |> dict |> Dictionary :> _

    let create id kind (naming: Naming) identity tree : PlanJob =
        {
            Id = id
            Kind = kind
            Label = naming.Label
            Labels = [||]
            Axes = axes naming
            Places = [||]
            Options = Tree.options tree
            Identity = identity
            DependsOn = dependencies tree
            Inputs = inputs tree
            Keep = [||]
            Until = ""
            Plugins = plugins tree
            Group = if naming.Group = "" then id else naming.Group
        }

    /// The most jobs that a plan may have.
    member _.Limit = maxJobs

    /// The engine's own part of a job's identity.
    member _.Engine(job: string) =
        "engine", Whole(int64 (known.EngineVersion job))

    /// The plugins that loading the policies in a tree needs.
    member _.LoadsOf(tree: Tree) = loadsOf tree

    /// What would be hashed of a tree.
    member _.Identity(tree: Tree) =
        hashed tree
        Tree.identity meaning tree

    /// The job's id; a job of the same identity is reused.
    member _.Add(kind: string, naming: Naming, body: (string * Tree) list) : string =
        let tree = Map(("kind", Text kind) :: body)
        hashed tree
        let identity = Tree.identity meaning tree
        let id = Tree.id identity

        if jobs.Count >= maxJobs then
            raise TooMany

        if not (jobs.ContainsKey id) then
            order.Add id
            jobs.Add(id, create id kind naming identity tree)
            places.Add(id, SortedDictionary(System.StringComparer.Ordinal))
            loads.Add(id, List.distinct naming.Loads)

        places[id][naming.Label] <- axes naming
        id

    /// A point ("" for the end) of a job that someone needs.
    member _.Need(id: string, point: string) =
        match keep.TryGetValue id with
        | true, points -> points.Add point |> ignore
        | _ -> keep.Add(id, HashSet [ point ])

    /// All jobs, dependencies first. Labels in their order, so that the order of rows does not show.
    member _.Jobs: PlanJob[] =
        let number (point: string) =
            System.Double.Parse(point.Substring(point.IndexOf ':' + 1), System.Globalization.CultureInfo.InvariantCulture)

        let needs (id: string) =
            match keep.TryGetValue id with
            | true, points ->
                let kept =
                    points
                    |> Seq.filter ((<>) "")
                    |> Seq.sortBy (fun point -> point[0], number point)
                    |> Array.ofSeq

                // Steps and epochs have no common order here: the end is safe.
                let isOneUnit = kept |> Seq.distinctBy (fun point -> point[0]) |> Seq.length = 1

                kept,
                (if points.Contains "" || not isOneUnit then
                     ""
                 else
                     Array.last kept)
            | _ -> [||], ""

        [|
            for id in order do
                let kept, until = needs id
                let named = places[id]
                let label = Seq.head named.Keys

                { jobs[id] with
                    Label = label
                    Labels = Array.ofSeq named.Keys
                    Axes = named[label]
                    Places = Array.ofSeq named.Values
                    Keep = kept
                    Until = until
                }
        |]
