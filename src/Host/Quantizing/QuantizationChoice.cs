// A quantisation and its options as commands take them: the plugin's schema gives ranges and messages.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Quantizing;

/// <summary>The options of a command that quantises.</summary>
/// <param name="type">--type or --quantization.</param>
/// <param name="standard">Its default; null for none.</param>
/// <param name="description">What the type is for; null = what is quantised is the base.</param>
internal sealed class QuantizationChoice(string type, string? standard, string? description = null)
{
    private readonly Option<string?> type = new(type) { HelpName = "TYPE", Description = description ?? (standard is null ? "Quantise the base first: nf4, fp4, or a plugin's." : "nf4, fp4, or a plugin's."), DefaultValueFactory = _ => standard };
    private readonly Option<bool> doubleQuant = new("--double-quant") { Description = "Quantise the blocks' factors too, to 8 bits." };
    private readonly Option<int> blocksize = new("--blocksize") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "Values that share a factor: 32, 64 ... 4096." };
    private readonly Option<string?> skip = new("--skip") { HelpName = "M,M,...", Description = "Linear layers to leave as they are: whole names, dotted beginnings or suffixes." };

    internal IReadOnlyList<Option> Options => [type, doubleQuant, blocksize, skip];

    /// <summary>The type that is asked for; null for none.</summary>
    internal string? Type(ParseResult parsed) => parsed.GetValue(type);

    /// <summary>What is skipped.</summary>
    internal IReadOnlyList<string> Skipped(ParseResult parsed) => [.. (parsed.GetValue(skip) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)];

    /// <summary>The quantisation; null where none is asked for.</summary>
    /// <param name="parsed">The command.</param>
    /// <param name="plugins">Where it is found.</param>
    /// <param name="isMade">Whether the folder that it is for is quantised already: it stays as it is, and what is not given asks for nothing else.</param>
    /// <exception cref="UserErrorException">There is none of that name, or an option is wrong.</exception>
    internal IQuantization? Make(ParseResult parsed, PluginCatalogue plugins, bool isMade = false)
    {
        if (parsed.GetValue(type) is not { } name)
        {
            ThrowIfGiven(parsed);
            return null;
        }
        // Another format need not have all of them: options that were not given are left out, and the format itself refuses those that it does not know.
        var known = plugins.Find("quantization", name).Contract.Options.Options.Select(option => option.Name).ToHashSet();
        var options = new JsonObject();
        if (Asked("double_quant", doubleQuant)) options["double_quant"] = parsed.GetValue(doubleQuant);
        if (Asked("blocksize", blocksize)) options["blocksize"] = parsed.GetValue(blocksize);
        if (Asked("skip", skip)) options["skip"] = new JsonArray([.. Skipped(parsed).Select(m => (JsonNode)m)]);
        return plugins.Create<IQuantization>(name, options, new BareContext());

        bool Asked(string key, Option option) => (!isMade && known.Contains(key)) || parsed.GetResult(option) is { Implicit: false };
    }

    /// <exception cref="UserError">An option of a quantisation is given without one.</exception>
    internal void ThrowIfGiven(ParseResult parsed)
    {
        if (parsed.GetValue(type) is null && Options.Skip(1).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } alone)
            throw new UserError(alone.Name, $"goes with {type.Name}", $"add {type.Name} nf4, or leave {alone.Name} out");
    }
}
