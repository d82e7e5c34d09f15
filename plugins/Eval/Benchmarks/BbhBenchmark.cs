// BIG-Bench Hard (Suzgun et al. 2022): 27 files of free-form questions after three solved examples. Averages over items, over 27
// files and over the paper's 23 tasks stand side by side; answers are read in several ways, named apart.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Eval.Files;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of bbh.</summary>
public sealed class BbhOptions
{
    /// <summary>Folder or archive with TASK.json, TASK.txt (prompts with reasoning), and direct_prompts_27.json if there is one.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>direct: bare answers; cot: the model reasons first.</summary>
    [OptionChoices("direct", "cot")]
    public string Template { get; set; } = "direct";

    /// <summary>Solved examples: the benchmark's three, or none.</summary>
    [OptionRange(0, 3)]
    public int Shots { get; set; } = 3;

    /// <summary>Files, such as snarks; without it, all 27.</summary>
    public List<string>? Tasks { get; set; }

    /// <summary>Most questions of each file; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Most new tokens; 0 = 32 for bare answers, 512 with reasoning.</summary>
    [OptionRange(0)]
    public int MaxNewTokens { get; set; }

    /// <summary>Prompts go through the model's chat template: the description as the system's message, questions as the user's, written as in
    /// lm-evaluation-harness.</summary>
    public bool Chat { get; set; }

    /// <summary>With Chat: the answers of solved examples are messages of the assistant, as without this option; false: the examples stand in the
    /// user's one message. Without Chat, true is refused.</summary>
    public bool? FewshotAsMultiturn { get; set; }

    /// <summary>Whether texts get a begin token; without it, as the tokenizer's files say.</summary>
    public bool? Bos { get; set; }
}

internal sealed class BbhBenchmark : IBenchmark
{
    private const string Names = "boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages formal_fallacies geometric_shapes hyperbaton logical_deduction_five_objects logical_deduction_seven_objects logical_deduction_three_objects movie_recommendation multistep_arithmetic_two navigate object_counting penguins_in_a_table reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks sports_understanding temporal_sequences tracking_shuffled_objects_five_objects tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects web_of_lies word_sorting";

    // What follows the answer in the solved examples.
    private static readonly string[] Until = ["\n\nQ:", "\nQ:"];

    internal static readonly IReadOnlyList<string> All = Names.Split(' ');

    private readonly BbhOptions options;
    private readonly IReadOnlyList<string> tasks;
    private readonly Lazy<IReadOnlyDictionary<string, Part>> data;

    /// <param name="Prompt">What stands before a question.</param>
    /// <param name="Turns">The same for conversations.</param>
    /// <param name="Official">Whether the authors wrote it.</param>
    /// <param name="Rows">The questions.</param>
    private sealed record Part(string Prompt, SolvedPrompt? Turns, bool Official, IReadOnlyList<(string Input, string Target)> Rows);

    public BbhBenchmark(BbhOptions options)
    {
        SolvedPrompt.ThrowIfUnused(options.Chat, options.FewshotAsMultiturn);
        this.options = options;
        if (options.Shots is not (0 or 3)) throw new UserErrorException($"shots: {options.Shots}; BIG-Bench Hard has three solved examples for each file: use 3 or 0.");
        tasks = NamedParts.Of("tasks", options.Tasks, All, "file", "BIG-Bench Hard");
        data = new(Read);
    }

    private bool Reasons => options.Template == "cot";

    public BenchmarkInfo Info => new("bbh", 4)
    {
        AsHarness = true,
        AddSpecialTokens = options.Bos,
        Settings = new JsonObject
        {
            ["template"] = options.Template,
            ["shots"] = options.Shots,
            ["prompts"] = data.Value.Values.All(p => p.Official) ? "official" : "made from the prompts with reasoning",
            ["chat"] = options.Chat,
            ["fewshot_as_multiturn"] = options.Chat && options.FewshotAsMultiturn != false,
        },
        Tasks = [.. tasks.Select(t => new TaskInfo(Name(t), "1") { Shots = options.Shots, Available = data.Value[t].Rows.Count })],
    };

    public IEnumerable<EvalItem> Items() => data.Value.SelectMany(part =>
        (options.Limit > 0 ? part.Value.Rows.Take(options.Limit) : part.Value.Rows).Select((row, k) => new EvalItem($"{k}", new JsonObject { ["file"] = part.Key, ["input"] = row.Input, ["target"] = row.Target }) { Task = Name(part.Key) }));

