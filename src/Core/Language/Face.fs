// The language's face to C#: text in, plain records out. No F# type crosses, nothing is read but what the caller passes.
namespace PeftAlign.Core

open System
open System.Collections.Generic
open PeftAlign.Core.Language

/// <summary>A YAML document as JSON, or the faults that prevent it. Json is null where there are faults.</summary>
[<NoComparison>]
type DocumentResult =
    {
        Json: string | null
        Faults: IReadOnlyList<Fault>
    }

/// <summary>Plain YAML documents, such as merge configurations, read with the bounds and the scalars of manifests.</summary>
[<AbstractClass; Sealed>]
type Documents private () =
    /// <summary>The document as JSON text: anchors and '&lt;&lt;' expanded, keys sorted, scalars by YAML 1.2's core schema.</summary>
    static member ToJson(text: string) : DocumentResult =
        let faults = Faults()

        let context =
            {
                Faults = faults
                Known = Known []
                Uses = ResizeArray()
            }

        let tree =
            Yaml.parseAs Yaml.plain text "" faults |> Option.bind (Options.plain context "")

        {
            Json =
                match tree with
                | Some tree when faults.Count = 0 -> Tree.options tree
                | _ -> null
            Faults = faults.Sorted()
        }

/// <summary>A plugin that a manifest names.</summary>
/// <remarks>Exactly one of Id, Path and File is not empty; Version is a range such as ">=1.2 &lt;2", or empty.</remarks>
type PluginRequest =
    {
        Id: string
        Version: string
        Path: string
        File: string
        Line: int
        Column: int
    }

/// <summary>What the `plugins` section asks for. HasSection is false where the product's own plugins are meant.</summary>
[<NoComparison>]
type PluginRequests =
    {
        HasSection: bool
        Requests: IReadOnlyList<PluginRequest>
        Faults: IReadOnlyList<Fault>
    }

/// <summary>A manifest that was read and typed without a fault.</summary>
[<Sealed>]
type Experiment internal (name: string, manifest: Manifest, known: Known) =
    member internal _.Manifest = manifest
    member internal _.Known = known

    /// <summary>The manifest's name, or its file's.</summary>
    member _.Name = name

    /// <summary>The experiment's seeds; rows may have others.</summary>
    member _.Seeds: IReadOnlyList<int> = manifest.Seeds |> Array.ofList :> _

    /// <summary>Names of the declared models.</summary>
    member _.Models: IReadOnlyList<string> = manifest.Models.Names |> Array.ofList :> _

    /// <summary>A fault at the place of a merge's row: what files tell, and not the manifest alone.</summary>
    /// <param name="name">The merge's.</param>
    /// <param name="message">What is wrong with it.</param>
    member _.FaultOfMerge(name: string, message: string) : Fault =
        let faults = Faults()

        match manifest.Merge |> List.tryFind (fun row -> row.Name = name) with
        | Some row -> faults.Add(row.Mark, row.Path, message)
        | None -> faults.Add(Place.none, "", message)

        faults.Sorted()[0]

    /// <summary>A fault at the place where a model's folder is declared: what files tell, and not the manifest alone.</summary>
    /// <param name="folder">As the manifest writes it.</param>
    /// <param name="message">What is wrong with it.</param>
    /// <returns>Null where no model is declared by that folder.</returns>
    member _.FaultOfModel(folder: string, message: string) : Fault | null =
        let declared =
            manifest.Models.Items
            |> List.tryPick (fun (name, model) ->
                match model.Source with
                | Folder(Content(path, mark), _) when path = folder -> Some(mark, $"models.{name}.path")
                | _ -> None)

        match declared with
        | Some(mark, path) ->
            let faults = Faults()
            faults.Add(mark, path, message)
            faults.Sorted()[0]
        | None -> null

    /// <summary>Names of the declared data sets.</summary>
    member _.Datasets: IReadOnlyList<string> = manifest.Datasets.Names |> Array.ofList :> _

