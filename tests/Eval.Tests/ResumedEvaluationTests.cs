// An evaluation that was stopped ends with the bytes of one that was not: what is computed together does not depend on what is known.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Eval.Tests;

public sealed class ResumedEvaluationTests
{
    private const int Window = 160;

    private string folder = "";

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-resumed-").FullName;

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    // Windows of 160 items are chunks of 64, 64 and 32: stopped inside the first window, at its end and inside the second of the first task, and in the second task.
    [TestCase(1)]
    [TestCase(3)]
    [TestCase(4)]
    [TestCase(7)]
    public void Stopped_after_some_chunks(int chunks)
    {
        var whole = Run("whole", new Stories(300, 100));
        var told = 0;
        using var stop = new CancellationTokenSource();
        Assert.That(() => Run("stopped", new Stories(300, 100), () => { if (++told > chunks) stop.Cancel(); }, stop.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Lines("stopped"), Has.Length.GreaterThan(1).And.Length.LessThan(401));
        Same(Run("stopped", new Stories(300, 100)), whole);
        Assert.That(File.ReadAllBytes(Records("stopped")), Is.EqualTo(File.ReadAllBytes(Records("whole"))));
    }

    // Killed while it wrote, in the midst of a chunk.
    [Test]
    public void Torn_in_the_midst_of_a_chunk()
    {
        var whole = Run("whole", new Stories(300, 100));
        File.WriteAllText(Records("torn"), string.Join('\n', Lines("whole")[..211]) + "\n{\"benchmark\":\"st");
        Same(Run("torn", new Stories(300, 100)), whole);
        Assert.That(File.ReadAllBytes(Records("torn")), Is.EqualTo(File.ReadAllBytes(Records("whole"))));
    }

    // Full windows stay what they are; the last ones, which were not full, have other members now.
    [Test]
    public void With_more_items_than_before()
    {
        var whole = Run("whole", new Stories(300, 100));
        Run("less", new Stories(200, 50));
        long first = -1;
        var more = Run("less", new Stories(300, 100), said: done => first = first < 0 ? done : first);
        Same(more, whole);
        Assert.That(first, Is.EqualTo(160), "items of the window that was full");
    }

    // Random numbers go by an item's number among all.
    [Test]
    public void With_more_items_whose_answers_are_drawn()
    {
        var whole = Run("whole", new Stories(20, 10) { Drawn = true });
        Run("less", new Stories(10, 10) { Drawn = true });
        Same(Run("less", new Stories(20, 10) { Drawn = true }), whole);
    }

    // What records of before said nothing of: a finished evaluation stays finished, one that lacks answers is asked again where it does.
    [TestCase(401, 400)]
    [TestCase(211, 160)]
    public void From_records_that_name_no_window(int lines, int known)
    {
        var whole = Run("whole", new Stories(300, 100));
        File.WriteAllLines(Records("older"), Lines("whole")[..lines].Select(line =>
        {
            var record = JsonNode.Parse(line)!.AsObject();
            Assert.That(record.Remove("window"), Is.EqualTo(!record.ContainsKey("subject")));
            return record.ToJsonString();
        }));
        long first = -1;
        Same(Run("older", new Stories(300, 100), said: done => first = first < 0 ? done : first), whole);
        Assert.That(first, Is.EqualTo(known));
    }

    private string Records(string name) => Path.Combine(folder, name);

    private string[] Lines(string name) => File.ReadAllLines(Records(name));

    private static void Same(Evaluated now, Evaluated whole)
    {
        Assert.That(now.Items.Select(i => i.Responses[0].LogProb), Is.EqualTo(whole.Items.Select(i => i.Responses[0].LogProb)));
        Assert.That(now.Items.SelectMany(i => i.Responses[0].Texts), Is.EqualTo(whole.Items.SelectMany(i => i.Responses[0].Texts)));
        Assert.That(now.Metrics, Is.EqualTo(whole.Metrics));
    }

    private Evaluated Run(string name, Stories benchmark, Action? chunk = null, CancellationToken cancel = default, Action<long>? said = null)
    {
        using var records = new ItemRecords(Records(name), "m", _ => { });
        return new Evaluator(() => Models.Stories, null, records, Tell, cancel) { Window = Window }.Run(benchmark);
        void Tell(long done, long total)
        {
            chunk?.Invoke();
            said?.Invoke(done);
        }
    }

    // Two tasks of lines of many lengths, the longest anywhere.
    private sealed class Stories(int first, int second) : IBenchmark
    {
        internal bool Drawn { get; init; }

        public BenchmarkInfo Info => new("stories", 1);

        public IEnumerable<EvalItem> Items() => [.. Of("a", first), .. Of("b", second)];

        public IReadOnlyList<EvalRequest> Requests(EvalItem item)
        {
            var text = $"{item.Task}: Once upon a time" + string.Concat(Enumerable.Repeat(" and then", (int.Parse(item.Id) * 7 % 13) + 1)) + $" {item.Id} toys";
            return [Drawn ? new EvalRequest.Generate(text) { MaxNewTokens = 4, Temperature = 1, Seed = 3 } : new EvalRequest.LogLikelihood(text, " were happy")];
        }

        public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => [new ItemScore(item.Id, new Dictionary<string, double> { ["logprob"] = responses[0].LogProb })];

        public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => [new MetricResult("logprob", items.Average(i => i.Scores["logprob"]), null, items.Count, true)];

        private static IEnumerable<EvalItem> Of(string task, int count) => Enumerable.Range(0, count).Select(k => new EvalItem($"{k}", new JsonObject { ["k"] = k }) { Task = task });
    }
}
