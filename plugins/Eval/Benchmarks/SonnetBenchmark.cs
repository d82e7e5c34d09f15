// Sonnets continued from their first three lines (the default project of CS224N): chrF of whole sonnets, prompt included. Beside
// it stands its floor: the score of the prompts alone, and of prompts with the last lines of a random training sonnet; and the negative
// log-likelihood per token of the lines that were to be written.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Eval.Files;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of sonnets.</summary>
public sealed class SonnetOptions
{
    /// <summary>Folder with the three files below.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>The whole sonnets that are to be written.</summary>
    public string Held { get; set; } = "TRUE_sonnets_held_out_dev.txt";

    /// <summary>The sonnets of training, for the floor.</summary>
    public string Train { get; set; } = "sonnets.txt";

    /// <summary>Lines of a sonnet that are given.</summary>
    [OptionRange(1, 13)]
    public int Lines { get; set; } = 3;

    /// <summary>How answers are drawn.</summary>
    [OptionGroup]
    public SamplingOptions Sampling { get; } = new() { MaxNewTokens = 128, Temperature = 1.2, TopP = 0.9 };

    /// <summary>Most sonnets; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Resamples behind the standard error.</summary>
    [OptionRange(0)]
    public int BootstrapIters { get; set; } = 1000;
}

internal sealed partial class SonnetBenchmark(SonnetOptions options) : IBenchmark
{
    // Draws of the floor with copied lines.
    private const int Draws = 20;

    public BenchmarkInfo Info { get; } = new("sonnets", 3)
    {
        Settings = new JsonObject { ["lines"] = options.Lines, ["temperature"] = options.Sampling.Temperature, ["top_p"] = options.Sampling.TopP, ["seed"] = options.Sampling.Seed, ["floor_draws"] = Draws },
    };

    /// <summary>The sonnets of a file: parted by lines with a number alone; what stands before the first is left out.</summary>
    internal static IReadOnlyList<string> Parted(string text) => [.. Numbers().Split(text.Replace("\r\n", "\n", StringComparison.Ordinal)).Skip(1).Select(s => s.Trim()).Where(s => s.Length > 0)];

    public IEnumerable<EvalItem> Items()
    {
        var sonnets = Read(options.Held);
        return (options.Limit > 0 ? sonnets.Take(options.Limit) : sonnets).Select((sonnet, k) => new EvalItem($"{k}", new JsonObject { ["prompt"] = Head(sonnet), ["sonnet"] = sonnet }));
    }

    // Beside what the model writes, how likely it finds the lines that Shakespeare wrote: chrF hardly tells models apart.
    public IReadOnlyList<EvalRequest> Requests(EvalItem item) =>
    [
        options.Sampling.Ask((string)item.Document["prompt"]!),
        new EvalRequest.LogLikelihood((string)item.Document["prompt"]!, "\n" + Tail((string)item.Document["sonnet"]!)),
    ];

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var (prompt, sonnet) = ((string)item.Document["prompt"]!, (string)item.Document["sonnet"]!);
        var written = prompt + responses[0].Texts[0];
        var scores = new Dictionary<string, double>
        {
            ["sentence_chrf"] = Chrf.Sentence(written, sonnet),
            ["new_tokens"] = responses[0].Tokens,
            ["nll"] = -responses[1].LogProb,
            ["nll_tokens"] = responses[1].Tokens,
        };
        return [new ItemScore(item.Id, scores)
        {
            Target = sonnet,
            Answer = written,
            Details = new JsonObject { ["chrf"] = new JsonArray(sonnet, written, prompt) },
        }];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        string[] Part(int k) => [.. items.Select(i => (string)i.Details!["chrf"]![k]!)];
        var (meant, written, prompts) = (Part(0), Part(1), Part(2));
        double Of(IEnumerable<string> said, IEnumerable<string> right) => Chrf.Corpus([.. said], [.. right.Select(r => new[] { r })], ChrfOptions.Default);
        var error = StandardErrors.Bootstrap(items.Count, Chrf.OfRows(written, Array.ConvertAll(meant, m => new[] { m }), ChrfOptions.Default), options.BootstrapIters);
        var results = new List<MetricResult>
        {
            new("chrf", Of(written, meant), error, items.Count, HigherIsBetter: true),
            new("chrf_floor_prompt", Of(prompts, meant), null, items.Count, HigherIsBetter: true),
        };
        var (tails, random) = (Read(options.Train).Select(Tail).ToList(), new PythonRandom(0));
        var floors = Enumerable.Range(0, Draws).Select(_ => Of(prompts.Select(p => p + "\n" + tails[(int)(random.Double() * tails.Count)]), meant)).ToList();
        results.Add(Means.Of("chrf_floor_copied", floors) with { Count = items.Count });
        double NllPerToken(IReadOnlyCollection<int> rows) => rows.Sum(r => items[r].Scores["nll"]) / rows.Sum(r => items[r].Scores["nll_tokens"]);
        var nllError = StandardErrors.Bootstrap(items.Count, NllPerToken, options.BootstrapIters);
        results.Add(new MetricResult("nll", NllPerToken([.. Enumerable.Range(0, items.Count)]), nllError, items.Count, HigherIsBetter: false));
        return results;
    }

    private string Head(string sonnet) => string.Join('\n', sonnet.Split('\n').Take(options.Lines));

    private string Tail(string sonnet) => string.Join('\n', sonnet.Split('\n').Skip(options.Lines));

    private IReadOnlyList<string> Read(string name)
    {
        var file = new[] { System.IO.Path.Combine(options.Path, "sonnets", name), System.IO.Path.Combine(options.Path, name) }.FirstOrDefault(File.Exists) ?? throw new UserErrorException($"{options.Path} lacks {name}; fetch it, or name another file with the options held and train.");
        return Parted(RowFile.Text(file)) is { Count: > 0 } sonnets ? sonnets : throw new UserErrorException($"{file} holds no sonnets; they are parted by lines with a number alone.");
    }

    [GeneratedRegex(@"\n\s*\d+\s*\n", RegexOptions.CultureInvariant)]
    private static partial Regex Numbers();
}
