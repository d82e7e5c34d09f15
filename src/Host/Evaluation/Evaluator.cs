// One benchmark on one model: items are asked in chunks, each chunk's answers are kept before the next is asked, and scores are
// made from the answers at the end, so that a run that was stopped asks only what is missing.

using PeftAlign.Abstractions;

namespace PeftAlign.Host.Evaluation;

/// <summary>An item with all that was asked, answered and scored.</summary>
internal sealed record EvaluatedItem(EvalItem Item, IReadOnlyList<EvalRequest> Requests, IReadOnlyList<EvalResponse> Responses, IReadOnlyList<ItemScore> Scores);

/// <summary>A benchmark's outcome on a model.</summary>
internal sealed record Evaluated(BenchmarkInfo Info, IReadOnlyList<EvaluatedItem> Items, IReadOnlyList<MetricResult> Metrics);

/// <param name="model">Loads the model; called only where something is to be asked.</param>
/// <param name="judges">Opens judges; null where there are none.</param>
/// <param name="records">Answers that are known.</param>
/// <param name="progress">Told of items done and in all.</param>
/// <param name="cancel">Ends the work between chunks.</param>
internal sealed class Evaluator(Func<EvalModel> model, IJudges? judges, ItemRecords records, Action<long, long> progress, CancellationToken cancel)
{
    // Items whose contexts are encoded at once, to find what they share; items that are answered and kept together.
    private const int Window = 2048, Chunk = 64;

    /// <summary>How long the model was asked, without loading it.</summary>
    internal TimeSpan Asking { get; private set; }

    /// <summary>Asks what is not known yet, and scores.</summary>
    /// <exception cref="UserErrorException">The benchmark's data or an item is at fault.</exception>
    internal Evaluated Run(IBenchmark benchmark)
    {
        var (name, items) = (benchmark.Info.Id, benchmark.Items().ToList());
        if (items.Count == 0) throw new UserErrorException($"Benchmark {name} has no items.");
        if (items.GroupBy(i => (i.Task, i.Id)).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new InvalidDataException($"benchmark {name} has two items {twice.Key.Id} in task '{twice.Key.Task}'; its author must give each an id of its own");
        var asked = items.Select((item, row) => new Asked(item, row, benchmark.Requests(item))).ToList();
        // An item that brings its own answers (a judgement that was made before) asks nothing.
        var answers = items.Select((item, k) => asked[k].Requests.Count == 0 && benchmark is not IAsksAgain ? [] : records.Find(name, item, known => Key(benchmark, asked[k], known))).ToArray();
        var missing = Enumerable.Range(0, items.Count).Where(k => answers[k] is null).ToList();
        progress(items.Count - missing.Count, items.Count);
        if (missing.Count > 0) Ask(benchmark, asked, answers, missing);
        var evaluated = asked.Select((a, k) => Scored(benchmark, a, answers[k]!)).ToList();
        var metrics = benchmark.Aggregate([.. evaluated.SelectMany(e => e.Scores)]);
        if (metrics.Count == 0) throw new InvalidDataException($"benchmark {name} has no metric");
        return new Evaluated(benchmark.Info, evaluated, metrics);
    }

    private void Ask(IBenchmark benchmark, List<Asked> asked, IReadOnlyList<EvalResponse>?[] answers, List<int> missing)
    {
        // Loaded before the clock runs, where anything is asked of it; what only judges are asked needs no model.
        var loaded = missing.Exists(k => asked[k].Requests.Any(r => r is not EvalRequest.Judge)) ? model() : null;
        using var runner = new RequestRunner(() => loaded ??= model(), judges, benchmark.Info, cancel);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var done = asked.Count - missing.Count;
        foreach (var window in missing.GroupBy(k => asked[k].Item.Task).SelectMany(task => task.Chunk(Window)))
        {
            var encoded = window.Select(k => (Place: k, Encoded: runner.Encode(asked[k]))).ToList();
            runner.Share([.. encoded.Select(e => e.Encoded)]);
            // Like lengths together, the longest first: little is padded, and what needs most memory is known at once.
            foreach (var chunk in encoded.OrderByDescending(e => e.Encoded.Length).Chunk(Chunk))
            {
                cancel.ThrowIfCancellationRequested();
                var responses = runner.Answer([.. chunk.Select(c => c.Encoded)]);
                if (benchmark is IAsksAgain again)
                {
                    var further = runner.Judge([.. chunk.Select((c, k) => c.Encoded.Asked with { Requests = again.FollowUps(c.Encoded.Asked.Item, responses[k]) })]);
                    responses = [.. responses.Select((own, k) => (IReadOnlyList<EvalResponse>)[.. own, .. further[k]])];
                }
                records.Append(benchmark.Info.Id, chunk.Select((c, k) => (asked[c.Place].Item, Key(benchmark, asked[c.Place], responses[k]), responses[k])));
                for (var k = 0; k < chunk.Length; k++) answers[chunk[k].Place] = responses[k];
                progress(done += chunk.Length, asked.Count);
            }
        }
        Asking = clock.Elapsed;
    }

    // Of a benchmark that asks again, the further questions too: another judge's answers are not this one's.
    private static string Key(IBenchmark benchmark, Asked asked, IReadOnlyList<EvalResponse> responses)
    {
        var special = benchmark.Info.AddSpecialTokens;
        if (benchmark is not IAsksAgain again) return RequestJson.Key(asked.Requests, special);
        return responses.Count < asked.Requests.Count ? "" : RequestJson.Key([.. asked.Requests, .. again.FollowUps(asked.Item, [.. responses.Take(asked.Requests.Count)])], special);
    }

    private static EvaluatedItem Scored(IBenchmark benchmark, Asked asked, IReadOnlyList<EvalResponse> responses)
    {
        var scores = benchmark.Score(asked.Item, responses);
        IReadOnlyList<EvalRequest> requests = benchmark is IAsksAgain again ? [.. asked.Requests, .. again.FollowUps(asked.Item, [.. responses.Take(asked.Requests.Count)])] : asked.Requests;
        return new EvaluatedItem(asked.Item, requests, responses, scores);
    }
}
