// The benchmark `tasks`: tasks and groups of lm-evaluation-harness's YAML over local files.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Benchmarks;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Tasks;

/// <summary>Options of tasks.</summary>
public sealed class TasksOptions
{
    /// <summary>A task file (.yaml) or a folder of them. The files that it names are part of a job's identity, as it is itself.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>Further files or folders of tasks.</summary>
    [OptionNames("path")]
    public List<string>? Include { get; set; }

    /// <summary>Folder that the tasks' data paths start from; without it, each from the folder of its task file, or from the folder of tasks
    /// that Path or Include names.</summary>
    [OptionNames("path")]
    public string? Data { get; set; }

    /// <summary>Tasks, groups and tags to run; without it, all that the files hold.</summary>
    public List<string>? Names { get; set; }

    /// <summary>Solved examples in front of each item, in place of what each task says; one that says 0 keeps it.</summary>
    [OptionRange(0)]
    public int? Shots { get; set; }

    /// <summary>Most items of each task; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Prompts go through the model's chat template: the description as the system's message, questions as the user's.</summary>
    public bool Chat { get; set; }

    /// <summary>With Chat: the answers of solved examples are messages of the assistant, as without this option; false: the examples stand in the
    /// user's one message. Without Chat, true is refused.</summary>
    public bool? FewshotAsMultiturn { get; set; }

    /// <summary>Whether texts get a begin token; without it, as the tokenizer's files say.</summary>
    public bool? Bos { get; set; }

    /// <summary>Resamples behind standard errors that have no closed form; 0 = none of these errors.</summary>
    [OptionRange(0)]
    public int BootstrapIters { get; set; } = 100_000;
}

internal sealed class TasksBenchmark : IBenchmark
{
    private readonly TasksOptions options;
    private readonly Lazy<TaskCatalogue> catalogue;
    private readonly Lazy<IReadOnlyDictionary<string, TaskItems>> tasks;

    /// <param name="options">What runs.</param>
    /// <param name="warn">Told of what counts although it looks like a mistake; null for nobody.</param>
    public TasksBenchmark(TasksOptions options, Action<string>? warn = null)
    {
        SolvedPrompt.ThrowIfUnused(options.Chat, options.FewshotAsMultiturn);
        this.options = options;
        var told = new HashSet<string>();
        void Once(string warning) // of a file that several include
        {
            if (told.Add(warning)) warn?.Invoke(warning);
        }
        catalogue = new(() => new TaskCatalogue([.. new[] { options.Path }.Concat(options.Include ?? []).SelectMany(path => TaskYaml.ReadAll(path, Once).Select(f => (f.File, Root(path), f.Content)))], options.Names ?? [], warn ?? (_ => { })));
        tasks = new(() => catalogue.Value.Tasks.ToDictionary(t => t.Name, t => new TaskItems(t, new TaskData(t), options, warn ?? (_ => { }))));
    }

    // As the host takes it that hashes the files which a task file names.
    private string Root(string path) => options.Data ?? (File.Exists(path) ? System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))! : System.IO.Path.GetFullPath(path));

    public BenchmarkInfo Info => new(options.Names is [var only] ? only : "tasks", 7)
    {
        AsHarness = true,
        AddSpecialTokens = options.Bos,
        Tasks =
        [
            .. tasks.Value.Values.Select(t => new TaskInfo(t.Task.Name, t.Task.Version) { Shots = t.Shots, Available = t.Available, Settings = t.Task.Content, Alias = t.Task.Text("task_alias") }),
            .. catalogue.Value.Groups.Select(g => new TaskInfo(g.Name, g.Version) { Members = [.. g.Members.Select(m => m.Name)], Aggregates = g.Metrics.Count > 0, Alias = g.Alias }),
        ],
    };

    public IEnumerable<EvalItem> Items() => tasks.Value.Values.SelectMany(t => t.Items);

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => tasks.Value[item.Task].Requests(item);

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => tasks.Value[item.Task].Score(item, responses);

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        var own = new List<MetricResult>();
        foreach (var task in items.GroupBy(i => i.Task))
            foreach (var filter in task.GroupBy(i => i.Filter))
                own.AddRange(tasks.Value[task.Key].Task.Metrics.Select(m => TaskMetrics.Aggregate(m, [.. filter], options.BootstrapIters)));
        // Groups first: what comes first is the benchmark's headline. Of a group's entries for one number the last counts, as in the harness.
        var grouped = catalogue.Value.Groups.SelectMany(group => group.Metrics.SelectMany(m => Grouped(group, m, own)).GroupBy(r => (r.Metric, r.Filter)).Select(same => same.Last()));
        return [.. grouped, .. own];
    }

    // Over the tasks below a group, however deep; a filter's numbers by themselves.
    private static IEnumerable<MetricResult> Grouped(TaskGroup group, GroupMetric metric, IReadOnlyList<MetricResult> results)
    {
        var numbers = results.Where(r => r.Metric == metric.Name).ToLookup(r => r.Task);
        var given = TaskCatalogue.Leaves(group).SelectMany(task => numbers[task.Name]).ToLookup(r => r.Filter);
        foreach (var filter in metric.Filters?.Where(given.Contains) ?? given.Select(g => g.Key).Order(StringComparer.Ordinal))
        {
            var parts = given[filter].ToList();
            var total = parts.Sum(p => p.Count);
            var (value, error) = metric.WeightBySize
                ? (parts.Sum(p => p.Value * p.Count) / total, StandardErrors.Pooled([.. parts.Select(p => (p.StandardError, p.Count))]))
                : (parts.Average(p => p.Value), StandardErrors.OfMacro([.. parts.Select(p => p.StandardError)]));
            yield return new MetricResult(metric.Name, value, error, total, parts[0].HigherIsBetter) { Task = group.Name, Filter = filter };
        }
    }
}
