// What only the whole manifest shows: dangling names, names given twice, method options under each row's `set`, hand-offs and
// checkpoints beyond the end of training, selection by a metric that nobody measures.
module internal PeftAlign.Core.Language.Check

open PeftAlign.Core.Language

let private tagsOf (manifest: Manifest) =
    [
        for _, model in manifest.Models.Items do
            yield! model.Tags
        for _, dataset in manifest.Datasets.Items do
            yield! dataset.Tags
        for _, adapter in manifest.Adapters.Items do
            yield! adapter.Tags
        for _, method in manifest.Methods.Items do
            yield! method.Tags
        for row in manifest.Train do
            yield! row.Tags
        for merge in manifest.Merge do
            yield! merge.Tags
    ]

let private dangling context (manifest: Manifest) =
    let tags = tagsOf manifest
    let rows = manifest.Train |> List.map _.Name |> List.filter ((<>) "")
    let merges = manifest.Merge |> List.map _.Name

    let seeds =
        manifest.Train
        |> List.collect (fun row -> row.Seeds |> Option.defaultValue manifest.Seeds)
        |> List.map string

    let stages =
        // a merged policy's stage is 1
        let longest =
            manifest.Train
            |> List.collect (fun row -> row.Chains |> List.map List.length)
            |> List.fold max (if merges.IsEmpty then 0 else 1)

        [ 1..longest ] |> List.map string

    // A broken row or declaration may have held the missing name.
    let anyBroken =
        not manifest.Complete
        || not manifest.Models.Broken.IsEmpty
        || not manifest.Datasets.Broken.IsEmpty
        || not manifest.Adapters.Broken.IsEmpty
        || not manifest.Methods.Broken.IsEmpty

    let declared kind =
        match kind with
        | "model" -> manifest.Models.Names, "models", false
        | "dataset" -> manifest.Datasets.Names, "datasets", false
        | "adapter" -> manifest.Adapters.Names, "adapters", false
        | "method" -> manifest.Methods.Names, "methods", false
        | "judge" -> manifest.Judges.Names, "judges", false
        | "merge" -> merges, "merge", not manifest.Complete
        | "row" -> rows, "train", not manifest.Complete
        | "seed" -> seeds, "seeds", not manifest.Complete
        | "stage" -> stages, "train", not manifest.Complete
        | _ -> tags, "any 'tags'", anyBroken

    for use' in context.Uses do
        let names, section, mayBeBroken = declared use'.Kind

        if not mayBeBroken && not (List.contains use'.Name names) then
            context.Faults.Add(
                use'.Mark,
                use'.Path,
                $"there is no {use'.Kind} '{use'.Name}' under {section}{Suggest.hint names use'.Name}"
            )

/// A tracker has no job of its own that could make what it names.
let private trackers context (manifest: Manifest) =
    manifest.Track
    |> List.iteri (fun i tracker ->
        for struct (place, leaf) in Tree.leaves "" tracker.Options do
            match leaf with
            | Refer(kind, name, mark) ->
                context.Faults.Add(
                    mark,
                    $"track[{i}].{place}",
                    $"a tracker's options cannot name a {kind} of the manifest ('{name}'); leave it out"
                )
            | _ -> ())

let private twice context (items: (string * Place * string) list) what =
    for _, same in
        items
        |> List.filter (fun (name, _, _) -> name <> "")
        |> List.groupBy (fun (name, _, _) -> name) do
        for name, mark, path in List.tail same do
            let _, first, _ = List.head same

            context.Faults.Add(
                mark,
                path,
                $"the {what} '{name}' is named twice, first on line {first.Line}; give it another name"
            )

/// A point beyond the end of a stage's training.
let private beyond (settings: Methods.Setting list) point =
    settings
    |> List.tryPick (fun setting ->
        match point, Methods.maxSteps setting, Methods.epochs setting with
        | Step step, Some last, _ when step > last -> Some $"step {step} lies beyond max_steps {last}"
        | Epoch epoch, _, Some last when epoch > last -> Some $"epoch {Tree.number epoch} lies beyond epochs {Tree.number last}"
        | Epoch _, Some last, _ -> Some $"the method counts in steps (max_steps {last}); hand over at a step"
        | _ -> None)

let private selects context path (method: Method) (settings: Methods.Setting list) hasGrid =
    match method.Select with
    | None -> ()
    | Some select ->
        if not hasGrid then
            context.Faults.Add(
                method.Mark,
                path,
                "'select' keeps one variant of a grid, and there is no { grid: [...] } in the method, its adapter or a row that trains it"
            )

        let measured =
            settings
            |> List.forall (fun setting -> (Tree.find "eval_data" setting.Training).IsSome)

        if select.By.StartsWith("eval_", System.StringComparison.Ordinal) && not measured then
            context.Faults.Add(
                method.Mark,
                path,
                $"'select' asks for '{select.By}', which is measured on eval_data; name a data set there"
            )

/// The number of variants that one option's grid makes.
let private gridSize (entry: Entry) =
    match entry.Value.Body with
    | Mapping [| { Key = "grid"; Value = items } |] ->
        match items.Body with
        | Sequence items -> float items.Length
        | _ -> 1.0
    | _ -> 1.0

/// Whether the adapter has a grid.
let private isSwept (manifest: Manifest) (adapter: string option) =
    manifest.Adapters.Items
    |> List.exists (fun (name, found) -> Some name = adapter && Options.variantCount (Adapter.settings found) > 1.0)

/// Whether the row gives this method a grid: in its `set`, or by an adapter.
let private sweeps manifest method (row: TrainRow) =
    row.Chains
    |> List.concat
    |> List.filter (fun stage -> stage.Method = method)
    |> List.exists (fun stage ->
        row.Set |> List.exists (fun entry -> gridSize entry > 1.0)
        || stage.Adapter :: row.Adapters |> List.exists (isSwept manifest))

/// The methods as declared.
let private methods context (manifest: Manifest) =
    for name, method in manifest.Methods.Items do
        let path = Readers.join "methods" name

        Methods.bind context path name method []
        |> Option.iter (fun settings ->
            let hasGrid =
                settings.Length > 1
                || isSwept manifest method.Adapter
                || manifest.Train |> List.exists (sweeps manifest name)

            selects context path method settings hasGrid)

let private stages context (manifest: Manifest) (row: TrainRow) =
    let methods = dict manifest.Methods.Items

    for stage in
        row.Chains
        |> List.concat
        |> List.distinctBy (fun stage -> stage.Method, stage.Until) do
        match methods.TryGetValue stage.Method with
        | true, method ->
            let settings =
                Methods.bind context (Readers.join row.Path "set") stage.Method method row.Set

            match stage.Until, method.Select with
            | Some _, Some _ ->
                context.Faults.Add(
                    stage.Mark,
                    Readers.join stage.Path "until",
                    $"'until' hands over a point of one training, and '{stage.Method}' selects among several; drop one of the two"
                )
            | _ -> ()

            match settings, stage.Until with
            | Some settings, Some point ->
                beyond settings point
                |> Option.iter (fun why -> context.Faults.Add(stage.Mark, Readers.join stage.Path "until", why))
            | _ -> ()
        | _ -> ()

let private maxRuns = 100_000.0

/// How many training runs a row makes, counted without making them.
let private runs (manifest: Manifest) (row: TrainRow) =
    let methods = dict manifest.Methods.Items
    let adapters = dict manifest.Adapters.Items
    let seeds = row.Seeds |> Option.defaultValue manifest.Seeds

    let variantsOf (adapter: string option) =
        match adapter |> Option.map adapters.TryGetValue with
        | Some(true, found) -> Options.variantCount (Adapter.settings found)
        | _ -> 1.0

    let stage (axis: string option) (stage: Stage) =
        match methods.TryGetValue stage.Method with
        | true, method ->
            let adapter = stage.Adapter |> Option.orElse axis |> Option.orElse method.Adapter
            let grids = method.Entries |> List.map gridSize |> List.fold (*) 1.0
            grids * variantsOf adapter
        | _ -> 1.0

    let chains =
        row.Adapters
        |> List.sumBy (fun axis ->
            row.Chains
            |> List.sumBy (fun chain -> chain |> List.map (stage axis) |> List.fold (*) 1.0))

    float row.Models.Length
    * float row.Datasets.Length
    * float seeds.Length
    * chains

let private size context (manifest: Manifest) =
    let mutable total = 0.0

    for row in manifest.Train do
        total <- total + runs manifest row

        if total > maxRuns then
            context.Faults.Add(row.Mark, row.Path, $"the rows up to this one make {total} training runs; the limit is {maxRuns}")

/// Adds a fault for everything that is wrong between the manifest's parts.
let all context (manifest: Manifest) =
    dangling context manifest
    twice context (manifest.Train |> List.map (fun row -> row.Name, row.Mark, row.Path)) "row"
    twice context (manifest.Merge |> List.map (fun merge -> merge.Name, merge.Mark, merge.Path)) "merge"
    methods context manifest
    size context manifest
    trackers context manifest

    for row in manifest.Train do
        stages context manifest row
