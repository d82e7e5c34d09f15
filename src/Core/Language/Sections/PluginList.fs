// The `plugins` section: which plugins a manifest may use: an id, { id, version: '>=1.2 <2' }, { path } or { file }.
// With the section only those listed are known; without it the product's own and no others.
module internal PeftAlign.Core.Language.PluginList

open System
open System.Globalization
open System.Numerics
open System.Text.RegularExpressions
open PeftAlign.Core
open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records

/// Compares "1.2" with "1.10.3" part by part, missing parts being 0; what follows '-' or '+' is left out. Parts of any length.
let compareVersions (a: string) (b: string) =
    let parts (version: string) =
        (version.Split([| '-'; '+' |])[0]).Split '.'
        |> Array.map (fun part ->
            match BigInteger.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture) with
            | true, value -> value
            | _ -> BigInteger.Zero)

    let a, b = parts a, parts b

    let at (version: BigInteger[]) i =
        if i < version.Length then version[i] else BigInteger.Zero

    seq { 0 .. max a.Length b.Length - 1 }
    |> Seq.map (fun i -> compare (at a i) (at b i))
    |> Seq.tryFind ((<>) 0)
    |> Option.defaultValue 0

let private comparator =
    Regex(@"\A(?<operator>>=|<=|>|<|=|)(?<version>[0-9]+(\.[0-9]+)*([-+][0-9A-Za-z.+\-]*)?)\z", RegexOptions.CultureInvariant)

/// Whether the version satisfies every comparator of a range such as ">=1.2 <2"; None where the range is not one.
let satisfies (range: string) (version: string) =
    let one (text: string) =
        let found = comparator.Match text

        if not found.Success then
            None
        else
            let order = compareVersions version found.Groups["version"].Value

            match found.Groups["operator"].Value with
            | ">=" -> Some(order >= 0)
            | "<=" -> Some(order <= 0)
            | ">" -> Some(order > 0)
            | "<" -> Some(order < 0)
            | _ -> Some(order = 0)

    let parts = range.Split(' ', StringSplitOptions.RemoveEmptyEntries) |> Array.map one

    if parts.Length = 0 || parts |> Array.exists Option.isNone then
        None
    else
        Some(parts |> Array.forall Option.get)

let private detailed: Reader<PluginEntry> =
    let byId =
        record (
            fields {
                let! id = required "id" "The plugin's id." (filled AnyText)

                and! version =
                    withDefault "version" "Accepted versions, such as '>=1.2 <2'." "" (filled AnyText)

                return ById(id, version)
            }
        )

    let byPath =
        record (
            fields {
                let! path = required "path" "A built plugin's folder." (filled FilePath)
                return ByPath path
            }
        )

    let byFile =
        record (
            fields {
                let! file = required "file" "A packed plugin." (filled FilePath)
                return ByFile file
            }
        )

    byLook (Either [ byId.Shape; byPath.Shape; byFile.Shape ]) (fun node ->
        if not node.Body.IsMapping then None
        elif hasKey "path" node then Some byPath
        elif hasKey "file" node then Some byFile
        else Some byId)

let private entry: Reader<PluginEntry * Place> =
    let id = filled AnyText |> map (fun id -> ById(id, ""))

    byLook (Either [ id.Shape; detailed.Shape ]) (fun node -> if node.Body.IsMapping then Some detailed else Some id)
    |> marked

let reader: Reader<(PluginEntry * Place) list * bool> = Parts.rows entry

let private isEngine (plugin: PluginSchema) = plugin.Id = ""

/// The installed plugin that an entry means; None, with a fault, where there is none or not of the version asked for.
let private find (faults: Faults) (all: PluginSchema list) (entry, mark) =
    let missing message =
        faults.Add(mark, "plugins", message)
        None

    match entry with
    | ById(name, range) ->
        match all |> List.tryFind (fun plugin -> plugin.Id = name && plugin.Source = "") with
        | None ->
            let names =
                all |> List.filter (fun plugin -> not (isEngine plugin)) |> List.map _.Id

            let elsewhere =
                match Suggest.nearest names name with
                | Some _ -> ""
                | None ->
                    "; give the folder that it lies in by --plugins DIR, or write { path: FOLDER } or { file: FILE } in its place"

            missing $"no plugin '{name}' is installed{elsewhere}{Suggest.hint names name}"
        | Some plugin when range <> "" ->
            match satisfies range plugin.Version with
            | Some true -> Some plugin
            | Some false -> missing $"plugin '{name}' has version {plugin.Version}; the manifest asks for {range}"
            | None -> missing $"'{range}' is no range of versions; write it like '>=1.2 <2'"
        | found -> found
    | ByPath place
    | ByFile place ->
        match all |> List.tryFind (fun plugin -> plugin.Source = place) with
        | None -> missing $"the plugin at '{place}' could not be loaded"
        | found -> found

/// The plugins of the entries. One id is one plugin: names like id/name must mean one thing.
let private listed (faults: Faults) (all: PluginSchema list) (entries: (PluginEntry * Place) list) =
    let add (admitted: PluginSchema list) (entry, mark) =
        match find faults all (entry, mark) with
        | None -> admitted
        | Some plugin ->
            match admitted |> List.tryFind (fun other -> other.Id = plugin.Id) with
            | None -> admitted @ [ plugin ]
            | Some other when other.Source = plugin.Source -> admitted
            | Some _ ->
                faults.Add(
                    mark,
                    "plugins",
                    $"plugin '{plugin.Id}' is listed already, from another place; keep one of the entries"
                )

                admitted

    entries |> List.fold add []

/// Faults where a plugin describes an option that the language cannot read.
let private checkOptions (faults: Faults) (plugin: PluginSchema) =
    for contract in plugin.Provides do
        for option in contract.Options do
            try
                Shape.ofOption option |> ignore
                Options.defaultOf option |> ignore
            with :? ArgumentException as error ->
                faults.Add(
                    Place.none,
                    "plugins",
                    $"plugin '{plugin.Id}' describes its {contract.Kind} '{contract.Name}' wrongly: {error.Message}"
                )

/// The plugins that the section lets in; what is not there, or not of the version asked for, is a fault.
let admit (faults: Faults) (catalogue: Catalogue) (section: (PluginEntry * Place) list option) : Known =
    let all = Whole.plugins catalogue

    let admitted =
        match section with
        | Some entries -> (all |> List.filter isEngine) @ listed faults all entries
        | None ->
            all
            |> List.filter (fun plugin -> isEngine plugin || plugin.IsProduct && plugin.Source = "")

    let named =
        [
            for entry, _ in Option.defaultValue [] section do
                match entry with
                | ById(name, _) -> name
                | _ -> ()
        ]

    // Not those that are listed already, and are at fault.
    let others =
        all
        |> List.filter (fun plugin ->
            plugin.Source = ""
            && not (isEngine plugin)
            && not (List.contains plugin.Id named)
            && admitted |> List.forall (fun other -> other.Id <> plugin.Id))

    admitted |> List.iter (checkOptions faults)
    Known(admitted, others)
