// The flags of `train METHOD`: the method's and the adapter's options from plugin.json, the loop's from the experiment
// language. No assembly is loaded, so a third party's method has flags and help too. learning_rate is --learning-rate;
// --learning_rate and the peers' spellings are taken as well.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Plugins;
using OptionSchema = PeftAlign.Plugins.OptionSchema;

namespace PeftAlign.Host.SingleTraining;

/// <summary>One flag.</summary>
/// <param name="Name">Without dashes: learning-rate.</param>
/// <param name="Section">Where a manifest has it: method or adapter.</param>
/// <param name="Schema">What it is.</param>
internal sealed record TrainFlag(string Name, string Section, OptionSchema Schema)
{
    /// <summary>False for what the experiment language knows and this version refuses: taken, so that the refusal says so, and not in the help.</summary>
    internal bool IsBuilt { get; init; } = true;

    /// <summary>Whether the folder of --init-adapter decides it: an adapter's own options but dropout, and not those of the base's quantisation.</summary>
    internal bool IsOfFolder { get; init; }

    /// <summary>The line of the help behind the name.</summary>
    internal string Help
    {
        get
        {
            var choices = Schema.Choices.Count > 0 ? $"One of {string.Join(", ", Schema.Choices)}." : "";
            var limits = Schema.RangeText == "" ? "" : $"{char.ToUpperInvariant(Schema.RangeText[0])}{Schema.RangeText[1..]}.";
            var only = Schema.OnlyWith == "" ? "" : $"Only with {Schema.OnlyWith.Replace("=", " ").Replace("|", " or ")}.";
            var standard = Schema.Default is null ? "" : $"Default {(Schema.Default is JsonValue v && v.TryGetValue<string>(out var text) ? text : Schema.Default.ToJsonString())}.";
            var also = Schema.Aliases.Count == 0 ? "" : $"Also --{string.Join(", --", Schema.Aliases)}.";
            return string.Join(' ', new[] { Schema.Docs, choices, limits, only, standard, also }.Where(part => part != ""));
        }
    }
}

/// <summary>What may be given for a method and an adapter.</summary>
/// <param name="All">Every flag: the method's own, the loop's, the adapter's.</param>
internal sealed record TrainFlags(IReadOnlyList<TrainFlag> All)
{
    /// <summary>Options of the loop that say which policy is the reference: for methods that have one.</summary>
    private static readonly string[] OfReference = ["reference", "precompute_reference"];

    /// <summary>Options of the loop that cut rows: refused where a method scores them.</summary>
    private static readonly string[] OfCuts = ["max_prompt_length", "truncation"];

    /// <summary>Options of the loop that pack rows: refused of the product's methods that do not.</summary>
    private static readonly string[] OfPacks = ["packing", "packing_strategy", "eval_packing"];

    /// <summary>Names that the command itself has, which no other spelling of an option means.</summary>
    private IReadOnlyList<string> Taken { get; init; } = [];

