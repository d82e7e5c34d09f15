// The comparisons of OpenAI's "Learning to summarize from human feedback" (Stiennon et al. 2020, arXiv 2009.01325): a Reddit post, two
// summaries and the labeller's choice. The published files are JSON lines with the fields info (post, title, subreddit), summaries (two
// texts), choice (0 or 1) and split (train, valid1, valid2). Comparisons of news articles, which have no post, are left out and counted.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Data.Files;

namespace PeftAlign.Data;

/// <summary>Options of tldr.</summary>
public sealed class TldrOptions
{
    /// <summary>A file of comparisons, or a folder of such files (comparisons/batch3.json ...).</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>messages: the post as a user's message; text: the prompt that ends in TL;DR:, and summaries behind it.</summary>
    [OptionChoices("messages", "text")]
    public string Format { get; set; } = "messages";
}

internal sealed class TldrReader(TldrOptions options, ILogger? logger) : IDatasetReader
{
    private static readonly string[] Validation = ["valid1", "valid2"];

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not (null or "train" or "validation" or "valid1" or "valid2"))
            throw new UserErrorException($"Reader tldr has the splits train, validation, valid1 and valid2, not '{split}'.");
        return RowFiles.All("tldr", options.Path).SelectMany(file => Rows(file, split ?? "train"));
    }

    private IEnumerable<DataRecord> Rows(string file, string split)
    {
        var (rows, articles, dropped) = (0, 0, 0);
        foreach (var source in RowFiles.Read(file))
        {
            var own = source.Text("split");
            if (own != split && !(split == "validation" && Validation.Contains(own))) continue;
            rows++;
            var info = source.Fields["info"] as JsonObject ?? throw source.Wrong("info", "an object with post, title and subreddit");
            if (Text(info["post"]) is not { Length: > 0 } post) articles++;
            else if (Pair(source, info, post) is { } pair) yield return source with { Fields = pair };
            else dropped++;
        }
        logger?.LogInformation("{File}: {Rows} rows of {Split}; {Articles} without a post and {Dropped} with an empty or two equal summaries were left out", file, rows, split, articles, dropped);
    }

    private JsonObject? Pair(DataRecord row, JsonObject info, string post)
    {
        if (row.Fields["summaries"] is not JsonArray { Count: 2 } summaries || summaries.Any(s => Text(s?["text"]) is null)) throw row.Wrong("summaries", "two summaries with a text each");
        if (row.Fields["choice"] is not JsonValue value || !value.TryGetValue<int>(out var choice) || choice is not (0 or 1)) throw row.Wrong("choice", "0 or 1");
        var (chosen, rejected) = (Text(summaries[choice]!["text"])!.Trim(), Text(summaries[1 - choice]!["text"])!.Trim());
        if (chosen.Length == 0 || rejected.Length == 0 || chosen == rejected) return null;
        var prompt = $"SUBREDDIT: r/{Text(info["subreddit"])}\n\nTITLE: {Text(info["title"])}\n\nPOST: {post}\n\nTL;DR:";
        return Conversations.Pair(options.Format, prompt, " " + chosen, " " + rejected);
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
