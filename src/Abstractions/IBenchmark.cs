// A benchmark: items, what it asks a model about each, and how answers become scores.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A benchmark: one task, or several (the subjects of MMLU) with their groups.</summary>
public interface IBenchmark
{
    /// <summary>Id, version, tasks; part of every result.</summary>
    BenchmarkInfo Info { get; }

    /// <summary>The items, in a fixed order with stable ids; those of a task stand together.</summary>
    /// <exception cref="UserErrorException">Data is missing or broken.</exception>
    IEnumerable<EvalItem> Items();

    /// <summary>What to ask a model about an item, or a judge where the answers are there already; nothing where the item brings a
    /// judgement too. What is asked depends on the item alone, so that a run resumes anywhere.</summary>
    /// <param name="item">One of Items.</param>
    IReadOnlyList<EvalRequest> Requests(EvalItem item);

    /// <summary>An item's scores by metric; several where the same answers are read in several ways (filters).</summary>
    /// <param name="item">One of Items.</param>
    /// <param name="responses">In the order of Requests, then of FollowUps.</param>
    IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses);

    /// <summary>The results from all items' scores: of the benchmark, of its tasks, of its groups.</summary>
    /// <param name="items">The scores of each item, in order.</param>
    IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items);
}

/// <summary>A benchmark that asks further questions once the first are answered: a judge about what the model wrote.</summary>
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
    /// <summary>Whether texts get what the tokenizer puts around them (a begin token); null = as the tokenizer's files say.</summary>
    public bool? AddSpecialTokens { get; init; }

    /// <summary>Whether texts become tokens as lm-evaluation-harness makes them with transformers 5, which takes a blank at the start of
    /// a LLaMA tokenizer's text for the one that the tokenizer puts there, and whether the model's generation_config.json counts wherever
    /// a request to generate does not say (its max_new_tokens even before the request's), as in transformers' generate. Else tokenizer.json
    /// as it is written counts, as it does in training and generation, and of generation_config.json the end tokens alone.</summary>
    public bool AsHarness { get; init; }

    /// <summary>Tasks and groups with settings of their own; empty where the benchmark is one task.</summary>
    public IReadOnlyList<TaskInfo> Tasks { get; init; } = [];

    /// <summary>What was chosen where there is a choice (variants, shots), for the result file.</summary>
    public JsonObject? Settings { get; init; }
}

/// <summary>A task or group of a benchmark.</summary>
/// <param name="Name">As it stands in results.</param>
/// <param name="Version">As the task's author writes it.</param>
public sealed record TaskInfo(string Name, string Version)
{
    /// <summary>Solved examples in front of each item; null for groups.</summary>
    public int? Shots { get; init; }

    /// <summary>Items that the task has, also those that a limit leaves out; null where all are asked, and for groups.</summary>
    public int? Available { get; init; }

    /// <summary>Names of a group's members; empty for tasks.</summary>
    public IReadOnlyList<string> Members { get; init; } = [];

    /// <summary>The task's settings, for the result file.</summary>
    public JsonObject? Settings { get; init; }

    /// <summary>What tables call it; null = its name.</summary>
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

    /// <summary>How answers were read, where there are several ways.</summary>
    public string Filter { get; init; } = "none";

    /// <summary>The right answer, for the samples file; null for none.</summary>
    public JsonNode? Target { get; init; }

    /// <summary>The answer as it was read, for the samples file; null for none.</summary>
    public JsonNode? Answer { get; init; }

    /// <summary>By metric, what an item contributes that is no number: a pair of labels, a pair of texts; null for none.</summary>
    public JsonObject? Details { get; init; }
}

/// <summary>One number of a result.</summary>
/// <param name="Metric">Name, for instance "acc".</param>
/// <param name="Value">The number.</param>
/// <param name="StandardError">Its standard error; null where undefined.</param>
/// <param name="Count">Items behind it.</param>
/// <param name="HigherIsBetter">Direction.</param>
public sealed record MetricResult(string Metric, double Value, double? StandardError, int Count, bool HigherIsBetter)
{
    /// <summary>The task or group that it belongs to; empty = the benchmark itself.</summary>
    public string Task { get; init; } = "";

    /// <summary>How answers were read, where there are several ways.</summary>
    public string Filter { get; init; } = "none";
}