    /// <summary>The flags of a method and an adapter.</summary>
    /// <param name="plugins">Everything on the search path.</param>
    /// <param name="method">A method's name.</param>
    /// <param name="adapter">An adapter's name; null for none.</param>
    /// <param name="quantization">A quantisation's name; null for none.</param>
    /// <param name="taken">Names that the command itself has; empty where there is none.</param>
    /// <exception cref="PluginException">There is no such method or adapter.</exception>
    internal static TrainFlags Of(PluginCatalogue plugins, string method, string? adapter, string? quantization, params IReadOnlyList<string> taken)
    {
        var (plugin, contract) = plugins.Find("method", method);
        var own = Meant(plugins, "method", contract).Options.Options;
        var loop = Manifests.TrainingOptions.Where(o => own.All(mine => mine.Name != o.Name) && (contract.Traits.Contains("reference") || !OfReference.Contains(o.Name))).Select(Schema).ToList();
        var ofAdapter = adapter is null ? [] : Meant(plugins, "adapter", plugins.Find("adapter", adapter).Contract).Options.Options;
        var over = quantization ?? (adapter is null ? null : (string?)Alias(plugins.Find("adapter", adapter).Contract)?["quantization"]);
        var ofQuantization = over is null ? [] : plugins.Find("quantization", over).Contract.Options.Options.Where(q => ofAdapter.All(mine => mine.Name != q.Name));
        var all = own.Select(o => new TrainFlag(Dashed(o.Name), "method", o)).Concat(loop.Select(Loop))
            .Concat(ofAdapter.Select(o => new TrainFlag(Dashed(o.Name), "adapter", o) { IsOfFolder = o.Name != "dropout" })).Concat(ofQuantization.Select(o => new TrainFlag(Dashed(o.Name), "adapter", o))).ToList();
        // A name that both have, or the command, is neither's: each is written with its owner.
        return new TrainFlags([.. all.Select(f => all.Count(other => other.Name == f.Name) > 1 || taken.Contains(f.Name) ? f with { Name = $"{f.Section}-{f.Name}" } : f)]) { Taken = taken };

        TrainFlag Loop(OptionSchema option)
        {
            var flag = BuiltOption.Flag(Dashed(option.Name), option, loop);
            var refused = (contract.Traits.Contains("scores") && OfCuts.Contains(option.Name))
                || (plugin.Origin == PluginOrigin.Product && !contract.Traits.Contains("packs") && OfPacks.Contains(option.Name));
            return refused ? flag with { IsBuilt = false } : flag;
        }
    }

    /// <summary>The arguments with every known flag under its own name: --lora_alpha 16 becomes --alpha 16.</summary>
    internal string[] Normal(IEnumerable<string> args) => [.. args.Select(Normal)];

    private string Normal(string argument)
    {
        if (!argument.StartsWith("--", StringComparison.Ordinal) || argument.Length < 3) return argument;
        var parts = argument[2..].Split('=', 2);
        var name = Dashed(parts[0]);
        var known = All.FirstOrDefault(f => f.Name == name) ?? All.FirstOrDefault(f => f.Schema.Aliases.Any(a => Dashed(a) == name));
        if (known is null || Taken.Contains(name)) return argument;
        return "--" + known.Name + (parts.Length > 1 ? "=" + parts[1] : "");
    }

    internal static string Dashed(string name) => name.Replace('_', '-');

    // qlora means lora with some options fixed; what is meant has the options.
    private static ProvidedContract Meant(PluginCatalogue plugins, string kind, ProvidedContract contract) =>
        (string?)Alias(contract)?["type"] is { } type ? plugins.Find(kind, type).Contract : contract;

    private static JsonObject? Alias(ProvidedContract contract) => contract.Alias == "" ? null : JsonNode.Parse(contract.Alias) as JsonObject;

    // The loop's options in the words of plugins, so that one help and one reading of texts serves both.
    private static OptionSchema Schema(Core.OptionSchema option)
    {
        var (low, high) = option.Range.Length == 0 ? ("", "") : (option.Range[1..^1].Split(',')[0], option.Range[1..^1].Split(',')[1]);
        static double? Limit(string text) => text == "" ? null : double.Parse(text, CultureInfo.InvariantCulture);
        return new OptionSchema(option.Name, TypeOf(option.Type), option.Default is null ? null : JsonNode.Parse(option.Default))
        {
            Minimum = Limit(low),
            Maximum = Limit(high),
            ExclusiveMinimum = option.Range.StartsWith('(') && low != "",
            ExclusiveMaximum = option.Range.EndsWith(')') && high != "",
            Choices = option.Choices,
            Aliases = option.Aliases,
            Names = option.Type is "path" or "dataset" ? option.Type : "",
            OnlyWith = option.OnlyWith ?? "",
            Docs = option.Docs ?? "",
        };
    }

    private static OptionType TypeOf(string type) => new(type switch
    {
        "number" => OptionKind.Double,
        "integer" => OptionKind.Long,
        "boolean" => OptionKind.Bool,
        _ => OptionKind.String,
    });
}
