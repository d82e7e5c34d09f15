// results.json and samples_TASK.jsonl in lm-evaluation-harness's shape: "metric,filter" and "metric_stderr,filter" by task and
// group; a sample for each item and filter, with what was asked and answered.

using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Evaluation;

internal static class ResultFiles
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    /// <summary>Of results.json, by task and metric: items behind each number, without those that a judge gave no answer on. The harness has
    /// no such block and passes it over.</summary>
    internal const string ScoredKey = "n-scored";

    /// <summary>Writes both kinds of file; results.json last.</summary>
    /// <param name="folder">Where.</param>
    /// <param name="evaluated">Of each benchmark.</param>
    /// <param name="config">What was asked for, for results.json.</param>
    /// <returns>The content of results.json.</returns>
    internal static JsonObject Write(string folder, IReadOnlyList<Evaluated> evaluated, JsonObject config)
    {
        var results = Results(evaluated, config);
        foreach (var one in evaluated)
            foreach (var task in one.Items.GroupBy(i => TaskOf(one, i.Item.Task)))
                WriteSamples(Path.Combine(folder, SamplesName(task.Key, results)), task.SelectMany(Samples));
        RunFolder.Write(Path.Combine(folder, "results.json"), results.ToJsonString(Indented) + "\n");
        return results;
    }

    // One after the other: all of a large task's are more than a text may hold.
    private static void WriteSamples(string path, IEnumerable<JsonObject> samples)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        AtomicFile.Write(path, stream =>
        {
            foreach (var sample in samples) stream.Write(Encoding.UTF8.GetBytes(sample.ToJsonString(Plain) + "\n"));
        });
    }

    /// <summary>The row of a benchmark as a whole: its own, or that of its first group or task.</summary>
    internal static string Headline(Evaluated evaluated) => TaskOf(evaluated, (evaluated.Metrics.FirstOrDefault(m => m.Task.Length == 0) ?? evaluated.Metrics[0]).Task);

    private static string TaskOf(Evaluated evaluated, string task) => task.Length > 0 ? task : evaluated.Info.Id;

    /// <summary>The name of a task's file of samples: with _ for what no file's name holds, unless that is another task's name.</summary>
    /// <param name="task">The task.</param>
    /// <param name="results">The content of results.json, whose tasks' files lie in one folder.</param>
    internal static string SamplesName(string task, JsonNode results)
    {
        static string Plain(string name) => string.Concat(name.Select(c => c is '/' or '\\' or '\0' ? '_' : c));
        var isShared = Plain(task) != task && (results["n-samples"] as JsonObject ?? []).Any(other => other.Key != task && Plain(other.Key) == Plain(task));
        return $"samples_{(isShared ? Uri.EscapeDataString(task) : Plain(task))}.jsonl";
    }

    private static JsonObject Results(IReadOnlyList<Evaluated> evaluated, JsonObject config)
    {
        var (results, groups, members, settings) = (new JsonObject(), new JsonObject(), new JsonObject(), new JsonObject());
        var (versions, shots, better, samples, scored) = (new JsonObject(), new JsonObject(), new JsonObject(), new JsonObject(), new JsonObject());
        foreach (var one in evaluated)
        {
            var infos = one.Info.Tasks.ToDictionary(t => t.Name);
            // A group may have no numbers of its own and be a member of one that has.
            foreach (var group in one.Info.Tasks.Where(t => t.Members.Count > 0)) members[group.Name] = RequestJson.Texts(group.Members);
            foreach (var task in one.Metrics.GroupBy(m => TaskOf(one, m.Task)))
            {
                var info = infos.GetValueOrDefault(task.Key);
                var row = Row(task.Key, info?.Alias, [.. task]);
                var isGroup = info?.Members.Count > 0 || (info is null && one.Info.Tasks.Count > 0);
                results[task.Key] = row;
                scored[task.Key] = Counts(task);
                versions[task.Key] = info is null ? one.Info.Version : Version(info);
                better[task.Key] = new JsonObject(task.DistinctBy(m => m.Metric).Select(m => new KeyValuePair<string, JsonNode?>(m.Metric, m.HigherIsBetter)));
                if (isGroup)
                {
                    groups[task.Key] = null; // its place; the row follows when it is whole
                    members[task.Key] = RequestJson.Texts(info?.Members ?? [.. one.Info.Tasks.Where(t => t.Members.Count == 0).Select(t => t.Name)]);
                }
                if (info?.Shots is { } count) shots[task.Key] = count;
                if ((info is null ? one.Info.Settings : info.Settings) is { } own) settings[task.Key] = own.DeepClone();
                if (!isGroup) samples[task.Key] = Samples(task.Key, info?.Available, one);
            }
            foreach (var group in one.Info.Tasks.Where(t => t.Members.Count > 0 && !results.ContainsKey(t.Name)))
            {
                (results[group.Name], versions[group.Name]) = (Named(group.Name, group.Alias), Version(group));
                if (group.Aggregates) (results[group.Name]!["sample_len"], groups[group.Name]) = (0, null); // its members give none of the metrics that it asks for
            }
            foreach (var group in one.Info.Tasks.Where(t => t.Members.Count > 0)) OfMembers(group, infos, results, shots, better);
        }
        foreach (var name in groups.Select(g => g.Key).ToList()) groups[name] = results[name]!.DeepClone();
        return new JsonObject
        {
            ["results"] = results,
            ["groups"] = groups,
            ["group_subtasks"] = members,
            ["configs"] = settings,
            ["versions"] = versions,
            ["n-shot"] = shots,
            ["higher_is_better"] = better,
            ["n-samples"] = samples,
            [ScoredKey] = scored,
            ["config"] = config.DeepClone(),
        };
    }

    // What a group has of its members, as in the harness: the items of all tasks below it, the number of examples where its own tasks
    // have one in common, and their metrics' directions (null where they differ) beside those of its own numbers.
    private static void OfMembers(TaskInfo group, Dictionary<string, TaskInfo> infos, JsonObject results, JsonObject shots, JsonObject better)
    {
        bool IsGroup(string name) => infos.GetValueOrDefault(name) is { Members.Count: > 0 };
        // A plugin's groups may hold each other.
        int Items(string name, params string[] above) => above.Contains(name) ? 0 : IsGroup(name) ? infos[name].Members.Sum(m => Items(m, [.. above, name])) : (int?)results[name]?["sample_len"] ?? 0;
        if (results[group.Name]?["sample_len"] is not null && Items(group.Name) is > 0 and var items) results[group.Name]!["sample_len"] = items;
        var own = group.Members.Where(m => !IsGroup(m)).ToList();
        if (own.Select(m => (int?)shots[m]).OfType<int>().Distinct().ToList() is [var common]) shots[group.Name] = common;
        var directions = better[group.Name] as JsonObject ?? [];
        var told = directions.Select(d => d.Key).ToHashSet();
        foreach (var (metric, direction) in own.SelectMany(m => better[m] as JsonObject ?? []))
            if (!told.Contains(metric)) directions[metric] = !directions.TryGetPropertyValue(metric, out var known) || JsonNode.DeepEquals(known, direction) ? direction?.DeepClone() : null;
        if (directions.Count > 0) better[group.Name] = directions.Parent is null ? directions : directions.DeepClone();
    }

    private static JsonObject Row(string task, string? alias, IReadOnlyList<MetricResult> metrics)
    {
        var row = Named(task, alias);
        row["sample_len"] = metrics.Max(m => m.Count);
        foreach (var metric in metrics)
        {
            row[$"{metric.Metric},{metric.Filter}"] = JsonNumber.Of(metric.Value);
            row[$"{metric.Metric}_stderr,{metric.Filter}"] = metric.StandardError is { } error ? JsonNumber.Of(error) : "N/A";
        }
        return row;
    }

    private static JsonObject Named(string task, string? alias) => new() { ["name"] = task, ["alias"] = alias ?? task };

    private static JsonObject Counts(IEnumerable<MetricResult> metrics)
    {
        var counts = new JsonObject();
        foreach (var metric in metrics) counts[$"{metric.Metric},{metric.Filter}"] = metric.Count;
        return counts;
    }

    // Beside the numbers of items, those whose context did not fit: their scores are of a cut prompt.
    private static JsonObject Samples(string task, int? available, Evaluated one)
    {
        var items = one.Items.Where(i => TaskOf(one, i.Item.Task) == task).ToList();
        return new JsonObject { ["original"] = available ?? items.Count, ["effective"] = items.Count, ["cut"] = items.Count(i => i.Responses.Any(r => r.TokensCut > 0)) };
    }

    // Of a task as its file has it, a number or a text; of a group always a text, as in the harness. Other benchmarks count theirs.
    private static JsonNode Version(TaskInfo task) =>
        task.Settings?["metadata"] is JsonObject metadata && metadata["version"] is { } own ? own.DeepClone()
        : task.Members.Count == 0 && double.TryParse(task.Version, System.Globalization.CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : task.Version;

    private static IEnumerable<JsonObject> Samples(EvaluatedItem item) => item.Scores.Select(score =>
    {
        var arguments = item.Requests.Zip(item.Responses, RequestJson.Sent).ToList();
        var sample = new JsonObject
        {
            ["doc_id"] = long.TryParse(item.Item.Id, System.Globalization.CultureInfo.InvariantCulture, out var number) ? number : item.Item.Id,
            ["doc"] = item.Item.Document.DeepClone(),
            ["target"] = score.Target?.DeepClone(),
            ["arguments"] = new JsonObject(arguments.Select((a, k) => new KeyValuePair<string, JsonNode?>($"gen_args_{k}", new JsonObject(a.Select((v, j) => new KeyValuePair<string, JsonNode?>($"arg_{j}", v?.DeepClone())))))),
            ["resps"] = new JsonArray([.. item.Responses.Select(Response)]),
            ["filtered_resps"] = score.Answer?.DeepClone(),
            ["filter"] = score.Filter,
            ["metrics"] = RequestJson.Texts(score.Scores.Keys.Union(score.Details?.Select(d => d.Key) ?? [])),
            ["tokens"] = new JsonArray([.. item.Responses.Select(r => (JsonNode)r.Tokens)]),
            ["prompt_tokens"] = new JsonArray([.. item.Responses.Select(r => (JsonNode)r.PromptTokens)]),
            ["tokens_cut"] = item.Responses.Sum(r => r.TokensCut),
            ["doc_hash"] = SampleHashes.OfDocument(item.Item.Document),
            ["prompt_hash"] = SampleHashes.Of(arguments is [[{ } first, ..], ..] ? Text(first) : ""),
            ["target_hash"] = SampleHashes.OfTarget(score.Target),
        };
        // The arguments are what the task asked for.
        if (item.Responses.Any(r => r.MaxNewTokens is not null)) sample["max_new_tokens"] = new JsonArray([.. item.Responses.Select(r => (JsonNode?)r.MaxNewTokens)]);
        foreach (var (metric, value) in score.Scores)
            if (!sample.TryAdd(metric, JsonNumber.Of(value))) throw new InvalidDataException($"the benchmark has a score called '{metric}', which is a field of every sample; its author must rename it");
        foreach (var (metric, value) in score.Details ?? []) sample.TryAdd(metric, value?.DeepClone());
        return sample;
    });

    private static JsonArray Response(EvalResponse response) => response.Judgement is { } judgement
        ? [RequestJson.Judgement(judgement)]
        : response.Texts.Count > 0
        ? RequestJson.Texts(response.Texts)
        : [new JsonArray(JsonNumber.Of(response.LogProb), response.IsGreedy)];

    private static string Text(JsonNode node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : node.ToJsonString(Plain);
}
