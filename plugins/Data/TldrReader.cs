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

    /// <summary>Of each post the first comparison alone: for prompts that a policy answers, of which a post with five comparisons is one, not five.</summary>
    public bool OnePerPost { get; set; }
}

internal sealed class TldrReader(TldrOptions options, ILogger? logger) : IDatasetReader
{
    private static readonly string[] Validation = ["valid1", "valid2"];

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not (null or "train" or "validation" or "valid1" or "valid2"))
            throw new UserErrorException($"Reader tldr has the splits train, validation, valid1 and valid2, not '{split}'.");
        return Rows(RowFiles.All("tldr", options.Path), split ?? "train");
    }

    // Whoever reads again meets each post anew.
    private IEnumerable<DataRecord> Rows(IReadOnlyList<string> files, string split)
    {
        var posts = new HashSet<string>();
        foreach (var row in files.SelectMany(file => Rows(file, split, posts))) yield return row;
    }

    private IEnumerable<DataRecord> Rows(string file, string split, HashSet<string> posts)
    {
        var (rows, articles, dropped, again) = (0, 0, 0, 0);
        foreach (var source in RowFiles.Read(file))
        {
            var own = source.Text("split");
            if (own != split && !(split == "validation" && Validation.Contains(own))) continue;
            rows++;
            var info = source.Fields["info"] as JsonObject ?? throw source.Wrong("info", "an object with post, title and subreddit");
            if (Text(info["post"]) is not { Length: > 0 } post) articles++;
            else if (Pair(source, info, post) is not { } pair) dropped++;
            else if (options.OnePerPost && !posts.Add(post)) again++;
            else yield return source with { Fields = pair };
        }
        logger?.LogInformation("{File}: {Rows} rows of {Split}; {Articles} without a post, {Dropped} with an empty or two equal summaries and {Again} of a post that had one were left out", file, rows, split, articles, dropped, again);
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
