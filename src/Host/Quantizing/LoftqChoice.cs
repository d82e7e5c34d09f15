// LoftQ as `quantize` takes it: the adapter of the pair, by the names that PEFT has for it. The plugin lora makes it.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Quantizing;

/// <summary>The options of quantize for a base with an adapter that makes up for what is lost.</summary>
internal sealed class LoftqChoice
{
    /// <summary>Where the adapter lies in the base's folder, as PEFT's own script has it.</summary>
    internal const string Folder = "loftq_init";

    private readonly Option<int?> rank = new("--loftq-rank") { HelpName = "R", Description = "Write the 4-bit base of LoftQ and, in loftq_init, the adapter of this rank that belongs to it." };
    private readonly Option<int> iterations = new("--loftq-iter") { HelpName = "N", DefaultValueFactory = _ => 1, Description = "How many times base and adapter are computed in turn; with 1 the base is plain." };
    private readonly Option<double?> alpha = new("--loftq-alpha") { HelpName = "A", Description = "The adapter's alpha (default: its rank); the product is the same with any." };
    private readonly Option<string> targets = new("--loftq-targets") { HelpName = "T,T,...", DefaultValueFactory = _ => "all-linear", Description = "Modules of the adapter: names, suffixes, one regular expression, or all-linear." };

    internal IReadOnlyList<Option> Options => [rank, iterations, alpha, targets];

    /// <summary>Turns.</summary>
    internal int Iterations(ParseResult parsed) => parsed.GetValue(iterations) is >= 1 and var turns ? turns : throw new UserError($"{iterations.Name} {parsed.GetValue(iterations)}", "is no number of turns", "give a whole number from 1");

    /// <summary>The adapter; null where none is asked for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="plugins">What is installed.</param>
    /// <param name="kept">Linear layers that are not quantised, which the adapter leaves alone.</param>
    /// <exception cref="UserErrorException">An option is wrong, or stands without --loftq-rank.</exception>
    internal IPeftAdapter? Make(ParseResult parsed, PluginCatalogue plugins, IReadOnlyList<string> kept)
    {
        if (parsed.GetValue(rank) is not { } size)
        {
            if (Options.Skip(1).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } alone)
                throw new UserError(alone.Name, $"goes with {rank.Name}", $"add {rank.Name} R, or leave {alone.Name} out");
            return null;
        }
        if (size < 1) throw new UserError($"{rank.Name} {size}", "is no rank", "give a whole number from 1");
        static JsonArray Texts(IEnumerable<string> texts) => [.. texts.Select(text => (JsonNode)text)];
        var modules = parsed.GetValue(targets)!.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (modules.Length == 0) throw new UserError($"{targets.Name} {parsed.GetValue(targets)}", "names no module", "name at least one, or leave it out for all-linear");
        var options = new JsonObject
        {
            ["rank"] = size,
            ["alpha"] = parsed.GetValue(alpha) ?? size,
            ["init"] = "loftq",
            ["targets"] = Texts(modules),
            ["exclude_modules"] = Texts(kept),
        };
        return plugins.Create<IPeftAdapter>("lora", options, new BareContext());
    }
}
