// MMLU (Hendrycks et al. 2021): four-way questions of 57 subjects, answered by the letter that the model finds most likely. Prompts
// are lm-evaluation-harness's or those of Hendrycks' code; averages over items and over subjects stand side by side.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;
using PeftAlign.Eval.Scoring;
using PeftAlign.Models.Rows;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of mmlu.</summary>
public sealed class MmluOptions
{
    /// <summary>Folder or archive with dev/, val/ and test/ of SUBJECT_SPLIT.csv.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>Solved examples in front of each question: the first of the subject's dev split.</summary>
    [OptionRange(0, 5)]
    public int Shots { get; set; }

    /// <summary>Which split is asked.</summary>
    [OptionChoices("test", "val")]
    public string Split { get; set; } = "test";

    /// <summary>Subjects; without it, all 57.</summary>
    public List<string>? Subjects { get; set; }

    /// <summary>Most questions of each subject; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>lm-eval strips the question; hendrycks does not, and writes two blanks before the subject's name.</summary>
    [OptionChoices("lm-eval", "hendrycks")]
    public string Template { get; set; } = "lm-eval";

    /// <summary>Prompts go through the model's chat template: the header as the system's message, questions as the user's.</summary>
    public bool Chat { get; set; }

    /// <summary>With Chat: the letters of solved examples are messages of the assistant, as without this option; false: the examples stand in the
    /// user's one message. Without Chat, true is refused.</summary>
    public bool? FewshotAsMultiturn { get; set; }

    /// <summary>Whether texts get a begin token; without it, as the tokenizer's files say.</summary>
    public bool? Bos { get; set; }
}

internal sealed class MmluBenchmark : IBenchmark
{
    private static readonly string[] Letters = ["A", "B", "C", "D"];

    private readonly MmluOptions options;
    private readonly IReadOnlyList<string> subjects;
    private readonly Lazy<IReadOnlyDictionary<string, Subject>> data;

    /// <param name="Prompt">What stands before a question.</param>
    /// <param name="Rows">Question, four choices, letter.</param>
    private sealed record Subject(SolvedPrompt Prompt, IReadOnlyList<IReadOnlyList<string>> Rows);

    public MmluBenchmark(MmluOptions options)
    {
        SolvedPrompt.ThrowIfUnused(options.Chat, options.FewshotAsMultiturn);
        this.options = options;
        subjects = NamedParts.Of("subjects", options.Subjects, [.. MmluSubjects.All.Keys], "subject", "MMLU");
        data = new(Read);
    }

    public BenchmarkInfo Info => new("mmlu", 2)
    {
        AsHarness = true,
        AddSpecialTokens = options.Bos,
        Settings = new JsonObject
        {
            ["shots"] = options.Shots,
            ["template"] = options.Template,
            ["split"] = options.Split,
            ["chat"] = options.Chat,
            ["fewshot_as_multiturn"] = options.Chat && options.FewshotAsMultiturn != false,
        },
        Tasks =
        [
            .. subjects.Select(s => new TaskInfo(Name(s), "1") { Shots = options.Shots, Available = data.IsValueCreated ? data.Value[s].Rows.Count : null }),
            .. subjects.GroupBy(s => MmluSubjects.All[s]).Select(c => new TaskInfo($"mmlu_{c.Key}", "1") { Members = [.. c.Select(Name)] }),
        ],
    };

    public IEnumerable<EvalItem> Items() => data.Value.SelectMany(subject =>
        (options.Limit > 0 ? subject.Value.Rows.Take(options.Limit) : subject.Value.Rows).Select((row, k) => new EvalItem($"{k}", new JsonObject
        {
            ["subject"] = subject.Key,
            ["question"] = row[0],
            ["choices"] = new JsonArray([.. row.Skip(1).Take(4).Select(c => (JsonNode)c)]),
            ["answer"] = Array.IndexOf(Letters, row[5]),
        })
        { Task = Name(subject.Key) }));