    public IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var part = data.Value[(string)item.Document["file"]!];
        var question = $"Q: {item.Document["input"]}\nA:{(Reasons ? BbhPrompts.StepByStep : "")}";
        var prompt = part.Prompt.Length > 0 ? $"{part.Prompt}\n\n{question}" : question;
        return [new EvalRequest.Generate(prompt)
        {
            Messages = part.Turns?.Messages(BbhPrompts.Asked(question, Reasons), options.FewshotAsMultiturn != false),
            MaxNewTokens = options.MaxNewTokens > 0 ? options.MaxNewTokens : Reasons ? 512 : 32,
            Until = Until,
        }];
    }

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var (reply, target) = (responses[0].Texts[0], (string)item.Document["target"]!);
        return [.. BbhScoring.Ways(Reasons).Select(way => new ItemScore(item.Id, new Dictionary<string, double> { ["exact_match"] = BbhScoring.IsRight(way, Reasons, reply, target) ? 1 : 0 })
        {
            Task = item.Task,
            Filter = way,
            Target = target,
            Answer = new JsonArray(BbhScoring.Answer(way, Reasons, reply)),
        })];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => [.. items.GroupBy(i => i.Filter).SelectMany(way => Of([.. way], way.Key))];

    private static IEnumerable<MetricResult> Of(IReadOnlyList<ItemScore> items, string way)
    {
        var own = items.GroupBy(i => i.Task).Select(t => Means.Of("exact_match", [.. t]) with { Task = t.Key, Filter = way }).ToList();
        var micro = new MetricResult("exact_match", items.Average(i => i.Scores["exact_match"]), StandardErrors.Pooled([.. own.Select(r => (r.StandardError, r.Count))]), items.Count, HigherIsBetter: true) { Filter = way };
        var files = micro with { Metric = "macro_files", Value = own.Average(r => r.Value), StandardError = StandardErrors.OfMacro([.. own.Select(r => r.StandardError)]) };
        // The paper's 23 tasks: files of one task in several sizes count as one.
        var folded = micro with { Metric = "macro_tasks", Value = AnswerExtraction.BigBenchHardMean([.. own.Select(r => r.Task)], [.. own.Select(r => r.Value)]), StandardError = null };
        return [micro, files, folded, .. own];
    }

    private static string Name(string task) => $"bbh_{task}";

    private IReadOnlyDictionary<string, Part> Read()
    {
        var wanted = All.SelectMany(t => (string[])[$"{t}.json", $"{t}.txt"]).Append("direct_prompts_27.json").ToHashSet();
        // The authors' repository has a folder bbh beside its prompts, whatever it is called itself.
        string[] usual = Directory.Exists(System.IO.Path.Combine(options.Path, "cot-prompts")) ? [] : ["bbh", "BIG-Bench-Hard"];
        var place = new DataPlace(options.Path, usual, wanted.Contains);
        var missing = tasks.Where(t => place.Find($"{t}.json") is null).ToList();
        if (missing.Count > 0) throw new UserErrorException($"{place.Path} lacks {missing.Count} of {tasks.Count} files: {string.Join(", ", missing.Select(m => m + ".json"))}. Fetch them, or name the files that are there with the option tasks.");
        return tasks.ToDictionary(t => t, t =>
        {
            var (prompt, official) = options.Shots == 0 ? ("", true) : Reasons ? (BbhPrompts.WithReasoning(place, t), true) : BbhPrompts.Direct(place, t);
            var rows = RowFile.Parsed(place.Text($"{t}.json"), $"{place.Path}: {t}.json")?["examples"] as JsonArray ?? throw new UserErrorException($"{place.Path}: {t}.json has no list 'examples'; fetch it again.");
            return new Part(prompt, options.Chat ? BbhPrompts.Parted(prompt, Reasons, $"{place.Path}: {t}") : null, official, [.. rows.Select((row, k) => row?["input"] is JsonValue input && row["target"] is JsonValue target ? ((string)input!, (string)target!) : throw new UserErrorException($"{place.Path}: {t}.json, example {k + 1} lacks input or target; mend or remove it."))]);
        });
    }
}
