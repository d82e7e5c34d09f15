// The graph under construction: a job is made from its options tree; equal identities are one job with several labels.
namespace PeftAlign.Core.Language

open System.Collections.Generic
open PeftAlign.Core

/// What a job is called and where it stands in the experiment; no part of its identity.
type internal Naming =
    {
        Label: string
        Axes: (string * string) list
        Plugins: string list
        Group: string
    }

type internal Graph(faults: Faults, known: Known, contentHash: string -> string) =
    let jobs = Dictionary<string, PlanJob>()
    let order = List<string>()
    let keep = Dictionary<string, HashSet<string>>()
    let hashes = Dictionary<string, string>()

    let hash (path: string) (mark: Place) =
        match hashes.TryGetValue path with
        | true, found -> found
        | _ ->
            let found =
                match contentHash path |> Given.text with
                | "" ->
                    faults.Add(mark, "", $"'{path}' does not exist; correct the path, or plan with --dry-run")
                    "missing"
                | found -> found

            hashes.Add(path, found)
            found

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

    let addLabel (job: PlanJob) label =
        if not (Seq.contains label job.Labels) then
            let labels = Array.append (Array.ofSeq job.Labels) [| label |] |> Array.sort

            jobs[job.Id] <-
                { job with
                    Labels = labels
                    Label = labels[0]
                }

    /// The engine's own part of a job's identity.
    member _.Engine(job: string) =
        "engine", Whole(int64 (known.EngineVersion job))

    /// What would be hashed of a tree.
    member _.Identity(tree: Tree) =
        hashed tree
        Tree.identity (fun path -> hashes[path]) tree

    /// The job's id; a job of the same identity is reused.
    member _.Add(kind: string, naming: Naming, body: (string * Tree) list) : string =
        let tree = Map(("kind", Text kind) :: body)
        hashed tree
        let identity = Tree.identity (fun path -> hashes[path]) tree
        let id = Tree.id identity

        match jobs.TryGetValue id with
        | true, job -> addLabel job naming.Label
        | _ ->
            order.Add id

            jobs.Add(
                id,
                {
                    Id = id
                    Kind = kind
                    Label = naming.Label
                    Labels = [| naming.Label |]
                    Axes = naming.Axes |> List.filter (fun (_, value) -> value <> "") |> dict |> Dictionary
                    Options = Tree.options tree
                    Identity = identity
                    DependsOn = dependencies tree
                    Inputs = inputs tree
                    Keep = [||]
                    Until = ""
                    Plugins =
                        naming.Plugins
                        |> List.filter ((<>) "")
                        |> List.distinct
                        |> List.sort
                        |> Array.ofList
                    Group = if naming.Group = "" then id else naming.Group
                }
            )

        id

    /// A point ("" for the end) of a job that someone needs.
    member _.Need(id: string, point: string) =
        match keep.TryGetValue id with
        | true, points -> points.Add point |> ignore
        | _ -> keep.Add(id, HashSet [ point ])

    /// All jobs, dependencies first.
    member _.Jobs: PlanJob[] =
        let number (point: string) =
            System.Double.Parse(point.Substring(point.IndexOf ':' + 1), System.Globalization.CultureInfo.InvariantCulture)

        [|
            for id in order do
                match keep.TryGetValue id with
                | true, points ->
                    let kept =
                        points
                        |> Seq.filter ((<>) "")
                        |> Seq.sortBy (fun point -> point[0], number point)
                        |> Array.ofSeq

                    let oneUnit =
                        kept |> Array.map (fun point -> point[0]) |> Array.distinct |> Array.length = 1

                    { jobs[id] with
                        Keep = kept
                        Until =
                            if not (points.Contains "") && oneUnit then
                                Array.last kept
                            else
                                ""
                    }
                | _ -> jobs[id]
        |]