/// <summary>An experiment, or the faults that prevent it. Experiment is null where there are faults.</summary>
[<NoComparison; NoEquality>]
type ManifestResult =
    {
        Experiment: Experiment | null
        Faults: IReadOnlyList<Fault>
    }

/// <summary>Reading manifests. Nothing here touches a file.</summary>
[<AbstractClass; Sealed>]
type Manifests private () =
    static let nameOf (file: string) =
        let name = file.Substring(file.LastIndexOfAny([| '/'; '\\' |]) + 1)

        if name.Contains '.' then
            name.Substring(0, name.LastIndexOf '.')
        else
            name

    /// <summary>The options that every training job has, whatever its method; a method's own come from its plugin.</summary>
    static member TrainingOptions: IReadOnlyList<OptionSchema> =
        TrainingOptions.all |> Array.ofList :> _

    /// <summary>Which plugins the manifest names; to be resolved before Read.</summary>
    /// <param name="text">The manifest, YAML.</param>
    /// <param name="overrides">PATH=VALUE texts, applied in order.</param>
    static member Plugins(text: string, overrides: IReadOnlyList<string>) : PluginRequests =
        let faults = Faults()
        let root = Document.root faults text (Given.list overrides)
        let section = root |> Option.bind (Document.plugins faults)

        let request (entry, mark: Place) : PluginRequest =
            let id, version, path, file =
                match entry with
                | ById(id, version) -> id, version, "", ""
                | ByPath path -> "", "", path, ""
                | ByFile file -> "", "", "", file

            {
                Id = id
                Version = version
                Path = path
                File = file
                Line = mark.Line
                Column = mark.Column
            }

        {
            HasSection = section.IsSome
            Requests = section |> Option.defaultValue [] |> List.map request |> Array.ofList
            Faults = faults.Sorted()
        }

    /// <summary>Reads and types a manifest; every fault of it is reported at once.</summary>
    /// <param name="text">The manifest, YAML.</param>
    /// <param name="file">Its file's name, from which an experiment without a name has one.</param>
    /// <param name="catalogue">All plugins that could be used; the manifest's own section chooses among them.</param>
    /// <param name="overrides">PATH=VALUE texts, applied in order to the document.</param>
    static member Read(text: string, file: string, catalogue: Catalogue, overrides: IReadOnlyList<string>) : ManifestResult =
        let faults = Faults()

        let typed =
            Document.root faults text (Given.list overrides)
            |> Option.bind (fun root ->
                let known = PluginList.admit faults catalogue (Document.plugins faults root)

                let context =
                    {
                        Faults = faults
                        Known = known
                        Uses = ResizeArray()
                    }

                Document.reader.Read context "" root
                |> Option.map (fun manifest ->
                    Check.all context manifest
                    let name = if manifest.Name = "" then nameOf file else manifest.Name
                    Experiment(name, manifest, known)))

        {
            Experiment =
                match typed with
                | Some experiment when faults.Count = 0 -> experiment
                | _ -> null
            Faults = faults.Sorted()
        }

    /// <summary>The JSON Schema (draft 2020-12) of manifests, made from the same descriptions that read them.</summary>
    /// <param name="catalogue">The plugins whose options it knows; all of them, listed in a manifest or not.</param>
    /// <returns>JSON text.</returns>
    static member JsonSchema(catalogue: Catalogue) : string =
        Known(Whole.plugins catalogue) |> JsonSchema.generate |> Tree.options

