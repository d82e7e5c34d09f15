// One benchmark on one model: items are asked in chunks, each chunk's answers are kept before the next is asked, and scores are
// made from the answers at the end, so that a run that was stopped asks only chunks that lack an answer, and one whose judge was
// away only the judge. Chunks are cut over all items whatever is known: sums round by what is computed together.

using PeftAlign.Abstractions;

namespace PeftAlign.Host.Evaluation;

/// <summary>An item with all that was asked, answered and scored.</summary>
internal sealed record EvaluatedItem(EvalItem Item, IReadOnlyList<EvalRequest> Requests, IReadOnlyList<EvalResponse> Responses, IReadOnlyList<ItemScore> Scores);

/// <summary>A benchmark's outcome on a model.</summary>
internal sealed record Evaluated(BenchmarkInfo Info, IReadOnlyList<EvaluatedItem> Items, IReadOnlyList<MetricResult> Metrics)
{
    /// <summary>Questions to judges that nobody answered.</summary>
    internal int Unanswered => Items.Sum(i => i.Responses.Count(Evaluator.IsUnanswered));

    /// <summary>What people are told where a judge was away; null where it was not.</summary>
    internal string? Missed => Unanswered is > 0 and var n ? Told(Info.Id, n) : null;

    /// <summary>What people are told where a metric came out as NaN; null where none did.</summary>
    internal string? NotNumbers { get; init; }

    /// <summary>The words for questions that nobody answered.</summary>
    /// <param name="what">The benchmark, or the job.</param>
    /// <param name="count">How many.</param>
    internal static string Told(string what, int count) => $"{what}: nobody answered {count} of the judge's questions; the same command asks them again";
}

/// <param name="model">Loads the model; called only where something is to be asked.</param>
/// <param name="judges">Opens judges; null where there are none.</param>
/// <param name="records">Answers that are known.</param>
/// <param name="progress">Told of items done and in all.</param>
/// <param name="cancel">Ends the work between chunks.</param>
internal sealed class Evaluator(Func<EvalModel> model, IJudges? judges, ItemRecords records, Action<long, long> progress, CancellationToken cancel)
{
    // Items that are answered and kept together.
    private const int Chunk = 64;

    // Of the benchmark at hand, whose Info may be made anew at each look.
    private (string Name, bool? SpecialTokens, bool AsHarness) own;

    /// <summary>Most items whose contexts are encoded at once, to find what they share; smaller in tests.</summary>
    internal int Window { get; init; } = 2048;

    /// <summary>How long the model was asked, without loading it.</summary>
    internal TimeSpan Asking { get; private set; }

    /// <summary>Asks what is not known yet, and scores.</summary>
    /// <exception cref="UserErrorException">The benchmark's data or an item is at fault.</exception>
    internal Evaluated Run(IBenchmark benchmark)
    {
        var items = BenchmarkContract.Items(benchmark);
        var name = (own = (benchmark.Info.Id, benchmark.Info.AddSpecialTokens, benchmark.Info.AsHarness)).Name;
        if (items.Count == 0) throw new UserErrorException($"Benchmark {name} has no items.");
        var asked = items.Select((item, row) => new Asked(item, row, BrokenContractException.Whole(benchmark, nameof(benchmark.Requests), benchmark.Requests(item)))).ToList();
        // An item that brings its own answers (a judgement that was made before) asks nothing.
        var windows = AskedWindow.Of(asked.Where(a => a.Requests.Count > 0 || benchmark is IAsksAgain), Window, requests => RequestJson.Key(requests, own.SpecialTokens, own.AsHarness));
        var answers = new IReadOnlyList<EvalResponse>?[items.Count];
        Array.Fill(answers, []);
        foreach (var window in windows) FillKnown(benchmark, window, answers);
        var missing = Enumerable.Range(0, items.Count).Where(k => answers[k] is null).ToList();
        var unanswered = Enumerable.Range(0, items.Count).Where(k => answers[k]?.Any(IsUnanswered) == true).ToList();
        progress(items.Count - missing.Count - unanswered.Count, items.Count);
        if (unanswered.Count > 0) AskJudges(benchmark, asked, answers, unanswered, items.Count - missing.Count - unanswered.Count);
        if (missing.Count > 0) Ask(benchmark, windows, answers, items.Count - missing.Count);
        var evaluated = asked.Select((a, k) => Scored(benchmark, a, answers[k]!)).ToList();
        var metrics = BenchmarkContract.Metrics(benchmark, [.. evaluated.SelectMany(e => e.Scores)]);
        return new Evaluated(benchmark.Info, evaluated, metrics) { NotNumbers = BenchmarkContract.NotNumbers(benchmark, metrics) };
    }

    // Records of before they named their window count where nothing of it is missing: of what others they were computed with, nobody knows.
    private void FillKnown(IBenchmark benchmark, AskedWindow window, IReadOnlyList<EvalResponse>?[] answers)
    {
        foreach (var item in window.Items) answers[item.Row] = Known(benchmark, item, window, unnamed: true);
        if (window.Items.All(item => answers[item.Row] is not null)) return;
        foreach (var item in window.Items) answers[item.Row] = Known(benchmark, item, window, unnamed: false);
    }

    private IReadOnlyList<EvalResponse>? Known(IBenchmark benchmark, Asked asked, AskedWindow window, bool unnamed)
    {
        var kept = records.Find(own.Name, asked.Item, known => Key(benchmark, asked, known), window.Of(asked), unnamed);
        // Further questions may depend on a judge's first answer, so where that is missing all are asked again.
        return benchmark is IAsksAgain && kept?.Take(asked.Requests.Count).Any(IsUnanswered) == true ? null : kept;
    }

