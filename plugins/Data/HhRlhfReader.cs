// Anthropic's HH-RLHF (Bai et al. 2022, arXiv 2204.05862): pairs of whole dialogues that part at the last answer. The folder is the
// published one: harmless-base/, helpful-base/, helpful-online/ and helpful-rejection-sampled/, each with train and test; together
// they are the 160,800 and 8,552 rows that the hub counts. The prompt is what stands before the last answer; a
// row whose dialogues part earlier keeps the longest common beginning that ends with an answer's header. Rows that do not parse,
// have an empty answer, or two equal ones are dropped and counted in the log.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Data.Files;

namespace PeftAlign.Data;

/// <summary>Options of hh-rlhf.</summary>
public sealed class HhRlhfOptions
{
    /// <summary>The data set's folder, or one of its files.</summary>
    [OptionNames("path")]
    public string? Path { get; set; }

    /// <summary>Of a folder: harmless is harmless-base, helpful is helpful-base, base is both; all adds helpful-online and helpful-rejection-sampled.</summary>
    [OptionChoices("all", "base", "harmless", "helpful")]
    public string Rule { get; set; } = "all";

    /// <summary>messages: conversations for a chat template; text: the dialogue as it is published.</summary>
    [OptionChoices("messages", "text")]
    public string Format { get; set; } = "messages";
}

internal sealed class HhRlhfReader(HhRlhfOptions options, ILogger? logger) : IDatasetReader
{
    private const string Human = "\n\nHuman:";
    private const string Assistant = "\n\nAssistant:";

    private static readonly string[] All = ["harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled"];

    public IEnumerable<DataRecord> Read(string? split)
    {
        var files = Files(split);
        return files.SelectMany(Rows);
    }

    private List<string> Files(string? split)
    {
        if (options.Path is { } path && File.Exists(path))
        {
            if (options.Rule != "all") throw new UserErrorException($"Reader hh-rlhf: rule {options.Rule} chooses a subfolder, but {path} is one file; leave 'rule' out, or give the data set's folder.");
            return [RowFiles.Find("hh-rlhf", path, split)];
        }
        string[] subsets = options.Rule switch { "all" => All, "base" => All[..2], _ => [options.Rule + "-base"] };
        if (options is { Rule: "all", Path: { } folder } && Directory.Exists(folder) && Array.Find(subsets, subset => !Directory.Exists(Path.Combine(folder, subset))) is { } missing)
            throw new UserErrorException($"Reader hh-rlhf: rule all reads {string.Join(", ", All)}, and '{folder}' has no folder {missing}; fetch it, or say rule: base for harmless-base and helpful-base alone.");
        return [.. subsets.Select(subset => RowFiles.Find("hh-rlhf", options.Path is null ? null : Path.Combine(options.Path, subset), split))];
    }

    private IEnumerable<DataRecord> Rows(string file)
    {
        var (rows, dropped) = (0, 0);
        foreach (var source in RowFiles.Read(file))
        {
            rows++;
            if (Pair(source.Text("chosen"), source.Text("rejected")) is { } pair) yield return source with { Fields = pair };
            else dropped++;
        }
        logger?.LogInformation("{File}: {Rows} rows, {Dropped} dropped (no dialogue, an empty answer, or two equal ones)", file, rows, dropped);
    }

    private JsonObject? Pair(string chosen, string rejected)
    {
        var shared = chosen[..chosen.AsSpan().CommonPrefixLength(rejected)];
        var last = chosen.LastIndexOf(Assistant, StringComparison.Ordinal) + Assistant.Length;
        var end = last <= shared.Length ? last : shared.LastIndexOf(Assistant, StringComparison.Ordinal) + Assistant.Length;
        if (end < Assistant.Length) return null;
        var (prompt, good, bad) = (chosen[..end], chosen[end..], rejected[end..]);
        if (good.Trim().Length == 0 || bad.Trim().Length == 0 || good == bad) return null;
        if (options.Format == "text") return new JsonObject { ["prompt"] = prompt, ["completion"] = good, ["chosen"] = good, ["rejected"] = bad };
        return Turns(prompt) is { } turns ? Conversations.Pair(turns, good.Trim(), bad.Trim()) : null;
    }

    // "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:" as messages; null where something stands before the first turn.
    private static JsonArray? Turns(string prompt)
    {
        var turns = new JsonArray();
        for (var at = 0; at < prompt.Length - Assistant.Length;)
        {
            var (human, assistant) = (prompt.AsSpan(at).StartsWith(Human), prompt.AsSpan(at).StartsWith(Assistant));
            if (!human && !assistant) return null;
            var start = at + (human ? Human : Assistant).Length;
            at = Next(prompt, start);
            turns.Add((JsonNode)Conversations.Message(human ? "user" : "assistant", prompt[start..at].Trim()));
        }
        return turns.Count > 0 ? turns : null;
    }

    private static int Next(string text, int from)
    {
        int[] ends = [text.IndexOf(Human, from, StringComparison.Ordinal), text.IndexOf(Assistant, from, StringComparison.Ordinal)];
        return ends.Where(end => end >= 0).DefaultIfEmpty(text.Length).Min();
    }
}
