// Long evaluations: what is answered is kept item by item, and only the rest is asked again.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Eval.Tests;

public sealed class RecordTests
{
    private string folder = "";

    private string File => Path.Combine(folder, "records.jsonl");

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-records-").FullName;

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    [Test]
    public void A_stopped_evaluation_asks_only_what_is_missing_and_ends_with_the_same_numbers()
    {
        var whole = Run(new Lines(150), File + ".whole", out _);
        // Stopped after the first chunk: the token fires when its items are done.
        using var stop = new CancellationTokenSource();
        using (var records = new ItemRecords(File, "m", _ => { }))
            Assert.That(() => new Evaluator(() => Models.Stories, null, records, (done, total) => { if (done > 0 && done < total) stop.Cancel(); }, stop.Token).Run(new Lines(150)), Throws.InstanceOf<OperationCanceledException>());
        var kept = System.IO.File.ReadAllLines(File).Length - 1;
        Assert.That(kept, Is.GreaterThan(0).And.LessThan(150));
        var resumed = Run(new Lines(150), File, out var first);
        Assert.That(first, Is.EqualTo(kept), "items that were not asked again");
        for (var k = 0; k < 150; k++) Assert.That(resumed.Items[k].Responses[0].LogProb, Is.EqualTo(whole.Items[k].Responses[0].LogProb).Within(2e-5));
        Assert.That(() => Run(new Lines(150), File, out _, () => throw new InvalidOperationException("loaded")), Throws.Nothing, "with all answers at hand no model is loaded");
    }

    // Where it is stopped before its end no other check comes.
    [Test]
    public void Answers_of_something_else_than_the_subject_are_never_written()
    {
        var isChanged = false;
        using (var records = new ItemRecords(File, "m", _ => { }) { Check = () => { if (isChanged) throw new UserErrorException("changed"); } })
            Assert.That(() => new Evaluator(() => Models.Stories, null, records, (done, _) => isChanged = done > 0, CancellationToken.None).Run(new Lines(150)), Throws.InstanceOf<UserErrorException>().With.Message.EqualTo("changed"));
        Assert.That(System.IO.File.ReadAllLines(File), Has.Length.EqualTo(65), "what was answered before");
    }

    // All samples of a large task together are more than a text may hold.
    [Test]
    public void A_sample_is_written_before_the_next_is_made()
    {
        long Written() => Directory.GetFiles(folder).Sum(file => new FileInfo(file).Length);
        var (text, written) = (new string('x', 200_000), new List<long>());
        var items = Enumerable.Range(0, 3).Select(k => new EvaluatedItem(new EvalItem($"{k}", new JsonObject { ["text"] = text }), [], [], new Watched(new ItemScore($"{k}", new Dictionary<string, double> { ["acc"] = k % 2 }), () => written.Add(Written())))).ToList();
        ResultFiles.Write(folder, [new Evaluated(new BenchmarkInfo("large", 1), items, [new MetricResult("acc", 1.0 / 3, null, 3, true)])], []);
        Assert.That(written, Has.Count.EqualTo(3));
        Assert.That((written[0], written[1] >= text.Length, written[2] >= 2 * text.Length), Is.EqualTo((0L, true, true)));
        var lines = System.IO.File.ReadAllLines(Path.Combine(folder, "samples_large.jsonl"));
        Assert.That(lines.Select(line => ((int)JsonNode.Parse(line)!["doc_id"]!, (double)JsonNode.Parse(line)!["acc"]!)), Is.EqualTo([(0, 0.0), (1, 1.0), (2, 0.0)]));
        Assert.That(Directory.GetFiles(folder), Has.Length.EqualTo(2), "samples and results.json");
    }

    // One score; tells when it is looked at.
    private sealed class Watched(ItemScore score, Action asked) : IReadOnlyList<ItemScore>
    {
        public int Count => 1;

        public ItemScore this[int index] => score;

        public IEnumerator<ItemScore> GetEnumerator()
        {
            asked();
            yield return score;
        }

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }

