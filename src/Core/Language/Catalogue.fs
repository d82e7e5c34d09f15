// What is known when a manifest is read: the plugins and the contracts that they provide, as plugin.json lists them. Plain
// records with settable properties, so that C# fills them by name and a JSON reader fills them from plugin.json.
namespace PeftAlign.Core

open System
open System.Collections.Generic

/// <summary>One option of a contract.</summary>
[<CLIMutable; NoComparison>]
type OptionSchema =
    {
        /// In snake_case.
        Name: string
        /// One of string, integer, number, boolean, path (hashed by its content), any, or the name of a thing that the manifest declares:
        /// model, dataset, judge. T[] is a list, {T} a mapping from names, T|T[] a choice.
        Type: string
        /// JSON text, or null for none.
        Default: string | null
        /// For numbers the interval, like "[0,1]" or "(0,)"; "" for none.
        Range: string
        /// The allowed texts; empty for any.
        Choices: IReadOnlyList<string>
        /// Other spellings of Choices, each like "adamw_torch=adamw".
        ChoiceAliases: IReadOnlyList<string>
        /// Other spellings of Name.
        Aliases: IReadOnlyList<string>
        /// Whether it must be given.
        Required: bool
        /// Whether a list that is given must not be empty.
        Filled: bool
        /// Whether it cannot change a result (how often to save), so that it is left out of a job's identity.
        Recorded: bool
        /// Another option and the values with which this one means something, like "loss_type=sft|dft", a bound like "temperature=>0", or
        /// just another option's name; "" for always. Giving it with another value is an error.
        OnlyWith: string
        /// Whether, in a merge strategy, it has one value for all models or a list with one for each.
        PerModel: bool
        /// One or more sentences for help.
        Docs: string
    }

/// <summary>One thing that a plugin provides.</summary>
[<CLIMutable; NoComparison>]
type ContractSchema =
    {
        /// method, adapter, quantization, merge, benchmark, judge, reader, architecture, tracker; or engine, by which the host states the
        /// ResultVersion of a kind of job ("train", "merge" ...).
        Kind: string
        Name: string
        /// Raised by the plugin's author whenever the same options give different numbers.
        ResultVersion: int
        Options: IReadOnlyList<OptionSchema>
        /// JSON of what the name stands for, such as {"type":"lora","quantization":"nf4"}; else empty.
        Alias: string
        /// How many models a merge strategy takes, like "[2,2]" or "[1,)"; "" for other kinds.
        Inputs: string
        /// Facts that planning needs: "reference", "controls", "control-adapters", "scores", "packs" ... ContractTraitsAttribute of
        /// Abstractions lists and explains them.
        Traits: IReadOnlyList<string>
        Docs: string
    }

/// <summary>A plugin.</summary>
[<CLIMutable; NoComparison>]
type PluginSchema =
    {
        /// Empty for what the engine itself provides, which every manifest knows.
        Id: string
        Version: string
        /// Whether it is known without being listed.
        IsProduct: bool
        /// The path or file text of the manifest's own plugin entry that brought it, else empty.
        Source: string
        /// Where it lies, for messages; may be empty.
        Folder: string
        Provides: IReadOnlyList<ContractSchema>
    }

/// <summary>All plugins that could be used.</summary>
[<CLIMutable; NoComparison>]
type Catalogue =
    { Plugins: IReadOnlyList<PluginSchema> }

namespace PeftAlign.Core.Language

open System
open System.Collections.Generic
open PeftAlign.Core

/// A contract together with the plugin that provides it.
type internal Contract =
    {
        Plugin: PluginSchema
        Schema: ContractSchema
    }

    member contract.Name =
        if contract.Plugin.Id = "" then
            contract.Schema.Name
        else
            contract.Plugin.Id + "/" + contract.Schema.Name

