// A task of lm-evaluation-harness, read from its YAML. Every field is either used or refused by name.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Core.Statistics;

namespace PeftAlign.Eval.Tasks;

/// <summary>One entry of metric_list.</summary>
/// <param name="Name">acc, exact_match ...</param>
/// <param name="Aggregation">mean, perplexity ...; null for the metric's own.</param>
/// <param name="HigherIsBetter">null for the metric's own.</param>
/// <param name="Options">Keyword arguments of the metric.</param>
internal sealed record TaskMetric(string Name, string? Aggregation, bool? HigherIsBetter, JsonObject Options);

/// <summary>One way to read answers: steps in order.</summary>
internal sealed record TaskFilter(string Name, IReadOnlyList<JsonObject> Steps)
{
    /// <summary>Whether it gives an answer; else a list of the one answer, which counts as the answer does.</summary>
    internal bool TakesFirst => Steps.Count > 0 && TaskFilters.IsTakeFirst(Steps[^1]);
}

internal sealed class TaskConfig : TypedFields
{
    /// <summary>The fields of a task.</summary>
    internal static readonly string[] Known =
    [
        "task", "task_alias", "tag", "dataset_path", "dataset_name", "dataset_kwargs", "training_split", "validation_split", "test_split", "fewshot_split", "doc_to_text", "doc_to_target",
        "doc_to_choice", "description", "target_delimiter", "fewshot_delimiter", "fewshot_config", "num_fewshot", "metric_list", "output_type", "generation_kwargs", "repeats", "filter_list",
        "should_decontaminate", "doc_to_decontamination_query", "metadata", "unsafe_code",
    ];

    private static readonly string[] Outputs = ["multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until"];

    internal TaskConfig(string file, JsonObject content)
        : base($"{file}: task {content["task"]}")
    {
        (File, Content) = (file, content);
        Name = (string)content["task"]!;
        var foreign = content.Select(e => e.Key).Where(k => !Known.Contains(k)).ToList();
        if (foreign.Count > 0) throw Fault($"'{foreign[0]}' is not supported", $"the fields of a task are {string.Join(", ", Known)}");
        if (content["unsafe_code"] is { } unsafeCode && unsafeCode.ToJsonString() != "false") throw Fault($"'unsafe_code: {unsafeCode}' is not supported", "leave it out");
        // Half of the harness's tasks ask for it, and nothing there does it.
        Value<bool>(content["should_decontaminate"], "should_decontaminate", Truth);
        if (content["repeats"] is { } repeats && repeats.ToJsonString() != "1") throw Fault($"'repeats: {repeats}' is not supported", "leave it out; several samples are not scored here");
        OutputType = Text("output_type") ?? "generate_until";
        if (!Outputs.Contains(OutputType)) throw Fault($"output_type '{OutputType}' is not supported", $"it is one of {string.Join(", ", Outputs)}");
        (TargetDelimiter, FewshotDelimiter) = (Text("target_delimiter") ?? " ", Text("fewshot_delimiter") ?? "\n\n");
        Metrics = Entries("metric_list", Metric, m => m.Name) ?? [.. Defaults.Select(m => new TaskMetric(m, null, null, []))];
        Filters = Entries("filter_list", Filter, f => f.Name) ?? [new TaskFilter("none", [new JsonObject { ["function"] = "take_first" }])];
        if (Shots < 0) throw Fault($"'num_fewshot: {Shots}' is negative", "write how many solved examples stand before each item, or leave it out");
        foreach (var metric in Metrics) TaskMetrics.Check(this, metric);
        foreach (var filter in Filters) TaskFilters.Check(this, filter);
        var generation = Mapping(content["generation_kwargs"], "generation_kwargs");
        Generation = OutputType == "generate_until" ? new TaskGeneration(this, generation) : null;
    }

    /// <summary>The file that it stands in.</summary>
    internal string File { get; }

    internal JsonObject Content { get; }

    /// <summary>Folder that the paths of its data start from.</summary>
    internal string Data { get; init; } = "";

    internal string Name { get; }

    internal string OutputType { get; }

    internal string TargetDelimiter { get; }

    internal string FewshotDelimiter { get; }

    /// <summary>Between question and answer of a solved example.</summary>
    internal string ExampleTargetDelimiter => Text(FewshotConfig["target_delimiter"], "fewshot_config.target_delimiter") ?? TargetDelimiter;

    /// <summary>After the answer of a solved example.</summary>
    internal string ExampleDelimiter => Text(FewshotConfig["fewshot_delimiter"], "fewshot_config.fewshot_delimiter") ?? FewshotDelimiter;

    internal IReadOnlyList<TaskMetric> Metrics { get; }

    internal IReadOnlyList<TaskFilter> Filters { get; }

    /// <summary>How to continue prompts; null for tasks that only score.</summary>
    internal TaskGeneration? Generation { get; }

    /// <summary>Of a task that has none, what the harness says of each.</summary>
    internal string Version => (Content["metadata"] as JsonObject)?["version"]?.ToString() ?? "Yaml";

    internal int Shots => Value<int>(Content["num_fewshot"], "num_fewshot", "whole number") ?? 0;

    internal IReadOnlyList<string> Tags => Texts(Content["tag"], "tag");

    /// <summary>How solved examples are taken; empty where nothing is said.</summary>
    internal JsonObject FewshotConfig => Mapping(Content["fewshot_config"], "fewshot_config") ?? [];