    [Test]
    public void A_damaged_tail_is_cut_and_its_items_are_asked_again()
    {
        Run(new Lines(80), File, out _);
        var bytes = System.IO.File.ReadAllBytes(File);
        System.IO.File.WriteAllBytes(File, [.. bytes[..^40], 0, 255, 17]);
        var warnings = new List<string>();
        using (var records = new ItemRecords(File, "m", warnings.Add))
        {
            Assert.That(warnings, Has.Count.EqualTo(1).And.Some.Contains("damaged"));
            long known = -1;
            var evaluated = new Evaluator(() => Models.Stories, null, records, (done, _) => known = known < 0 ? done : known, CancellationToken.None).Run(new Lines(80));
            Assert.That((known, evaluated.Items.Count), Is.EqualTo((79L, 80)));
        }
        Assert.That(System.IO.File.ReadAllLines(File), Has.Length.EqualTo(81));
    }

    // Lines are read one after the other: of every length around that of what is read at once, and one that is longer than all before it.
    [Test]
    public void Lines_of_any_length_are_read()
    {
        static IReadOnlyList<EvalResponse> Answer(int length) => [new EvalResponse(-1, length, false) { Texts = [new string('x', length)] }];
        int[] lengths = [1, 65_000, .. Enumerable.Range(65_300, 300), 400_000, 2, 70_000];
        using (var records = new ItemRecords(File, "m", text => Assert.Fail(text)))
            foreach (var length in lengths) records.Append("b", [(new EvalItem($"{length}", []), "k", null, Answer(length))]);
        var bytes = System.IO.File.ReadAllBytes(File);
        System.IO.File.WriteAllBytes(File, [.. bytes, .. Enumerable.Repeat((byte)'{', 200_000)]);
        var warnings = new List<string>();
        using (var records = new ItemRecords(File, "m", warnings.Add))
            foreach (var length in lengths) Assert.That(records.Find("b", new EvalItem($"{length}", []), _ => "k", null)?[0].Texts[0].Length, Is.EqualTo(length));
        Assert.That(warnings, Has.Count.EqualTo(1).And.Some.Contains("the last 200000 bytes are damaged and are cut off"));
        Assert.That(System.IO.File.ReadAllBytes(File), Is.EqualTo(bytes));
    }

    // One line loses itself alone; what is asked for it stands at the end, and the file needs nothing more.
    [TestCase("\0\0\0\0")]
    [TestCase("{\"benchmark\":\"lines\",\"benchmark\":\"lines\"}")]
    [TestCase("[1]")]
    public void A_damaged_line_loses_itself_alone(string damage)
    {
        var whole = Run(new Lines(80), File, out _);
        var lines = System.IO.File.ReadAllLines(File);
        lines[30] = damage;
        System.IO.File.WriteAllLines(File, lines);
        var warnings = new List<string>();
        new ItemRecords(File, "m", warnings.Add).Dispose();
        Assert.That(warnings, Has.Count.EqualTo(1).And.Some.Contains("line 31 is damaged"));
        var again = Run(new Lines(80), File, out var known);
        Assert.That((known, System.IO.File.ReadAllLines(File).Length), Is.EqualTo((79L, 82)));
        Assert.That(again.Items.Select(i => i.Responses[0].LogProb), Is.EqualTo(whole.Items.Select(i => i.Responses[0].LogProb)));
        Run(new Lines(80), File, out known, () => throw new InvalidOperationException("loaded"));
        Assert.That(known, Is.EqualTo(80));
    }

