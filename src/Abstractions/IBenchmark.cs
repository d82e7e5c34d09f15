// A benchmark: items, what it asks a model about each, and how answers become scores.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A benchmark.</summary>
public interface IBenchmark
{
    /// <summary>Id, version and metrics; part of every result.</summary>
    BenchmarkInfo Info { get; }

    /// <summary>The items, in a fixed order with stable ids.</summary>
    /// <exception cref="UserErrorException">Data is missing or broken.</exception>
    IEnumerable<EvalItem> Items();

    /// <summary>What to ask a model about an item.</summary>
    /// <param name="item">One of Items.</param>
    IReadOnlyList<EvalRequest> Requests(EvalItem item);

    /// <summary>An item's scores by metric.</summary>
    /// <param name="item">One of Items.</param>
    /// <param name="responses">In the order of Requests.</param>
    IReadOnlyDictionary<string, double> Score(EvalItem item, IReadOnlyList<EvalResponse> responses);

    /// <summary>The benchmark's result from all items' scores.</summary>
    /// <param name="items">Id and scores of each item, in order.</param>
    IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items);
}

/// <summary>What identifies a benchmark in results.</summary>
/// <param name="Id">Name, for instance "mmlu".</param>
/// <param name="Version">Raised when its numbers change.</param>
public sealed record BenchmarkInfo(string Id, int Version);

/// <summary>One item.</summary>
/// <param name="Id">Stable within the benchmark.</param>
/// <param name="Document">The item's own data, kept in the samples file.</param>
public sealed record EvalItem(string Id, JsonObject Document);

/// <summary>Something asked of a model.</summary>
public abstract record EvalRequest
{
    /// <summary>The log-prob of a continuation after a context, both as text or both as token ids.</summary>
    /// <param name="Context">Text before.</param>
    /// <param name="Continuation">Text that is scored.</param>
    public sealed record LogLikelihood(string Context, string Continuation) : EvalRequest
    {
        /// <summary>Token ids that stand for Context; null where it is text.</summary>
        public int[]? ContextIds { get; init; }

        /// <summary>Token ids that stand for Continuation; null where it is text.</summary>
        public int[]? ContinuationIds { get; init; }
    }
}

/// <summary>What a model answered.</summary>
/// <param name="LogProb">Sum of the continuation tokens' log-probs, natural logarithm.</param>
/// <param name="Tokens">Number of continuation tokens.</param>
/// <param name="IsGreedy">Whether every continuation token is the most probable one.</param>
public sealed record EvalResponse(double LogProb, int Tokens, bool IsGreedy);

/// <summary>An item's scores.</summary>
/// <param name="Id">The item's id.</param>
/// <param name="Scores">By metric.</param>
public sealed record ItemScore(string Id, IReadOnlyDictionary<string, double> Scores);

/// <summary>One number of a result.</summary>
/// <param name="Metric">Name, for instance "acc".</param>
/// <param name="Value">The number.</param>
/// <param name="StandardError">Its standard error; null where undefined.</param>
/// <param name="Count">Items behind it.</param>
/// <param name="HigherIsBetter">Direction.</param>
public sealed record MetricResult(string Metric, double Value, double? StandardError, int Count, bool HigherIsBetter);
