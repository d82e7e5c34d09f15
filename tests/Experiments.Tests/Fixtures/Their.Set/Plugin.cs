// A third party's plugins in one assembly, built outside the tree: a reader of its own rows, a method, a benchmark, two trackers,
// a reader that never comes back from native code, and one that crashes there.

using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

[assembly: PeftAlignPlugin(typeof(Their.Set.Plugin))]

namespace Their.Set;

/// <summary>Registers all of them.</summary>
public sealed class Plugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IDatasetReader, SumOptions>("their-sums", 1, (_, options) => new Sums(options));
        registry.Add<IDatasetReader, NoOptions>("their-stuck", 1, (_, _) => new Stuck());
        registry.Add<IDatasetReader, CrashOptions>("their-crash", 1, (_, options) => new Crash(options));
        registry.Add<IAlignmentMethod, NllOptions>("their-nll", 1, (_, options) => new Nll(options));
        registry.Add<IBenchmark, SumOptions>("their-exam", 1, (_, options) => new Exam(options));
        registry.Add<ITracker, LogOptions>("their-log", 1, (_, options) => new Log(options));
        registry.Add<ITracker, NoOptions>("their-broken", 1, (_, _) => new Broken());
    }
}

/// <summary>Nothing to choose.</summary>
public sealed class NoOptions;

/// <summary>Sums of two numbers.</summary>
public sealed class SumOptions
{
    /// <summary>How many.</summary>
    [OptionRange(1, 1000)]
    public int Count { get; set; } = 24;

    /// <summary>The first summand's first value.</summary>
    public int From { get; set; } = 1;
}

internal sealed class Sums(SumOptions options) : IDatasetReader
{
    public IEnumerable<DataRecord> Read(string? split) =>
        Enumerable.Range(options.From, options.Count).Select(k => new DataRecord(new JsonObject { ["prompt"] = $"{k} + 1 =", ["completion"] = $" {k + 1}" }, "sums", k));
}

internal sealed partial class Stuck : IDatasetReader
{
    [DllImport("libc")]
    private static extern uint sleep(uint seconds);

    public IEnumerable<DataRecord> Read(string? split)
    {
        Console.Error.WriteLine("stuck in native code");
        while (sleep(1000) > 0) { }
        return [];
    }
}

/// <summary>How native code ends.</summary>
public sealed class CrashOptions
{
    /// <summary>By abort(), else by an address that is not there.</summary>
    public bool Abort { get; set; }

    /// <summary>Instead of both, by the exception of a request that took too long.</summary>
    public bool TimesOut { get; set; }
}

internal sealed class Crash(CrashOptions options) : IDatasetReader
{
    [DllImport("libc")]
    private static extern void abort();

    [DllImport("libc")]
    private static extern nint memset(nint at, int value, nint count);

    public IEnumerable<DataRecord> Read(string? split)
    {
        Console.Error.WriteLine("about to crash");
        if (options.TimesOut) throw new TaskCanceledException("The request was canceled due to the configured HttpClient.Timeout of 5 seconds elapsing.");
        if (options.Abort) abort();
        memset(4096, 0, 16);
        return [];
    }
}

/// <summary>How the likelihood is weighed.</summary>
public sealed class NllOptions
{
    /// <summary>A factor of the loss.</summary>
    [OptionRange(0.01, 100)]
    public double Factor { get; set; } = 1;
}

internal sealed class Nll(NllOptions options) : IAlignmentMethod
{
    public MethodNeeds Needs { get; } = new(Reference: false);

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => [.. records.Select(record =>
    {
        var tokenizer = context.RequireTokenizer(record);
        context.Ledger.Rows++;
        return new CompletionGroup([.. tokenizer.EncodeToIds(record.Text("prompt"))], [Completion.Of([.. tokenizer.EncodeToIds(record.Text("completion"), addSpecialTokens: false)])]);
    })];

    public MethodLoss Loss(ScoredBatch batch) => new(batch.LogProbs.sum() * -options.Factor, batch.Groups.Count, new Dictionary<string, double> { ["factor"] = options.Factor });
}

internal sealed class Exam(SumOptions options) : IBenchmark
{
    public BenchmarkInfo Info { get; } = new("their-exam", Version: 1);

    public IEnumerable<EvalItem> Items() => Enumerable.Range(options.From, options.Count).Select(k => new EvalItem($"sum-{k}", new JsonObject { ["a"] = k }));

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => [new EvalRequest.LogLikelihood($"{item.Document["a"]} + 1 =", $" {(int)item.Document["a"]! + 1}")];

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => [new(item.Id, new Dictionary<string, double> { ["log_prob"] = responses[0].LogProb })];

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) =>
        items.Count == 0 ? [] : [new MetricResult("log_prob", items.Average(item => item.Scores["log_prob"]), 0, items.Count, HigherIsBetter: true)];
}

/// <summary>Where it writes.</summary>
public sealed class LogOptions
{
    /// <summary>A file to append to.</summary>
    [OptionNames("path")]
    public string File { get; set; } = "";
}

internal sealed class Log(LogOptions options) : ITracker
{
    public IJobTracker Start(TrackedJob job)
    {
        Say(options.File, $"start {job.Label} {job.Axes.GetValueOrDefault("seed", "")}");
        return new Lines(options.File, job);
    }

    private static void Say(string path, string line)
    {
        if (path.Length > 0) File.AppendAllText(path, line + "\n");
    }

    private sealed class Lines(string path, TrackedJob job) : IJobTracker
    {
        public void Log(long step, IReadOnlyDictionary<string, double> metrics) => Say(path, string.Create(CultureInfo.InvariantCulture, $"step {job.Label} {step} {metrics.GetValueOrDefault("loss"):R}"));

        public void End(TrackedOutcome outcome, IReadOnlyDictionary<string, double> results) => Say(path, $"{outcome} {job.Label} {string.Join(",", results.Keys)}{(File.Exists(Path.Combine(job.Folder, "result.json")) ? " with its result" : "")}");

        public void Dispose() => Say(path, $"dispose {job.Label}");
    }
}

internal sealed class Broken : ITracker
{
    public IJobTracker Start(TrackedJob job) => job.Kind == "train" ? new AtTheSecondStep() : throw new InvalidOperationException("no server");

    private sealed class AtTheSecondStep : IJobTracker
    {
        public void Log(long step, IReadOnlyDictionary<string, double> metrics)
        {
            if (step > 1) throw new InvalidOperationException("the server went away");
        }

        public void End(TrackedOutcome outcome, IReadOnlyDictionary<string, double> results) => throw new InvalidOperationException("never told");

        public void Dispose()
        {
        }
    }
}
