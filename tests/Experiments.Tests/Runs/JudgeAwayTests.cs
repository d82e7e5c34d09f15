// A judge's service that is away for some questions of a run: the run says so, and the next one asks them again and nothing else.

using System.Text.Json.Nodes;
using PeftAlign.Judges.Tests;

namespace PeftAlign.Experiments.Tests;

public sealed class JudgeAwayTests
{
    private const string Label = "evaluate/winrate/tiny";
    private const int Pairs = 6;

    private static string Manifest(string url) => Manifests.Tiny + $$"""
        name: away
        seeds: [1]
        judges:
          service: { type: openai, url: '{{url}}', model: m, key_env: '', attempts: 1, transcript: transcript, concurrency: 1 }
        evaluate:
          - { of: untouched, with: [{ type: winrate, answers: mine.jsonl, records: theirs.jsonl, judge: service, order: model_first }] }
        """;

    [Test]
    public void A_finished_evaluation_keeps_its_numbers_where_its_judge_cannot_be_asked_again()
    {
        using var user = new Peftalign();
        WritePairs(user);
        var (status, open) = (500, new[] { "1", "4" });
        using var service = new LocalService((_, body) => open.Any(k => body.ToJsonString().Contains($"question {k}?", StringComparison.Ordinal)) ? (status, "{}", 0) : LocalService.Says("[[A]]"));
        var manifest = user.Write("away.yaml", Manifest(service.Url).Replace("transcript: transcript", $"transcript: '{user.File("transcript")}'"));
        user.Finish(manifest);
        var page = Path.Combine(user.Run, "report.html");
        File.Delete(page);

        status = 401; // ends the job
        var refused = Peftalign.Call("run", manifest, "--out", user.Run);
        Assert.That(refused.Code, Is.EqualTo(2), refused.All);
        Assert.That(refused.Err, Does.Contain($"failed: {Label}: The judge's service").And.Contain("; its former result stays").And.Contain($"{Label}: nobody answered 2 of the judge's questions"));
        Assert.That(Rates(user), Is.EqualTo((4, 2, (int?)2)));
        Assert.That(File.ReadAllText(page), Does.Contain("Nobody answered 2"));

        open = [];
        var last = user.Finish(manifest);
        Assert.That(last.Err, Does.Not.Contain("nobody answered"));
        Assert.That(Rates(user), Is.EqualTo((Pairs, 0, (int?)null)));
    }

    [Test]
    public void What_another_try_takes_is_added_to_what_the_evaluation_took_and_only_failures_that_stay_count()
    {
        using var user = new Peftalign();
        WritePairs(user);
        string[] open = ["1", "4"];
        using var service = new LocalService((_, body) => open.Any(k => body.ToJsonString().Contains($"question {k}?", StringComparison.Ordinal)) ? (500, "{}", 0) : LocalService.Says("[[A]]"));
        var manifest = user.Write("away.yaml", Manifest(service.Url).Replace("transcript: transcript", $"transcript: '{user.File("transcript")}'"));
        user.Finish(manifest);
        Assert.That(Bill(user), Is.EqualTo((6L, 2L)));
        // As if its first try had loaded a model.
        var file = Directory.GetFiles(Path.Combine(user.Run, "jobs"), "judging.json", SearchOption.AllDirectories).Single().Replace("judging.json", "timing.json", StringComparison.Ordinal);
        File.WriteAllText(file, """{"started":"2020-01-02T03:04:05.000Z","seconds":1000,"processor_seconds":2000,"peak_memory_bytes":9000000000000,"threads":2,"machine":"m","device":"cuda:7"}""");

        open = ["4"];
        user.Finish(manifest);
        Assert.That(Bill(user), Is.EqualTo((8L, 1L)));
        var timing = Peftalign.Json(file);
        Assert.That((double)timing["seconds"]!, Is.GreaterThan(1000).And.LessThan(1600));
        Assert.That((double)timing["processor_seconds"]!, Is.GreaterThan(2000).And.LessThan(2600));
        Assert.That(((string?)timing["started"], (long)timing["peak_memory_bytes"]!, (string?)timing["device"]), Is.EqualTo(("2020-01-02T03:04:05.000Z", 9_000_000_000_000, "cuda:7")));

        open = [];
        user.Finish(manifest);
        Assert.That(Bill(user), Is.EqualTo((9L, 0L)));
    }

    // Of the report.
    private static (long Questions, long Failures) Bill(Peftalign user)
    {
        var bill = Peftalign.Json(Path.Combine(user.Run, "report.json"))["judges"]!.AsArray().Single()!;
        return ((long)bill["questions"]!, (long)bill["failures"]!);
    }