    [TestCase("{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n")]
    [TestCase("{\"subject\":\"art\",\"year\":3}\n")]
    [TestCase("{\"subject\":3}\n")]
    [TestCase("{\"subject\":\"m\",\"version\":\"new\"}\n")]
    [TestCase("{\"subject\":\"m\",\"version\":1.5}\n")]
    [TestCase("{\"subject\":\"m\",\"subject\":\"m\"}\n")]
    [TestCase("notes without an end")]
    [TestCase("\n")]
    public void A_file_of_somebody_else_s_is_refused_and_stays(string text)
    {
        System.IO.File.WriteAllText(File, text);
        Assert.That(() => new ItemRecords(File, "m", _ => { }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("holds other things than an evaluation"));
        Assert.That(() => EvalRun.Folder(folder), Throws.InstanceOf<UserErrorException>().With.Message.Contains("holds other things than an evaluation"));
        Assert.That(System.IO.File.ReadAllText(File), Is.EqualTo(text));
    }

    // Killed while the first line was written.
    [TestCase("")]
    [TestCase("{\"su")]
    [TestCase("{\"subject\":\"another mod")]
    public void A_first_line_that_was_not_finished_is_ours(string text)
    {
        System.IO.File.WriteAllText(File, text);
        Assert.That(() => EvalRun.Folder(folder), Throws.Nothing);
        Run(new Lines(3), File, out var known);
        Assert.That((known, System.IO.File.ReadAllLines(File).Length), Is.EqualTo((0L, 4)));
    }

    [Test]
    public void Answers_of_another_model_are_refused_and_those_to_another_question_are_not_used()
    {
        Run(new Lines(10), File, out _);
        Assert.That(() => new ItemRecords(File, "another", _ => { }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("another model"));
        Run(new Lines(10, " the end"), File, out var known);
        Assert.That(known, Is.Zero);
    }

    // An engine of another version may compute other numbers; one from before versions were written is another.
    [Test]
    public void Answers_of_another_version_are_refused_and_stay()
    {
        void Open(int? version) => new ItemRecords(File, "m", _ => { }, version).Dispose();
        using (var records = new ItemRecords(File, "m", _ => { }, 9)) records.Keep();
        Assert.That(() => Open(9), Throws.Nothing);
        Assert.That(() => EvalRun.Folder(folder), Throws.Nothing);
        Assert.That(() => Open(10), Throws.InstanceOf<UserErrorException>().With.Message.Contains($"{File} holds answers of version 9 of the engine's numbers, and this one is version 10").And.Message.Contains("another folder"));
        Run(new Lines(3), File + "old", out _);
        System.IO.File.Move(File + "old", File, overwrite: true);
        var before = System.IO.File.ReadAllText(File);
        Assert.That(() => Open(9), Throws.InstanceOf<UserErrorException>().With.Message.Contains("holds answers of an earlier version"));
        Assert.That(System.IO.File.ReadAllText(File), Is.EqualTo(before));
        Assert.That(() => Open(null), Throws.Nothing, "a plan's job is of one version by its id");
    }

    // With and without a begin token the same texts are other questions; records made without the option stay what they were.
    [Test]
    public void Answers_with_other_special_tokens_are_not_used()
    {
        double First(bool? special, out long known) => Run(new Lines(10) { Special = special }, File, out known).Items[0].Responses[0].LogProb;
        var with = First(true, out _);
        var without = First(false, out var known);
        Assert.That((known, Math.Abs(with - without) > 1e-3), Is.EqualTo((0L, true)));
        Assert.That(First(false, out known), Is.EqualTo(without));
        Assert.That(known, Is.EqualTo(10));
        First(null, out known);
        Assert.That(known, Is.Zero);
        Assert.That(RequestJson.Key([new EvalRequest.LogLikelihood("a", " b")], null), Is.EqualTo("6835349f56966ba824e70689d87f9b90"));
    }

    [Test]
    public void A_continuation_that_no_context_can_hold_is_named()
    {
        var error = Assert.Throws<UserErrorException>(() => Run(new Lines(3, string.Concat(Enumerable.Repeat(" the dog", 600))), File, out _))!;
        Assert.That(error.Message, Does.StartWith("item 0: ").And.Contain("512"));
        Assert.That(System.IO.File.Exists(File), Is.False, "what failed before an answer leaves nothing");
    }

    // The judge fails at the second chunk: the first is kept, whole, and the next try asks the rest.
    [Test]
    public void A_failed_evaluation_leaves_what_was_answered()
    {
        var desk = new Desk { Most = 100 };
        Evaluated Run()
        {
            using var records = new ItemRecords(File, "m", text => Assert.Fail(text));
            return new Evaluator(() => Models.Stories, desk, records, (_, _) => { }, CancellationToken.None).Run(new Judged("one", asksModel: false, items: 150));
        }
        Assert.That(Run, Throws.InstanceOf<UserErrorException>().With.Message.Contains("the judge is away"));
        var lines = System.IO.File.ReadAllLines(File);
        Assert.That(lines, Has.Length.EqualTo(1 + 64));
        Assert.That(lines.Select(line => JsonNode.Parse(line)), Is.All.Not.Null);
        (desk.Most, desk.Asked) = (int.MaxValue, 0);
        Assert.That((Run().Items.Count, desk.Asked), Is.EqualTo((150, 86)));
    }

    // The service is away for every other question: the rerun puts those alone to the judge, and to no model.
    [TestCase(true)]
    [TestCase(false)]
    public void What_nobody_answered_is_asked_again_of_the_judge_alone(bool asksModel)
    {
        var desk = new Desk { Away = k => k % 2 == 1 };
        Evaluated Run(Func<EvalModel> model)
        {
            using var records = new ItemRecords(File, "m", text => Assert.Fail(text));
            return new Evaluator(model, desk, records, (_, _) => { }, CancellationToken.None).Run(new Judged("one", asksModel, items: 100));
        }
        EvalModel Loaded() => throw new InvalidOperationException("loaded");
        static JudgeAnswer Said(EvaluatedItem item) => item.Responses[^1].Judgement!;
        var first = Run(() => Models.Stories);
        Assert.That((first.Items.Count(i => Said(i).Failure is not null), desk.Asked), Is.EqualTo((50, 100)));
        Assert.That(first.Missed, Does.Contain("50 of the judge's questions").And.Contain("same command"));
        (desk.Away, desk.Asked) = (_ => false, 0);
        var second = Run(Loaded);
        Assert.That((desk.Asked, second.Missed), Is.EqualTo((50, (string?)null)));
        Assert.That(second.Items.Select(i => Said(i).Text), Is.All.EqualTo("one"));
        Assert.That(second.Items.SelectMany(i => i.Responses.SkipLast(1)).SelectMany(r => r.Texts), Is.EqualTo(first.Items.SelectMany(i => i.Responses.SkipLast(1)).SelectMany(r => r.Texts)));
        Run(Loaded);
        Assert.That(desk.Asked, Is.EqualTo(50), "what was answered late is kept too");
    }

    [Test]
    public void What_the_judge_would_not_say_is_an_answer()
    {
        var desk = new Desk { Refuses = true };
        for (var k = 0; k < 2; k++)
        {
            using var records = new ItemRecords(File, "m", _ => { });
            var evaluated = new Evaluator(() => Models.Stories, desk, records, (_, _) => { }, CancellationToken.None).Run(new Judged("one", asksModel: false));
            Assert.That((evaluated.Items[0].Responses[0].Judgement!.Failure, evaluated.Missed, desk.Asked), Is.EqualTo(("refused", (string?)null, 2)));
        }
    }

    [Test]
    public void What_another_judge_said_is_not_this_one_s()
    {
        var desk = new Desk();
        Evaluated Said(string judge)
        {
            using var records = new ItemRecords(File, "m", _ => { });
            return new Evaluator(() => Models.Stories, desk, records, (_, _) => { }, CancellationToken.None).Run(new Judged(judge));
        }
        Assert.That(Said("one").Items.Select(i => i.Responses[1].Judgement!.Text), Is.All.EqualTo("one"));
        Said("one");
        Assert.That(desk.Asked, Is.EqualTo(2), "all of its answers are known");
        Assert.That(Said("two").Items.Select(i => i.Responses[1].Judgement!.Text), Is.All.EqualTo("two"));
        Assert.That(desk.Asked, Is.EqualTo(4));
    }

    [Test]
    public void Where_only_judges_are_asked_no_model_is_loaded()
    {
        var desk = new Desk();
        using var records = new ItemRecords(File, "m", _ => { });
        var evaluated = new Evaluator(() => throw new InvalidOperationException("loaded"), desk, records, (_, _) => { }, CancellationToken.None).Run(new Judged("one", asksModel: false));
        Assert.That((evaluated.Items.Count, desk.Asked), Is.EqualTo((2, 2)));
    }

    // Two items, written by the model or at hand, and what a judge says of each.
    private sealed class Judged(string judge, bool asksModel = true, int items = 2) : IBenchmark, IAsksAgain
    {
        private readonly JudgeReference by = new(new JsonObject { ["name"] = judge });

        public BenchmarkInfo Info { get; } = new("judged", 1);

        public IEnumerable<EvalItem> Items() => Enumerable.Range(0, items).Select(k => new EvalItem($"{k}", new JsonObject { ["text"] = k % 2 == 0 ? "Once" : "The" }));

        public IReadOnlyList<EvalRequest> Requests(EvalItem item) => asksModel ? [new EvalRequest.Generate((string)item.Document["text"]!) { MaxNewTokens = 2 }] : [Ask((string)item.Document["text"]!)];

        public IReadOnlyList<EvalRequest> FollowUps(EvalItem item, IReadOnlyList<EvalResponse> responses) => asksModel ? [Ask(responses[0].Texts[0])] : [];

        public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => [new ItemScore(item.Id, new Dictionary<string, double> { ["n"] = 1 })];

        public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => [new MetricResult("n", items.Count, null, items.Count, HigherIsBetter: true)];

        private EvalRequest Ask(string text) => new EvalRequest.Judge(by, new JudgeQuestion.Ask(text));
    }

    private sealed class Desk : IJudges
    {
        internal int Asked { get; set; }

        internal int Most { get; set; } = int.MaxValue;

        internal Func<int, bool> Away { get; set; } = _ => false;

        internal bool Refuses { get; init; }

        public IJudge Open(JudgeReference judge) => new Echo(this, (string)judge.Definition["name"]!);

        private sealed class Echo(Desk desk, string name) : IJudge
        {
            public JudgeInfo Info { get; } = new(name, JudgeSkills.Ask);

            public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default)
            {
                desk.Asked += questions.Count;
                if (desk.Asked > desk.Most) throw new UserErrorException("the judge is away");
                return [.. questions.Select((_, k) => desk.Away(k) ? JudgeAnswer.Failed("no reply") with { Unanswered = true } : desk.Refuses ? JudgeAnswer.Failed("refused") : new JudgeAnswer { Text = name })];
            }
        }
    }

    private static Evaluated Run(IBenchmark benchmark, string file, out long known, Func<EvalModel>? model = null)
    {
        using var records = new ItemRecords(file, "m", _ => { });
        long first = -1;
        var evaluated = new Evaluator(model ?? (() => Models.Stories), null, records, (done, _) => first = first < 0 ? done : first, CancellationToken.None).Run(benchmark);
        known = first;
        return evaluated;
    }

    private sealed class Lines(int count, string ending = " was happy") : IBenchmark
    {
        internal bool? Special { get; init; }

        public BenchmarkInfo Info => new("lines", 1) { AddSpecialTokens = Special };

        public IEnumerable<EvalItem> Items() => Enumerable.Range(0, count).Select(k => new EvalItem($"{k}", new JsonObject { ["k"] = k }));

        public IReadOnlyList<EvalRequest> Requests(EvalItem item) => [new EvalRequest.LogLikelihood($"Once upon a time, there was a little girl named Lily. She had {item.Id} toys and she", ending)];

        public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => [new ItemScore(item.Id, new Dictionary<string, double> { ["logprob"] = responses[0].LogProb })];

        public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => [new MetricResult("logprob", items.Average(i => i.Scores["logprob"]), null, items.Count, true)];
    }
}
