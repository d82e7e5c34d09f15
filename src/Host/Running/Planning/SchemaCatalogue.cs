// What plugin.json files say of options, as the experiment language reads it.

using System.Globalization;
using PeftAlign.Core;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;
using Language = PeftAlign.Core;

namespace PeftAlign.Host.Running;

/// <param name="Folder">A plugin on disk.</param>
/// <param name="Source">The manifest's own path for it; empty for plugins found by search.</param>
internal sealed record KnownPlugin(PluginFolder Folder, string Source);

internal static class SchemaCatalogue
{
    /// <summary>Version of the engine's numbers, by kind of job: raised whenever the same plan gives other results.</summary>
    private static readonly (string Job, int ResultVersion)[] Engine = [("make-model", 1), ("make-dataset", 7), ("reference", 8), ("train", 15), ("select", 1), ("merge", 6), ("evaluate", 12)];

    /// <summary>Version of the numbers of a kind of job.</summary>
    internal static int VersionOf(string job) => Array.Find(Engine, e => e.Job == job).ResultVersion;

    internal static Catalogue Of(IEnumerable<KnownPlugin> plugins) => new()
    {
        Plugins =
        [
            new PluginSchema { Id = "", Version = "", IsProduct = true, Source = "", Folder = "", Provides = [.. Engine.Select(e => Contract("engine", e.Job, e.ResultVersion, [], "")), .. Architectures] },
            .. plugins.Select(p => new PluginSchema
            {
                Id = p.Folder.Manifest.Id,
                Version = p.Folder.Manifest.Version,
                IsProduct = p.Folder.Origin == PluginOrigin.Product,
                Source = p.Source,
                Folder = p.Folder.Path,
                Provides = [.. p.Folder.Manifest.Provides.Select(c => Contract(c))],
            }),
        ],
    };

    // The architectures that `init` can make; their options are keys of config.json.
    private static IEnumerable<ContractSchema> Architectures => ModelArchitectures.BuiltIn.NamesToMake.Select(name =>
    {
        var architecture = ModelArchitectures.BuiltIn.Find(name);
        var options = architecture.InitOptions.Select(o => new Language.OptionSchema { Name = o.Name, Type = o.Type, Default = o.Default, Range = o.Range, Choices = [], Aliases = [], Docs = o.Docs });
        return Contract("architecture", name, 1, options, architecture.ClassName);
    });

    private static ContractSchema Contract(string kind, string name, int resultVersion, IEnumerable<Language.OptionSchema> options, string docs) =>
        new() { Kind = kind, Name = name, ResultVersion = resultVersion, Options = [.. options], Alias = "", Inputs = "", Traits = [], Docs = docs };

    private static ContractSchema Contract(ProvidedContract c)
    {
        var contract = Contract(c.Kind, c.Name, c.ResultVersion, c.Options.Options.Select(Option), c.Docs);
        (contract.Alias, contract.Inputs, contract.Traits) = (c.Alias, c.Inputs, [.. c.Traits]);
        return contract;
    }

    private static Language.OptionSchema Option(Plugins.OptionSchema option) => new()
    {
        Name = option.Name,
        Type = TypeOf(option.Type, option.Names),
        Required = option.Required,
        Filled = option.Filled,
        Recorded = option.Recorded,
        OnlyWith = option.OnlyWith,
        PerModel = option.PerModel,
        Default = option.Default is null ? null : option.Default.ToJsonString(),
        Range = RangeOf(option),
        Choices = [.. option.Choices],
        Aliases = [.. option.Aliases],
        Docs = option.Docs,
    };

    // What an option names, each item of a list and each value of a map names.
    private static string TypeOf(OptionType type, string names) => type.Kind switch
    {
        OptionKind.List => $"{TypeOf(type.Element!, names)}|{TypeOf(type.Element!, names)}[]",
        OptionKind.Map => $"{{{TypeOf(type.Element!, names)}}}",
        _ when names.Length > 0 => names,
        OptionKind.Bool => "boolean",
        OptionKind.Int or OptionKind.Long => "integer",
        OptionKind.Double => "number",
        OptionKind.String => "string",
        OptionKind.Dataset => "dataset",
        OptionKind.Model => "model",
        OptionKind.Judge => "judge",
        _ => "any",
    };

    // Interval notation: "[1,)", "(0,1]"; empty where there is no limit.
    private static string RangeOf(Plugins.OptionSchema option)
    {
        if (option.Minimum is null && option.Maximum is null) return "";
        static string Number(double? limit) => limit is { } value && double.IsFinite(value) ? value.ToString("R", CultureInfo.InvariantCulture) : "";
        var (low, high) = (Number(option.Minimum), Number(option.Maximum));
        return $"{(low.Length == 0 || option.ExclusiveMinimum ? '(' : '[')}{low},{high}{(high.Length == 0 || option.ExclusiveMaximum ? ')' : ']')}";
    }
}