    [Test]
    public void What_nobody_answered_is_asked_again_by_the_next_run_and_told_until_then()
    {
        using var user = new Peftalign();
        WritePairs(user);
        bool IsAway(string body, string[] open) => open.Any(k => body.Contains($"question {k}?", StringComparison.Ordinal));
        string[] open = ["1", "2", "4"];
        using var service = new LocalService((_, body) => IsAway(body.ToJsonString(), open) ? (500, "{}", 0) : LocalService.Says("[[A]]"));
        var manifest = user.Write("away.yaml", Manifest(service.Url).Replace("transcript: transcript", $"transcript: '{user.File("transcript")}'"));

        var first = user.Finish(manifest);
        Assert.That(first.Err, Does.Contain($"warning: {Label}: nobody answered 3 of the judge's questions; the same command asks them again"));
        Assert.That(Rates(user), Is.EqualTo((3, 3, (int?)3)));
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "report.html")), Does.Contain($"Nobody answered 3 of the judges&#39; questions: 3 of {Label}").Or.Contain($"Nobody answered 3 of the judges' questions: 3 of {Label}"));
        var dry = Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run");
        Assert.That(dry.Out, Does.Contain($"{Label} (asks the judge 3 questions again)"), dry.All);

        var forecast = JsonNode.Parse(Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run", "--json").Out)!["forecast"]!;
        var kind = forecast["kinds"]!["evaluate"]!;
        Assert.That(((int)kind["finished"]!, (double)kind["seconds"]!, (long)forecast["questions_to_services"]!), Is.EqualTo((0, 3.0, 3L)), forecast.ToJsonString());

        (open, var before) = (["4"], service.Requests);
        var second = user.Finish(manifest);
        Assert.That(second.Err, Does.Contain("1 of 2 jobs are finished already").And.Contain("nobody answered 1 of the judge's questions"));
        Assert.That((Rates(user), service.Requests - before), Is.EqualTo(((5, 1, (int?)1), 3)));

        (open, before) = ([], service.Requests);
        var third = user.Finish(manifest);
        Assert.That(third.Err, Does.Not.Contain("nobody answered"));
        Assert.That((Rates(user), service.Requests - before), Is.EqualTo(((Pairs, 0, (int?)null), 1)));
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "report.html")), Does.Not.Contain("Nobody answered"));
        Assert.That(user.Finish(manifest).Err, Does.Contain("nothing to do"));
    }

    [Test]
    public void A_data_set_is_not_made_while_its_judge_is_away_and_the_next_run_asks_the_rest()
    {
        using var user = new Peftalign();
        WritePrompts(user);
        var (away, asked) = (true, 0);
        // Grades of neighbours differ, so that no two samples of a prompt tie.
        using var service = new LocalService((_, body) => away && body.ToJsonString() is var text && (text.Contains("question 1?", StringComparison.Ordinal) || text.Contains("question 4?", StringComparison.Ordinal)) ? (500, "{}", 0) : LocalService.Says($"{1 + (Interlocked.Increment(ref asked) % 9)}"));
        var manifest = user.Write("made.yaml", Made(service.Url, user.File("transcript")));
        var first = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "1");
        Assert.That(first.Code, Is.EqualTo(1), first.All);
        Assert.That(first.Err, Does.Contain($"the judge m left 4 of 12 questions unanswered (the service answered 500, 2 times), and a data set is not made without their rows; its answers are kept in {user.File("transcript")}, and the same command asks the rest once the judge answers").And.Not.Contain("   at "));
        var made = Directory.GetFiles(Path.Combine(user.Run, "jobs"), "judging.json", SearchOption.AllDirectories).Select(file => Path.GetDirectoryName(file)!).Single();
        Assert.That(Directory.GetFiles(made).Select(Path.GetFileName), Does.Not.Contain("rows.jsonl").And.Not.Contain("result.json"));
        Assert.That(first.Err, Does.Not.Contain("started train"));

        (away, var before) = (false, service.Requests);
        user.Finish(manifest);
        Assert.That(service.Requests - before, Is.EqualTo(4), "what was answered is not asked again");
        var prompts = File.ReadLines(Path.Combine(made, "rows.jsonl")).Select(row => (string)JsonNode.Parse(row)!["prompt"]!);
        Assert.That(prompts, Is.EqualTo(Enumerable.Range(0, Pairs).Select(k => $"question {k}?")));
        Assert.That((int)Peftalign.Json(Path.Combine(made, "judging.json"))[0]!["failures"]!, Is.Zero);
    }

    [Test]
    public void An_offline_run_makes_the_same_data_set_and_says_what_to_do_where_it_cannot()
    {
        using var user = new Peftalign();
        WritePrompts(user);
        var asked = 0;
        using var service = new LocalService((_, body) => body.ToJsonString().Contains("question 1?", StringComparison.Ordinal) ? (400, "too long", 0) : LocalService.Says($"{1 + (Interlocked.Increment(ref asked) % 9)}"));
        var online = Made(service.Url, user.File("transcript"));
        string Rows(string run) => File.ReadAllText(Directory.GetFiles(Path.Combine(run, "jobs"), "rows.jsonl", SearchOption.AllDirectories).Single());
        user.Finish(user.Write("made.yaml", online));
        Assert.That(Rows(user.Run).Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(Pairs - 1));

        var (offline, before) = (online.Replace("attempts: 2", "attempts: 2, offline: true", StringComparison.Ordinal), service.Requests);
        var again = Peftalign.Call("run", user.Write("offline.yaml", offline), "--out", user.File("again"), "--threads", "1");
        Assert.That((again.Code, service.Requests - before), Is.EqualTo((0, 0)), again.All);
        Assert.That(Rows(user.File("again")), Is.EqualTo(Rows(user.Run)));

        var empty = Peftalign.Call("run", user.Write("empty.yaml", offline.Replace(user.File("transcript"), user.File("nothing"), StringComparison.Ordinal)), "--out", user.File("empty"), "--threads", "1");
        Assert.That(empty.Code, Is.EqualTo(2), empty.All);
        Assert.That(empty.Err, Does.Contain($"left 12 of 12 questions unanswered (the transcript holds no answer, and the judge is offline), and a data set is not made without their rows; turn offline off, or give the transcript that holds the answers (it read {user.File("nothing")}).").And.Not.Contain("once the judge answers"));
    }

    [Test]
    public void A_judge_that_does_not_fit_is_told_before_anything_starts()
    {
        using var user = new Peftalign();
        user.Write("rtp.jsonl", """{"prompt": {"text": "Once", "toxicity": 0.9}}""");
        var manifest = user.Write("away.yaml", Manifest("http://127.0.0.1:1").Replace("{ type: winrate, answers: mine.jsonl, records: theirs.jsonl, judge: service, order: model_first }", "{ type: real_toxicity, path: rtp.jsonl, judge: service }"));
        foreach (var more in (string[][])[["--dry-run"], []])
        {
            var refused = Peftalign.Call(["run", manifest, "--out", user.Run, .. more]);
            Assert.That((refused.Code, refused.Out), Is.EqualTo((2, "")), refused.All);
            Assert.That(refused.Err, Does.Contain("evaluate/real_toxicity/tiny: real_toxicity reads a judge's logits, but the judge eval/openai is a language model, which grades from 1 to 9; name another one"));
        }
        Assert.That(Directory.Exists(Path.Combine(user.Run, "jobs")), Is.False);
    }

    private static string Made(string url, string transcript) => Manifests.Tiny + $$"""
        name: made
        seeds: [1]
        datasets:
          asked: { reader: jsonl, path: asked.jsonl }
          judged: { reader: sampled-pairs, prompts: asked, model: tiny, judge: service, samples: 2, max_new_tokens: 12 }
        adapters:
          small: { type: lora, rank: 2, targets: all-linear }
        methods:
          prefer: { type: dpo, adapter: small, batch_size: 2, max_steps: 1 }
        judges:
          service: { type: openai, url: '{{url}}', model: m, key_env: '', attempts: 2, retry_delay: 0.01, transcript: '{{transcript}}', concurrency: 1 }
        train:
          - { models: tiny, datasets: judged, methods: prefer }
        """;

    private static void WritePrompts(Peftalign user) =>
        user.Write("asked.jsonl", string.Concat(Enumerable.Range(0, Pairs).Select(k => $$"""{"prompt": "question {{k}}?"}""" + "\n")));

    private static void WritePairs(Peftalign user)
    {
        foreach (var file in (string[])["mine", "theirs"])
            user.Write($"{file}.jsonl", string.Concat(Enumerable.Range(0, Pairs).Select(k => $$"""{"prompt": "question {{k}}?", "response": "{{file}} {{k}}"}""" + "\n")));
    }

    private static (int Judged, int Failed, int? Unanswered) Rates(Peftalign user)
    {
        var outcome = Peftalign.Json(Path.Combine(user.Run, "report.json"))["jobs"]!.AsArray().Single(job => (string?)job!["label"] == Label)!["result"]!;
        double Of(string metric) => (double)((JsonObject)outcome["results"]!)[$"{metric},none"]!;
        return ((int)Of("n_total"), (int)Of("failed"), (int?)outcome["unanswered"]);
    }
}
