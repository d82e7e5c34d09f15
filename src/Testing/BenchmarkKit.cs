// Benchmarks: items with stable ids, each scored by itself (so that a run resumes in the middle), sane numbers, and an answer for
// no items at all. conformance/benchmark.NAME.json: { "options": {...}, "items": N }; an option that names a data set is
// { "rows": [{...}, ...] }, one that names a file means one beside it.

using PeftAlign.Abstractions;
using PeftAlign.Plugins;

namespace PeftAlign.Testing;

internal static class BenchmarkKit
{
    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Evaluation> Check)[] rules =
        [
            ("has the sample's items", HasTheSamplesItems),
            ("has stable, distinct ids", HasStableIds),
            ("asks the same again", AsksTheSameAgain),
            ("scores the same when resumed in the middle", ResumesInTheMiddle),
            ("gives finite numbers with their errors", GivesFiniteNumbers),
            ("answers for no items", AnswersForNoItems),
        ];
        return rules.Select(rule => new ConformanceCheck($"benchmark {provided.Name}: {rule.Rule}", () => rule.Check(new Evaluation(subject, provided, subject.Sample(provided)))));
    }

    private sealed record Evaluation(Subject Subject, ProvidedContract Provided, Sample Sample)
    {
        public IBenchmark Benchmark() => Subject.Create<IBenchmark>(Provided, Sample.Options);

        /// <summary>Scores of items from the given one on, by a new instance, as a resumed run has them.</summary>
        public List<ItemScore> Scores(int from)
        {
            var benchmark = Benchmark();
            return [.. benchmark.Items().Skip(from).SelectMany(item => Score(benchmark, item))];
        }

        private static IReadOnlyList<ItemScore> Score(IBenchmark benchmark, EvalItem item)
        {
            List<EvalResponse> answers = [.. benchmark.Requests(item).Select(Answer)];
            if (benchmark is IAsksAgain again) answers.AddRange(again.FollowUps(item, answers).Select(Answer));
            return benchmark.Score(item, answers);
        }

        // Fixed by the request alone: some right, some wrong.
        private static EvalResponse Answer(EvalRequest request)
        {
            var hash = request.ToString().Aggregate(17, (sum, letter) => unchecked((sum * 31) + letter));
            var answer = new EvalResponse(-1 - Math.Abs(hash % 97) / 10.0, 1 + Math.Abs(hash % 5), hash % 2 == 0);
            if (request is EvalRequest.Judge) answer = answer with { Judgement = new JudgeAnswer { Scores = [hash % 11], Preference = 0.5, Text = $"answer {hash % 7}" } };
            return request is EvalRequest.Generate ask ? answer with { Texts = [.. Enumerable.Range(0, ask.Samples).Select(k => $"answer {Math.Abs(hash % 7) + k}")] } : answer;
        }
    }

    private static void HasTheSamplesItems(Evaluation evaluation)
    {
        var count = evaluation.Benchmark().Items().Count();
        var wanted = evaluation.Sample.Number("items") ?? throw new ConformanceException("The sample does not say how many \"items\" it has.");
        Expect.That(count == wanted, $"The sample has {wanted} items, but {count} came.");
    }

    private static void HasStableIds(Evaluation evaluation)
    {
        var first = evaluation.Benchmark().Items().Select(item => (item.Task, item.Id)).ToArray();
        var second = evaluation.Benchmark().Items().Select(item => (item.Task, item.Id)).ToArray();
        Expect.That(first.SequenceEqual(second), "Two instances gave items of other ids or in another order; results are matched by id.");
        Expect.That(first.Distinct().Count() == first.Length, $"Ids must be distinct; twice there is {first.GroupBy(id => id).FirstOrDefault(group => group.Count() > 1)?.Key.Id}.");
    }

    private static void AsksTheSameAgain(Evaluation evaluation)
    {
        var benchmark = evaluation.Benchmark();
        foreach (var item in benchmark.Items())
        {
            var requests = benchmark.Requests(item).Select(request => request.ToString()).ToArray();
            Expect.That(requests.Length > 0, $"Item {item.Id} asks nothing.");
            Expect.That(requests.SequenceEqual(benchmark.Requests(item).Select(request => request.ToString())), $"Item {item.Id} asked something else the second time.");
        }
    }

    private static void ResumesInTheMiddle(Evaluation evaluation)
    {
        var whole = evaluation.Scores(0);
        var rest = evaluation.Scores(whole.Count / 2);
        Expect.That(whole.Skip(whole.Count / 2).Select(Text).SequenceEqual(rest.Select(Text)), "An item's score must not depend on the items before it: a resumed run scored the second half differently.");
    }

    private static void GivesFiniteNumbers(Evaluation evaluation)
    {
        var results = evaluation.Benchmark().Aggregate(evaluation.Scores(0));
        Expect.That(results.Count > 0, "No metric came out.");
        foreach (var result in results)
        {
            Expect.That(double.IsFinite(result.Value), $"{result.Metric} is {result.Value}.");
            Expect.That(result.StandardError is null or >= 0 and < double.PositiveInfinity, $"{result.Metric} has the standard error {result.StandardError}; it is at least 0, or null.");
            Expect.That(result.Count > 0, $"{result.Metric} says that {result.Count} items are behind it.");
        }
    }

    private static void AnswersForNoItems(Evaluation evaluation)
    {
        try
        {
            var results = evaluation.Benchmark().Aggregate([]);
            Expect.That(results.All(result => result.Count == 0), "From no items, Aggregate returned numbers with items behind them.");
        }
        catch (Exception e) when (e is not (UserErrorException or ConformanceException))
        {
            throw new ConformanceException($"Aggregate of no items (a limit of 0, an empty subset) returns nothing or a count of 0; thrown was {e.GetType().Name}: {e.Message}", e);
        }
    }

    private static string Text(ItemScore score) => score.Task + score.Id + score.Filter + ": " + string.Join(", ", score.Scores.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key} {pair.Value:R}"));
}