/// Records made in C# may leave lists and texts null; these read them as empty.
module internal Given =
    let list (items: IReadOnlyList<'T>) : 'T seq =
        if isNull (box items) then Seq.empty else items

    let text (value: string) =
        if isNull (box value) then "" else value

/// Plugins as written elsewhere, made whole: what was left out is empty.
module internal Whole =
    let private option (schema: OptionSchema) =
        { schema with
            Name = Given.text schema.Name
            Type = Given.text schema.Type
            Range = Given.text schema.Range
            Choices = Given.list schema.Choices |> Array.ofSeq
            ChoiceAliases = Given.list schema.ChoiceAliases |> Array.ofSeq
            Aliases = Given.list schema.Aliases |> Array.ofSeq
            OnlyWith = Given.text schema.OnlyWith
            Docs = Given.text schema.Docs
        }

    let private contract (schema: ContractSchema) =
        { schema with
            Kind = Given.text schema.Kind
            Name = Given.text schema.Name
            Options = Given.list schema.Options |> Seq.map option |> Array.ofSeq
            Alias = Given.text schema.Alias
            Inputs = Given.text schema.Inputs
            Traits = Given.list schema.Traits |> Array.ofSeq
            Docs = Given.text schema.Docs
        }

    let plugin (schema: PluginSchema) =
        { schema with
            Id = Given.text schema.Id
            Version = Given.text schema.Version
            Source = Given.text schema.Source
            Folder = Given.text schema.Folder
            Provides = Given.list schema.Provides |> Seq.map contract |> Array.ofSeq
        }

    let plugins (catalogue: Catalogue) =
        Given.list catalogue.Plugins |> Seq.map plugin |> List.ofSeq

/// The part of the catalogue that one manifest may use; its plugins are whole. The others are there to be named.
type internal Known(plugins: PluginSchema list, ?others: PluginSchema list) =
    // Trackers that people ask for by name and that no version has yet.
    static let plannedTrackers = [ "tensorboard"; "mlflow"; "wandb" ]

    let contracts =
        [
            for plugin in plugins do
                for schema in plugin.Provides do
                    { Plugin = plugin; Schema = schema }
        ]

    // Installed plugins that provide a contract but are not listed in the manifest.
    let unlisted kind name =
        [
            for plugin in defaultArg others [] do
                if
                    plugin.Provides
                    |> Seq.exists (fun schema ->
                        schema.Kind = kind
                        && (schema.Name = name || plugin.Id + "/" + schema.Name = name))
                then
                    plugin.Id
        ]

    let byKind =
        contracts |> List.groupBy (fun contract -> contract.Schema.Kind) |> dict

    member _.OfKind(kind: string) : Contract list =
        match byKind.TryGetValue kind with
        | true, found -> found
        | _ -> []

    /// Names that a manifest may write for this kind.
    member known.Names(kind: string) =
        known.OfKind kind
        |> List.map (fun contract -> contract.Schema.Name)
        |> List.distinct

    /// By name or plugin/name; an unknown name or a clash gives a message.
    member known.Find(kind: string, name: string) : Result<Contract, string> =
        let matching =
            known.OfKind kind
            |> List.filter (fun contract -> contract.Schema.Name = name || contract.Name = name)

        match matching with
        | [ one ] -> Ok one
        | [] when kind = "tracker" && List.contains name plannedTrackers ->
            Error
                $"tracker '{name}' is not built yet in this version; leave it out, or name a plugin's{Suggest.hint (known.Names kind) name}"
        | [] ->
            let hint =
                match unlisted kind name with
                | [] -> Suggest.hint (known.Names kind) name
                | ids -> "; " + String.concat " or " ids + " would, if listed under plugins"

            Error $"no {kind} '{name}' is provided by the plugins of this manifest{hint}"
        | several ->
            let several = several |> List.sortBy _.Name

            let place (contract: Contract) =
                match contract.Plugin.Folder with
                | "" -> contract.Name
                | folder -> $"{contract.Name} in {folder}"

            let names = several |> List.map _.Name |> String.concat " or "
            let places = several |> List.map place |> String.concat " and "
            Error $"several plugins provide the {kind} '{name}': {places}; write {names}"

    /// The engine's own version for a kind of job; 0 where the host states none.
    member known.EngineVersion(job: string) =
        known.OfKind "engine"
        |> List.tryFind (fun contract -> contract.Schema.Name = job)
        |> Option.map (fun contract -> contract.Schema.ResultVersion)
        |> Option.defaultValue 0