/// <summary>Planning: from an experiment to a graph of jobs whose ids are hashes of what can change their results.</summary>
[<AbstractClass; Sealed>]
type Plans private () =
    /// <summary>The plan of an experiment.</summary>
    /// <param name="experiment">What Manifests.Read gave.</param>
    /// <param name="contentHash">The content hash of a path as the manifest writes it; null or empty where it does not exist, which is
    /// a fault. Asked once for each path.</param>
    static member Create(experiment: Experiment, contentHash: Func<string, string>) : PlanResult =
        Plans.Create(experiment, contentHash, false)

    /// <summary>The plan of an experiment, perhaps before all of its files are there.</summary>
    /// <param name="experiment">What Manifests.Read gave.</param>
    /// <param name="contentHash">The content hash of a path as the manifest writes it; null or empty where it does not exist. Asked once for each path.</param>
    /// <param name="mayMiss">Whether a path's name stands for its content where it does not exist; else that is a fault.</param>
    static member Create(experiment: Experiment, contentHash: Func<string, string>, mayMiss: bool) : PlanResult =
        Plans.Create(experiment, contentHash, mayMiss, (fun _ -> [||]))

    /// <summary>The plan of an experiment whose models may be of architectures or quantisations that plugins provide.</summary>
    /// <param name="experiment">What Manifests.Read gave.</param>
    /// <param name="contentHash">The content hash of a path as the manifest writes it; null or empty where it does not exist. Asked once for each path.</param>
    /// <param name="mayMiss">Whether a path's name stands for its content where it does not exist; else that is a fault.</param>
    /// <param name="partsOf">What plugins outside the product do for the model that lies at a path as the manifest writes it; empty where
    /// none does anything. Asked once for each path.</param>
    static member Create
        (
            experiment: Experiment,
            contentHash: Func<string, string>,
            mayMiss: bool,
            partsOf: Func<string, IReadOnlyList<FolderPart>>
        ) : PlanResult =
        let faults = Faults()
        let missing = ResizeArray<MissingPath>()

        let context =
            {
                Faults = faults
                Known = experiment.Known
                Uses = ResizeArray()
            }

        let jobs =
            Planner.plan
                context
                experiment.Manifest
                {
                    ContentHash = contentHash.Invoke
                    Parts = partsOf.Invoke >> List.ofSeq
                }
                (if mayMiss then Some missing else None)

        {
            Plan =
                if faults.Count = 0 then
                    {
                        Plan.Name = experiment.Name
                        Jobs = jobs
                        Trackers =
                            [|
                                for tracker in experiment.Manifest.Track ->
                                    {
                                        Name = tracker.Contract.Name
                                        Options = Tree.options tracker.Options
                                        Plugin = tracker.Contract.Plugin.Id
                                    }
                            |]
                    }
                else
                    null
            Missing =
                missing
                |> Seq.sortBy (fun path -> path.Line, path.Column, path.Path)
                |> Array.ofSeq
            Faults = faults.Sorted()
        }

    /// <summary>Whether a pattern of --only matches a label: * stands for any characters, ? for one.</summary>
    static member Matches(glob: string, label: string) : bool = Globs.matches glob label

    /// <summary>The jobs with a label that the pattern matches, and all that they depend on.</summary>
    /// <param name="plan">A whole plan.</param>
    /// <param name="glob">Of labels such as "train/mistral/*": * stands for any characters, ? for one.</param>
    /// <exception cref="T:System.ArgumentException">The pattern matches no label.</exception>
    static member Only(plan: Plan, glob: string) : Plan =
        let jobs = Dictionary<string, PlanJob>()

        for job in plan.Jobs do
            jobs.Add(job.Id, job)

        let wanted = HashSet<string>()

        let rec want (id: string) =
            if wanted.Add id then
                for dependency in jobs[id].DependsOn do
                    want dependency

        for job in plan.Jobs do
            if job.Labels |> Seq.exists (Globs.matches glob) then
                want job.Id

        if wanted.Count = 0 then
            let some = plan.Jobs |> Seq.map _.Label |> Seq.truncate 5 |> String.concat ", "
            raise (ArgumentException $"--only '{glob}' matches none of {plan.Jobs.Count} jobs; labels look like {some}")

        { plan with
            Jobs = plan.Jobs |> Seq.filter (fun job -> wanted.Contains job.Id) |> Array.ofSeq
        }
