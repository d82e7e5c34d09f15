// What is known when a manifest is read: the plugins and the contracts that they provide, as plugin.json lists them. Plain
// records with settable properties, so that C# fills them by name and a JSON reader fills them from plugin.json.
namespace PeftAlign.Core

open System
open System.Collections.Generic

/// <summary>One option of a contract.</summary>
/// <remarks><para>Type is one of string, integer, number, boolean, path (hashed by its content), any, or the name of a thing that
/// the manifest declares: model, dataset, judge. T[] is a list, {T} a mapping from names, T|T[] a choice.</para>
/// <para>Default is JSON text, or null for none; Range is like "[0,1]", "(0,)" or "" for numbers; Choices are the allowed texts,
/// ChoiceAliases other spellings of them, each like "adamw_torch=adamw".</para>
/// <para>Filled lists hold something where they are given.</para>
/// <para>Recorded options cannot change a result (how often to save): they are left out of a job's identity.</para>
/// <para>OnlyWith: another option and the values with which this one means something, like "loss_type=sft|dft", a bound
/// like "temperature=>0", or just another option's name; "" for always. Giving it
/// with another value is an error.</para>
/// <para>PerModel options of a merge strategy have one value for all models, or a list with one for each.</para></remarks>
[<CLIMutable; NoComparison>]
type OptionSchema =
    {
        Name: string
        Type: string
        Default: string | null
        Range: string
        Choices: IReadOnlyList<string>
        ChoiceAliases: IReadOnlyList<string>
        Aliases: IReadOnlyList<string>
        Required: bool
        Filled: bool
        Recorded: bool
        OnlyWith: string
        PerModel: bool
        Docs: string
    }

/// <summary>One thing that a plugin provides.</summary>
/// <remarks><para>Kind: method, adapter, quantization, merge, benchmark, judge, reader, architecture, tracker; or engine, by which the host
/// states the ResultVersion of a kind of job ("train", "merge" ...).</para>
/// <para>Alias is empty, or JSON of what the name stands for, such as {"type":"lora","quantization":"nf4"}.</para>
/// <para>Inputs: for merge strategies, how many models they take, like "[2,2]" or "[1,)"; else "".</para>
/// <para>Traits: "reference" on a method that compares with a reference policy, "controls" on one whose policies are asked under controls,
/// "scores" on one that trains a score head, whose rows are not cut, "control-adapters" on one whose policies end with it, "packs" on one that packs rows, "tokens" on one that adds tokens to the
/// vocabulary; "no-weights" on an adapter that weights cannot hold, "own-start" on one that changes the policy before it is trained; "speaks" on a judge that is a language model; "column:NAME" on what
/// reads a field of rows of its own.</para></remarks>
[<CLIMutable; NoComparison>]
type ContractSchema =
    {
        Kind: string
        Name: string
        ResultVersion: int
        Options: IReadOnlyList<OptionSchema>
        Alias: string
        Inputs: string
        Traits: IReadOnlyList<string>
        Docs: string
    }

/// <summary>A plugin. Id is empty for what the engine itself provides, which every manifest knows.</summary>
/// <remarks>IsProduct: known without being listed. Source: the path or file text of the manifest's own plugin entry
/// that brought it, else empty. Folder: where it lies, for messages; may be empty.</remarks>
[<CLIMutable; NoComparison>]
type PluginSchema =
    {
        Id: string
        Version: string
        IsProduct: bool
        Source: string
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

/// The part of the catalogue that one manifest may use; its plugins are whole.
type internal Known(plugins: PluginSchema list) =
    // Trackers that people ask for by name and that no version has yet.
    static let plannedTrackers = [ "tensorboard"; "mlflow"; "wandb" ]

    let contracts =
        [
            for plugin in plugins do
                for schema in plugin.Provides do
                    { Plugin = plugin; Schema = schema }
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

    /// By name or plugin/name; an unknown name or a clash is told in words.
    member known.Find(kind: string, name: string) : Result<Contract, string> =
        let matching =
            known.OfKind kind
            |> List.filter (fun contract -> contract.Schema.Name = name || contract.Name = name)

        match matching with
        | [ one ] -> Ok one
        | [] when kind = "tracker" && List.contains name plannedTrackers ->
            Error
                $"tracker '{name}' is not built yet in this version; leave it out, or name a plugin's{Suggest.hint (known.Names kind) name}"
        | [] -> Error $"no {kind} '{name}' is provided by the plugins of this manifest{Suggest.hint (known.Names kind) name}"
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