    /// <summary>The split that solved examples are taken from; null where none is named for them. That of fewshot_config counts, even where it is null.</summary>
    internal string? FewshotSplit => FewshotConfig.TryGetPropertyValue("split", out var split) ? Text(split, "fewshot_config.split") : Text("fewshot_split");

    /// <summary>A field that is a text; null where it is absent.</summary>
    internal string? Text(string field) => Text(Content[field], field);

    /// <summary>Refuses a regular expression that cannot be read, before a model is asked.</summary>
    /// <param name="pattern">The expression, as Python writes it.</param>
    internal void Expression(string pattern)
    {
        try
        {
            AnswerExtraction.RegexFilter("", pattern, 0, "");
        }
        catch (StatisticsException e)
        {
            throw new UserErrorException($"{Place}: {e.Message}", e);
        }
    }

    private string[] Defaults => OutputType switch
    {
        "multiple_choice" => ["acc", "acc_norm"],
        "loglikelihood" => ["perplexity", "acc"],
        "loglikelihood_rolling" => ["word_perplexity", "byte_perplexity", "bits_per_byte"],
        _ => ["exact_match"],
    };

    // A list of named entries; null where it is absent.
    private IReadOnlyList<T>? Entries<T>(string field, Func<JsonNode?, T> read, Func<T, string> name)
    {
        if (List(Content[field], field) is not { } list) return null;
        if (list.Count == 0) throw Fault($"{field} is empty", "leave it out for the harness's own, or write an entry");
        List<T> entries = [.. list.Select(read)];
        if (entries.GroupBy(name).FirstOrDefault(g => g.Count() > 1) is { } twice) throw Fault($"{field} has {twice.Count()} entries named '{twice.Key}', whose numbers could not be told apart", "leave one");
        return entries;
    }

    private TaskMetric Metric(JsonNode? node)
    {
        if (node is not JsonObject entry || entry["metric"] is not JsonValue name) throw Fault("an entry of metric_list has no field 'metric'", "name the metric");
        if (Value<bool>(entry["hf_evaluate"], "metric_list.hf_evaluate", Truth) == true) throw Fault($"metric {name} asks for hf_evaluate", "use one of the built-in metrics");
        string[] own = ["metric", "aggregation", "higher_is_better", "hf_evaluate"];
        var rest = entry.Where(e => !own.Contains(e.Key)).Select(e => new KeyValuePair<string, JsonNode?>(e.Key, e.Value?.DeepClone()));
        return new TaskMetric(
            Text(name, "metric_list.metric")!,
            Text(entry["aggregation"], "metric_list.aggregation"),
            Value<bool>(entry["higher_is_better"], "metric_list.higher_is_better", Truth),
            new JsonObject(rest));
    }

    private TaskFilter Filter(JsonNode? node) =>
        node is JsonObject entry && entry["filter"] is JsonArray steps && entry["name"] is JsonValue name
            ? new TaskFilter(Text(name, "filter_list.name")!, [.. steps.Select(s => s as JsonObject ?? throw Fault("a step of filter_list is no mapping", "write - function: NAME"))])
            : throw Fault("an entry of filter_list needs the fields 'name' and 'filter'", "give both");
}

/// <summary>generation_kwargs.</summary>
internal sealed class TaskGeneration
{
    internal TaskGeneration(TaskConfig task, JsonObject? given)
    {
        given ??= [];
        if (given.Select(e => e.Key).FirstOrDefault(k => !Known.Contains(k) && !Lengths.Contains(k)) is { } foreign) throw task.Fault($"generation_kwargs has '{foreign}', which is not supported", $"known are {string.Join(", ", Known.Concat(Lengths))}");
        // The harness stops at a null of these two, and takes that of any other for nothing.
        foreach (var key in (string[])["until", "temperature"])
            if (given.TryGetPropertyValue(key, out var value) && value is null) throw task.Fault($"'generation_kwargs.{key}' has no value", "give one, or leave it out");
        T? Value<T>(string key, string kind) where T : struct => task.Value<T>(given[key], $"generation_kwargs.{key}", kind);
        Until = given["until"] is { } until ? task.Texts(until, "generation_kwargs.until") : [task.FewshotDelimiter];
        MaxNewTokens = Lengths.Select(name => Value<int>(name, Whole)).FirstOrDefault(length => length is not null) ?? 256;
        (Samples, temperature) = (Value<bool>("do_sample", TypedFields.Truth), Value<double>("temperature", "number"));
        if (Samples == true && !(temperature > 0))
            throw task.Fault($"generation_kwargs samples (do_sample: true) at a temperature of {(temperature ?? 0).ToString("R", CultureInfo.InvariantCulture)}{(temperature is null ? ", which lm-evaluation-harness takes where none is given" : "")}; transformers refuses that there", "give a temperature above 0, or do_sample: false");
        (TopP, TopK) = (Value<double>("top_p", "number"), Value<int>("top_k", Whole));
    }

    private const string Whole = "whole number";

    private static readonly string[] Known = ["until", "do_sample", "temperature", "top_p", "top_k"];

    // Names of one number; of several the harness takes the first.
    private static readonly string[] Lengths = ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"];

    private readonly double? temperature;

    internal IReadOnlyList<string> Until { get; }

    internal int MaxNewTokens { get; }

    internal double? TopP { get; }

    internal int? TopK { get; }

    private bool? Samples { get; }

    /// <summary>0 is greedy: with do_sample: false, or without a temperature above 0.</summary>
    internal double Temperature => Samples == false ? 0 : Math.Max(0, temperature ?? 0);
}
