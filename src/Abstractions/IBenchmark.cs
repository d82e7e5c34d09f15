// A benchmark: items, what it asks a model about each, and how answers become scores.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A benchmark: one task, or several (the subjects of MMLU) with their groups.</summary>
public interface IBenchmark
{
    /// <summary>Id, version and tasks; part of every result.</summary>
    BenchmarkInfo Info { get; }

    /// <summary>The items, in a fixed order and with stable ids; the items of a task stand together.</summary>
    /// <exception cref="UserErrorException">Data is missing or broken.</exception>
    IEnumerable<EvalItem> Items();

    /// <summary>What to ask the model about an item; or a judge, where the item already has the answers; or nothing, where it has the
    /// judgements too. Requests depend on the item alone, so that a run can resume anywhere.</summary>
    /// <param name="item">One of Items.</param>
    IReadOnlyList<EvalRequest> Requests(EvalItem item);

    /// <summary>An item's scores by metric; several of them where the same answers are read in several ways (filters).</summary>
    /// <param name="item">One of Items.</param>
    /// <param name="responses">In the order of Requests, then of FollowUps.</param>
    IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses);

    /// <summary>The results of the benchmark, its tasks and its groups, computed from all items' scores.</summary>
    /// <param name="items">The scores of each item, in order.</param>
    IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items);
}

/// <summary>Optional for a benchmark: it asks further questions once the first are answered, for instance a judge about what the model wrote.</summary>
public interface IAsksAgain
{
    /// <summary>The further requests.</summary>
    /// <param name="item">One of Items.</param>
    /// <param name="responses">In the order of Requests.</param>
    IReadOnlyList<EvalRequest> FollowUps(EvalItem item, IReadOnlyList<EvalResponse> responses);
}

/// <summary>What identifies a benchmark in results.</summary>
/// <param name="Id">Name, for instance "mmlu".</param>
/// <param name="Version">Raised when its numbers change.</param>
public sealed record BenchmarkInfo(string Id, int Version)
{
    /// <summary>Whether the tokenizer adds its special tokens (a begin token) around texts; null = as the tokenizer's files say.</summary>
    public bool? AddSpecialTokens { get; init; }

    /// <summary>
    /// Whether tokenisation and generation follow lm-evaluation-harness with transformers 5. If so, a blank at the start of a LLaMA tokenizer's
    /// text is taken for the one that the tokenizer puts there, and the model's generation_config.json supplies whatever a request to
    /// generate leaves open (and its max_new_tokens wins over the request's), as in transformers' generate. If not, tokenizer.json counts
    /// as it is written, as in training and generation, and of generation_config.json only the end tokens count.
    /// </summary>
    public bool AsHarness { get; init; }

    /// <summary>The tasks and groups; empty where the benchmark is a single task.</summary>
    public IReadOnlyList<TaskInfo> Tasks { get; init; } = [];

    /// <summary>The chosen settings (variants, shots), for the result file.</summary>
    public JsonObject? Settings { get; init; }
}

/// <summary>A task or group of a benchmark.</summary>
/// <param name="Name">As it stands in results.</param>
/// <param name="Version">As the task's author writes it.</param>
public sealed record TaskInfo(string Name, string Version)
{
    /// <summary>Number of solved examples before each item; null for groups.</summary>
    public int? Shots { get; init; }

    /// <summary>Number of items that the task has, those that a limit leaves out included; null where all are asked, and for groups.</summary>
    public int? Available { get; init; }

    /// <summary>Names of a group's members; empty for tasks.</summary>
    public IReadOnlyList<string> Members { get; init; } = [];

    /// <summary>Whether a group has numbers of its own, or would if its members gave what it asks for: its row then counts their items.</summary>
    public bool Aggregates { get; init; }

    /// <summary>The task's settings, for the result file.</summary>
    public JsonObject? Settings { get; init; }

    /// <summary>The name in tables; null = Name.</summary>
    public string? Alias { get; init; }
}

/// <summary>One item.</summary>
/// <param name="Id">Stable within its task.</param>
/// <param name="Document">The item's own data, kept in the samples file.</param>
public sealed record EvalItem(string Id, JsonObject Document)
{
    /// <summary>The task that it belongs to; empty = the benchmark itself.</summary>
    public string Task { get; init; } = "";
}

/// <summary>An item's scores.</summary>
/// <param name="Id">The item's id.</param>
/// <param name="Scores">By metric.</param>
public sealed record ItemScore(string Id, IReadOnlyDictionary<string, double> Scores)
{
    /// <summary>The item's task; empty = the benchmark itself.</summary>
    public string Task { get; init; } = "";

    /// <summary>The filter that read the answers; "none" where there is only one way to read them.</summary>
    public string Filter { get; init; } = "none";

    /// <summary>The right answer, for the samples file; null for none.</summary>
    public JsonNode? Target { get; init; }

    /// <summary>The answer as it was read, for the samples file; null for none.</summary>
    public JsonNode? Answer { get; init; }

    /// <summary>By metric, what the item contributes to it beyond a number, such as a pair of labels or of texts; null for nothing.</summary>
    public JsonObject? Details { get; init; }
}

/// <summary>One number of a result.</summary>
/// <param name="Metric">Name, for instance "acc".</param>
/// <param name="Value">The number.</param>
/// <param name="StandardError">Its standard error; null where undefined.</param>
/// <param name="Count">Number of items that it is computed from.</param>
/// <param name="HigherIsBetter">Whether larger values are better.</param>
public sealed record MetricResult(string Metric, double Value, double? StandardError, int Count, bool HigherIsBetter)
{
    /// <summary>The task or group that it belongs to; empty = the benchmark itself.</summary>
    public string Task { get; init; } = "";

    /// <summary>The filter that read the answers; "none" where there is only one way to read them.</summary>
    public string Filter { get; init; } = "none";
}