    public IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var subject = data.Value[(string)item.Document["subject"]!];
        var question = Question([(string)item.Document["question"]!, .. item.Document["choices"]!.AsArray().Select(c => (string)c!)]);
        if (!options.Chat) return [.. Letters.Select(letter => new EvalRequest.LogLikelihood(subject.Prompt.Text(question), " " + letter))];
        var messages = subject.Prompt.Messages(question, options.FewshotAsMultiturn != false);
        return [.. Letters.Select(letter => new EvalRequest.LogLikelihood("", letter) { Messages = messages })];
    }

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var (gold, said) = ((int)item.Document["answer"]!, Choice.Best(Choice.LogProbs(responses)));
        return [new ItemScore(item.Id, new Dictionary<string, double> { ["acc"] = said == gold ? 1 : 0 }) { Task = item.Task, Target = Letters[gold], Answer = Letters[said] }];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        var own = items.GroupBy(i => i.Task).Select(t => Means.Of("acc", [.. t]) with { Task = t.Key }).ToList();
        var categories = own.GroupBy(r => MmluSubjects.All[r.Task["mmlu_".Length..]]).Select(c => Micro([.. c]) with { Task = $"mmlu_{c.Key}" });
        var macro = new MetricResult("acc_macro", own.Average(r => r.Value), StandardErrors.OfMacro([.. own.Select(r => r.StandardError)]), items.Count, HigherIsBetter: true);
        return [Micro(own), macro, .. categories, .. own];
    }

    private static MetricResult Micro(IReadOnlyList<MetricResult> parts)
    {
        var total = parts.Sum(p => p.Count);
        return new MetricResult("acc", parts.Sum(p => p.Value * p.Count) / total, StandardErrors.Pooled([.. parts.Select(p => (p.StandardError, p.Count))]), total, HigherIsBetter: true);
    }

    private static string Name(string subject) => $"mmlu_{subject}";

    private string Header(string subject) => $"The following are multiple choice questions (with answers) about {(options.Template == "hendrycks" ? " " : "")}{subject.Replace('_', ' ')}.\n\n";

    private string Question(IReadOnlyList<string> row) =>
        $"{(options.Template == "lm-eval" ? row[0].Trim() : row[0])}\n{string.Concat(Letters.Select((letter, k) => $"{letter}. {row[k + 1]}\n"))}Answer:";

    private IReadOnlyDictionary<string, Subject> Read()
    {
        var place = new DataPlace(options.Path, ["mmlu"], name => name.EndsWith(".csv", StringComparison.Ordinal));
        var missing = subjects.Where(s => place.Find($"{s}_{options.Split}.csv") is null || (options.Shots > 0 && place.Find($"{s}_dev.csv") is null)).ToList();
        if (missing.Count > 0) throw new UserErrorException($"{place.Path} lacks {missing.Count} of {subjects.Count} subjects: {string.Join(", ", missing)}. Fetch their files ({missing[0]}_{options.Split}.csv{(options.Shots > 0 ? $", {missing[0]}_dev.csv" : "")} ...), or name the subjects that are there with the option subjects.");
        return subjects.ToDictionary(s => s, s =>
        {
            var solved = options.Shots == 0 ? [] : Rows(place, $"{s}_dev.csv");
            if (solved.Count < options.Shots) throw new UserErrorException($"{place.Path}: {s}_dev.csv has {solved.Count} rows; {options.Shots} solved examples are asked for.");
            return new Subject(new SolvedPrompt(Header(s), [.. solved.Take(options.Shots).Select(row => (Question(row), row[5]))]), Rows(place, $"{s}_{options.Split}.csv"));
        });
    }

    private static List<IReadOnlyList<string>> Rows(DataPlace place, string file)
    {
        var rows = DelimitedRows.OfText(place.Text(file), file).ToList();
        if (rows.Count == 0) throw new UserErrorException($"{place.Path}: {file} is empty; fetch it again.");
        foreach (var row in rows)
            if (row.Values.Count != 6 || !Letters.Contains(row.Values[5])) throw new UserErrorException($"{place.Path}: {file}, line {row.Line}: a row has a question, four choices and a letter from A to D; this one has {row.Values.Count} fields{(row.Values.Count == 6 ? $" and the letter '{row.Values[5]}'" : "")}.");
        return [.. rows.Select(r => r.Values)];
    }
}
