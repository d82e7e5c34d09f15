// BeaverTails' comparisons in the schema of PKU-SafeRLHF (Ji et al. 2023, arXiv 2307.04657): a prompt, two responses, whether each is
// safe, which one is better and which safer. helpful: every row, the better response chosen. harmless: rows in which one response is
// safe and the other is not, by one of three readings of that rule.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Data.Files;

namespace PeftAlign.Data;

/// <summary>Options of beavertails.</summary>
public sealed class BeaverTailsOptions
{
    /// <summary>A file of rows (.jsonl or .json, .gz or not), or a folder with a file for each split.</summary>
    [OptionNames("path")]
    public string? Path { get; set; }

    /// <summary>helpful: the better response is chosen; harmless: the safe one, of rows where one is safe and one is not.</summary>
    [OptionChoices("helpful", "harmless")]
    public string Rule { get; set; } = "helpful";

    /// <summary>Which rows harmless takes: one_safe (exactly one is safe), better_safe (that one is the better too), first_safe (it is the first).</summary>
    [OptionChoices("one_safe", "better_safe", "first_safe")]
    [OptionOnlyWith("rule", "harmless")]
    public string SafePairs { get; set; } = "one_safe";

    /// <summary>messages: conversations for a chat template; text: prompt and responses as they are.</summary>
    [OptionChoices("messages", "text")]
    public string Format { get; set; } = "messages";
}

internal sealed class BeaverTailsReader(BeaverTailsOptions options, ILogger? logger) : IDatasetReader
{
    public IEnumerable<DataRecord> Read(string? split) => Rows(RowFiles.Find("beavertails", options.Path, split));

    private IEnumerable<DataRecord> Rows(string file)
    {
        var (rows, taken) = (0, 0);
        foreach (var source in RowFiles.Read(file))
        {
            rows++;
            if (Chosen(source) is not { } chosen) continue;
            var (good, bad) = (source.Text($"response_{chosen}"), source.Text($"response_{1 - chosen}"));
            if (good.Trim().Length == 0 || bad.Trim().Length == 0 || good == bad) continue;
            taken++;
            yield return source with { Fields = Pair(source.Text("prompt"), good, bad) };
        }
        logger?.LogInformation("{File}: {Rows} rows, {Taken} taken by the rule {Rule}", file, rows, taken, options.Rule);
    }

    // The number of the chosen response; null where the rule does not take the row.
    private int? Chosen(DataRecord row)
    {
        var better = Id(row, "better_response_id");
        if (options.Rule == "helpful") return better;
        var (first, second) = (Safe(row, 0), Safe(row, 1));
        if (first == second) return null;
        var safe = first ? 0 : 1;
        return options.SafePairs switch
        {
            "better_safe" => safe == better ? safe : null,
            "first_safe" => safe == 0 ? 0 : null,
            _ => safe,
        };
    }

    private JsonObject Pair(string prompt, string good, string bad) => options.Format == "messages"
        ? Conversations.Pair(new JsonArray(Conversations.Message("user", prompt)), good, bad)
        : new JsonObject { ["prompt"] = prompt, ["completion"] = good, ["chosen"] = good, ["rejected"] = bad };

    private static bool Safe(DataRecord row, int response)
    {
        var name = $"is_response_{response}_safe";
        return row.Fields[name] is JsonValue value && value.TryGetValue<bool>(out var safe) ? safe : throw row.Wrong(name, "true or false");
    }

    private static int Id(DataRecord row, string name) =>
        row.Fields[name] is JsonValue value && value.TryGetValue<int>(out var id) && id is 0 or 1 ? (int)row.Fields[name]! : throw row.Wrong(name, "0 or 1");
}