    private void Ask(IBenchmark benchmark, IReadOnlyList<AskedWindow> windows, IReadOnlyList<EvalResponse>?[] answers, int done)
    {
        bool IsOpen(Asked item) => answers[item.Row] is null;
        // Loaded before the clock runs, where anything is asked of it; what only judges are asked needs no model.
        var loaded = windows.SelectMany(w => w.Items).Any(item => IsOpen(item) && item.AsksModel) ? model() : null;
        using var runner = new RequestRunner(() => loaded ??= model(), judges, benchmark.Info, cancel);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        foreach (var window in windows.Where(w => w.Items.Any(IsOpen)))
        {
            var encoded = window.Items.Select(runner.Encode).ToList();
            runner.Share(encoded);
            // Like lengths together, the longest first: little is padded, and what needs most memory is known at once.
            foreach (var chunk in encoded.OrderByDescending(e => e.Length).Chunk(Chunk).Where(c => c.Any(e => IsOpen(e.Asked))))
            {
                cancel.ThrowIfCancellationRequested();
                var open = chunk.Where(e => IsOpen(e.Asked)).Select(e => e.Asked).ToList();
                var responses = Responses(benchmark, runner, chunk, open);
                records.Append(own.Name, open.Select((item, k) => (item.Item, Key(benchmark, item, responses[k]), window.Of(item), responses[k])));
                for (var k = 0; k < open.Count; k++) answers[open[k].Row] = responses[k];
                progress(done += open.Count, answers.Length);
            }
        }
        Asking += clock.Elapsed;
    }

    // The model answers a chunk's known items once more beside those that are open, as it did or would have done; judges do not.
    private static IReadOnlyList<IReadOnlyList<EvalResponse>> Responses(IBenchmark benchmark, RequestRunner runner, IReadOnlyList<RequestRunner.Encoded> chunk, IReadOnlyList<Asked> open)
    {
        var isOpen = open.Select(item => item.Row).ToHashSet();
        var together = chunk.Where(e => isOpen.Contains(e.Asked.Row) || open.Any(item => item.AsksModel)).ToList();
        var said = runner.Answer([.. together.Select(e => isOpen.Contains(e.Asked.Row) ? e : e.OfModel())]);
        IReadOnlyList<IReadOnlyList<EvalResponse>> responses = [.. said.Where((_, k) => isOpen.Contains(together[k].Asked.Row))];
        if (benchmark is not IAsksAgain again) return responses;
        var further = runner.Judge([.. open.Select((item, k) => item with { Requests = BenchmarkContract.FollowUps(again, item.Item, responses[k]) })]);
        return [.. responses.Select((own, k) => (IReadOnlyList<EvalResponse>)[.. own, .. further[k]])];
    }

    // Only what nobody answered goes to the judges again; what the model wrote stays.
    private void AskJudges(IBenchmark benchmark, List<Asked> asked, IReadOnlyList<EvalResponse>?[] answers, List<int> unanswered, int done)
    {
        using var runner = new RequestRunner(model, judges, benchmark.Info, cancel);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        foreach (var chunk in unanswered.Chunk(Chunk))
        {
            cancel.ThrowIfCancellationRequested();
            var open = chunk.Select(k => Enumerable.Range(0, answers[k]!.Count).Where(r => IsUnanswered(answers[k]![r])).ToList()).ToList();
            var said = runner.Judge([.. chunk.Select((k, c) => asked[k] with { Requests = [.. open[c].Select(r => Questions(benchmark, asked[k], answers[k]!)[r])] })]);
            foreach (var (k, c) in chunk.Select((k, c) => (k, c))) answers[k] = [.. answers[k]!.Select((old, r) => open[c].IndexOf(r) is >= 0 and var at ? said[c][at] : old)];
            records.Append(own.Name, chunk.Select(k => (asked[k].Item, Key(benchmark, asked[k], answers[k]!), records.Window(own.Name, asked[k].Item), answers[k]!)).ToList());
            progress(done += chunk.Length, asked.Count);
        }
        Asking += clock.Elapsed;
    }

    /// <summary>Whether a judge was asked and nobody answered.</summary>
    internal static bool IsUnanswered(EvalResponse response) => response.Judgement?.Unanswered == true;

    // All that was asked for these answers: of a benchmark that asks again, the further questions too.
    private static IReadOnlyList<EvalRequest> Questions(IBenchmark benchmark, Asked asked, IReadOnlyList<EvalResponse> responses) =>
        benchmark is IAsksAgain again ? [.. asked.Requests, .. BenchmarkContract.FollowUps(again, asked.Item, [.. responses.Take(asked.Requests.Count)])] : asked.Requests;

    // Another judge's answers are not this one's, and those of a record with fewer answers than the model is asked for are nobody's.
    private string Key(IBenchmark benchmark, Asked asked, IReadOnlyList<EvalResponse> responses) =>
        benchmark is IAsksAgain && responses.Count < asked.Requests.Count ? "" : RequestJson.Key(Questions(benchmark, asked, responses), own.SpecialTokens, own.AsHarness);

    private static EvaluatedItem Scored(IBenchmark benchmark, Asked asked, IReadOnlyList<EvalResponse> responses)
    {
        var scores = BenchmarkContract.Scores(benchmark, asked.Item, responses);
        return new EvaluatedItem(asked.Item, Questions(benchmark, asked, responses), responses, scores);
    }
}
