// Paraphrase detection as a cloze (the default project of CS224N on Quora question pairs): which of "yes" and "no" is likelier after
// two questions. The starter code writes other prompts in training and in its test; each has a name here, and so has a mended one.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Eval.Files;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of paraphrase.</summary>
public sealed class ParaphraseOptions
{
    /// <summary>Tab-separated file with the columns sentence1, sentence2, is_duplicate; plain or .gz.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>cs224n-train: the starter's prompt of training and dev, whose last quote is missing; cs224n-test: that of its test;
    /// closed: cs224n-train with the quote.</summary>
    [OptionChoices("cs224n-train", "cs224n-test", "closed")]
    public string Template { get; set; } = "cs224n-train";

    /// <summary>Put a blank in front of the answers. The starter has none (tokens 8505 and 3919 of GPT-2).</summary>
    public bool Blank { get; set; }

    /// <summary>Lower-case the questions and part their punctuation by blanks, as the starter does.</summary>
    public bool Preprocess { get; set; } = true;

    /// <summary>none: quotes are characters; csv: fields may be quoted, as in the course's files.</summary>
    [OptionChoices("csv", "none")]
    public string Quoting { get; set; } = "csv";

    /// <summary>Most pairs; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Whether texts get a begin token; without it, as the tokenizer's files say.</summary>
    public bool? Bos { get; set; }

    /// <summary>Resamples behind macro F1's standard error.</summary>
    [OptionRange(0)]
    public int BootstrapIters { get; set; } = 10_000;
}

internal sealed partial class ParaphraseBenchmark(ParaphraseOptions options) : IBenchmark
{
    private static readonly string[] Answers = ["no", "yes"];

    public BenchmarkInfo Info { get; } = new("paraphrase", 2)
    {
        AddSpecialTokens = options.Bos,
        Settings = new JsonObject { ["template"] = options.Template, ["blank"] = options.Blank, ["preprocess"] = options.Preprocess },
    };

    public IEnumerable<EvalItem> Items()
    {
        var rows = Rows().ToList();
        if (rows.Count < 2) throw new UserErrorException($"{options.Path} holds no pairs; give a tab-separated file with a header line.");
        var header = rows[0].Fields.Select(f => f.Trim()).ToList();
        int Column(string name) => header.IndexOf(name) is >= 0 and var at ? at : throw new UserErrorException($"{options.Path} has no column {name}; its header is {string.Join(", ", header)}.");
        var (first, second, label) = (Column("sentence1"), Column("sentence2"), Column("is_duplicate"));
        var items = rows.Skip(1).Select((row, k) => row.Fields.Count == header.Count && Label(row.Fields[label]) is { } gold
            ? new EvalItem($"{k}", new JsonObject { ["sentence1"] = Text(row.Fields[first]), ["sentence2"] = Text(row.Fields[second]), ["label"] = gold })
            : throw new UserErrorException($"{options.Path}, line {row.Line}: a pair has {header.Count} fields and the label 0 or 1; this one has {row.Fields.Count}{(row.Fields.Count == header.Count ? $" and '{row.Fields[label]}'" : "")}. Mend or remove it{(options.Quoting == "csv" ? ", or set quoting: none" : "")}."));
        return options.Limit > 0 ? items.Take(options.Limit) : items;
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var (first, second) = ((string)item.Document["sentence1"]!, (string)item.Document["sentence2"]!);
        var prompt = options.Template switch
        {
            "cs224n-test" => $"Is \"{first}\" a paraphrase of \"{second}\"? Answer \"yes\" or \"no\": ",
            "closed" => $"Question 1: \"{first}\"\nQuestion 2: \"{second}\"\nAre these questions asking the same thing?\n",
            _ => $"Question 1: \"{first}\"\nQuestion 2: \"{second}\nAre these questions asking the same thing?\n",
        };
        return [.. Answers.Select(answer => new EvalRequest.LogLikelihood(prompt, (options.Blank ? " " : "") + answer))];
    }

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var (gold, said) = ((int)item.Document["label"]!, Choice.Best(Choice.LogProbs(responses)));
        // exact_match: the right answer is also the likeliest of the whole vocabulary, as the starter asks.
        return [new ItemScore(item.Id, new Dictionary<string, double> { ["acc"] = said == gold ? 1 : 0, ["exact_match"] = responses[gold].IsGreedy ? 1 : 0 })
        {
            Target = Answers[gold],
            Answer = Answers[said],
            Details = new JsonObject { ["f1_macro"] = new JsonArray(gold, said) },
        }];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        int[] gold = [.. items.Select(i => (int)i.Details!["f1_macro"]![0]!)], said = [.. items.Select(i => (int)i.Details!["f1_macro"]![1]!)];
        double F1(int[] g, int[] s) => Classification.Evaluate(g, s).MacroF1;
        var error = StandardErrors.Bootstrap(items.Count, rows => F1(Array.ConvertAll(rows, r => gold[r]), Array.ConvertAll(rows, r => said[r])), options.BootstrapIters);
        return [Means.Of("acc", items), new MetricResult("f1_macro", F1(gold, said), error, items.Count, HigherIsBetter: true), Means.Of("exact_match", items)];
    }

    private IEnumerable<CsvRow> Rows()
    {
        var text = RowFile.Text(options.Path);
        return options.Quoting == "csv" ? Csv.Rows(text, options.Path, '\t')
            : text.Split('\n').Select((line, k) => (line, k)).Where(l => l.line.Length > 0).Select(l => new CsvRow(l.k + 1, l.line.TrimEnd('\r').Split('\t')));
    }

    private static int? Label(string text) => text.Trim() switch
    {
        "0" or "0.0" => 0,
        "1" or "1.0" => 1,
        _ => null,
    };

    private string Text(string question) => options.Preprocess
        ? string.Join(' ', Punctuation().Replace(question.ToLowerInvariant(), " $0").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        : question;

    [GeneratedRegex(@"[.?,']", RegexOptions.CultureInvariant)]
    private static partial Regex Punctuation();
}
