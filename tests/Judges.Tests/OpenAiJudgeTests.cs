// The judge behind a service, against a local one: retries, limits, costs, the transcript, and what is a failure.

using System.Diagnostics;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Judges;

namespace PeftAlign.Judges.Tests;

public sealed class OpenAiJudgeTests
{
    private static readonly JudgeQuestion Pair = new JudgeQuestion.Compare("2 + 2?", "4", "5");
    private string folder = "";

    [SetUp]
    public void MakeFolder() => folder = Directory.CreateTempSubdirectory("peftalign-judge-").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(folder, recursive: true);

    private OpenAiOptions Options(LocalService service) => new()
    {
        Url = service.Url,
        Model = "judge-1",
        KeyEnv = "",
        RetryDelay = 0.01,
        Attempts = 3,
        Timeout = 60, // a busy machine makes no attempt more
        Transcript = folder,
        PromptPrice = 2,
        CompletionPrice = 10,
        Concurrency = 2,
    };

    private (JudgeAnswer Answer, JudgeCost Cost, int Requests) One(Func<int, JsonNode, (int, string, double)> behaves, JudgeQuestion? question = null, Action<OpenAiOptions>? change = null)
    {
        using var service = new LocalService(behaves);
        var options = Options(service);
        change?.Invoke(options);
        using var judge = new OpenAiJudge(options);
        var answer = judge.Answer([question ?? Pair]).Single();
        return (answer, judge.Cost, service.Requests);
    }

    [TestCase("A", 1.0)]
    [TestCase("B.", 0.0)]
    [TestCase("TIE", 0.5)]
    [TestCase("Both are long.\nVerdict: B", 0.0)]
    [TestCase("After thought: [[A]]", 1.0)]
    [TestCase("Neither is better: [[C]]", 0.5)]
    [TestCase("A: long.\nB: right.\nVerdict: B", 0.0)]
    [TestCase("A: it is right.\nThe other one is not.", 1.0)]
    public void VerdictsAreRead(string reply, double preference) => Assert.That(One((_, _) => LocalService.Says(reply)).Answer.Preference, Is.EqualTo(preference));

    // The service of these tests asks for no pause after 429; with its own the judge would wait for hours.
    [Test, CancelAfter(60_000)]
    public void ThePauseThatAServiceAsksForGoesBeforeTheJudgesOwn(CancellationToken cancel)
    {
        using var service = new LocalService((k, _) => k == 0 ? (429, "", 0) : LocalService.Says("A"));
        var options = Options(service);
        options.RetryDelay = 10_000;
        using var judge = new OpenAiJudge(options);
        Assert.That(judge.Answer([Pair], cancel).Single().Preference, Is.EqualTo(1));
    }

    [Test]
    public void ProbabilitiesAreAskedForInComparisonsAlone()
    {
        var bodies = new List<JsonNode>();
        foreach (var question in (JudgeQuestion[])[Pair, new JudgeQuestion.Rate("p", "r")])
            One((_, body) => { bodies.Add(body); return LocalService.Says("7"); }, question, o => o.Logprobs = true);
        Assert.That(bodies.Select(b => ((bool?)b["logprobs"], (int?)b["max_tokens"])), Is.EqualTo(new (bool?, int?)[] { (true, 1), (null, 256) }));
    }

    // Two services may have a model of one name.
    [Test]
    public void AnotherServiceIsAskedAnew()
    {
        using var first = new LocalService((_, _) => LocalService.Says("A"));
        using var second = new LocalService((_, _) => LocalService.Says("B"));
        foreach (var (service, preference) in new[] { (first, 1.0), (second, 0.0), (first, 1.0) })
        {
            using var judge = new OpenAiJudge(Options(service));
            Assert.That(judge.Answer([Pair]).Single().Preference, Is.EqualTo(preference));
        }
        Assert.That((first.Requests, second.Requests), Is.EqualTo((1, 1)));
    }

    // A letter in a sentence is no verdict.
    [TestCase("A fair question, but I cannot say")]
    [TestCase("Either could be right.")]
    [TestCase("AB")]
    [TestCase("A: long.\nB: right.")]
    [TestCase("[[A]] at first, but then [[B]]")]
    public void OtherWordsAreFailures(string reply)
    {
        var (answer, cost, _) = One((_, _) => LocalService.Says(reply));
        Assert.That(answer, Is.EqualTo(JudgeAnswer.Failed("the reply holds no verdict A, B or TIE", reply)));
        Assert.That(cost.Failures, Is.EqualTo(1));
    }

    [TestCase("7", 7)]
    [TestCase("Rating: 8.5", 8.5)]
    [TestCase("3/9", 3)]
    public void RatingsAreRead(string reply, double rating) => Assert.That(One((_, _) => LocalService.Says(reply), new JudgeQuestion.Rate("p", "r")).Answer.Scores, Is.EqualTo(new[] { rating }));

    [TestCase("11")]
    [TestCase("0")]
    [TestCase("9.5")]
    [TestCase("7/10")]
    [TestCase("no number")]
    public void WhatIsNoRatingIsAFailure(string reply) => Assert.That(One((_, _) => LocalService.Says(reply), new JudgeQuestion.Rate("p", "r")).Answer.Failure, Is.Not.Null);

    [TestCase(429)]
    [TestCase(500)]
    [TestCase(503)]
    public void ErrorsThatPassAreTriedAgain(int status)
    {
        var (answer, cost, requests) = One((n, _) => n < 3 ? (status, "busy", 0) : LocalService.Says("A"));
        Assert.That((answer.Preference, requests, cost.Retries, cost.Requests), Is.EqualTo((1.0, 3, 2L, 3L)));
    }

    [Test]
    public void ErrorsThatStayAreFailuresWithTheirReason()
    {
        var (answer, cost, requests) = One((_, _) => (500, "broken", 0));
        Assert.That((answer.Failure, answer.Unanswered), Is.EqualTo(("the service answered 500, 3 times", true)));
        Assert.That((requests, cost.Failures), Is.EqualTo((3, 1L)));
    }

    [Test]
    public void SlownessIsTriedAgain()
    {
        // The service or this process may be slow for a while too.
        var (answer, cost, _) = One((n, _) => LocalService.Says("B", n == 1 ? 600 : 0), change: o => (o.Timeout, o.Attempts) = (3, 20));
        Assert.That((answer.Preference, cost.Failures), Is.EqualTo((0.0, 0L)));
        Assert.That(cost.Retries, Is.GreaterThanOrEqualTo(1));
    }

    // Services that are nearly OpenAI's: what they count and add must not end a job whose questions they answered.
    [TestCase("""{"prompt_tokens": 12.0, "completion_tokens": 3}""", 12, 3)]
    [TestCase("""{"prompt_tokens": "12", "completion_tokens": null}""", 0, 0)]
    [TestCase("null", 0, 0)]
    [TestCase("\"none\"", 0, 0)]
    [TestCase("[]", 0, 0)]
    public void What_cannot_be_read_of_the_usage_is_not_counted(string usage, long prompt, long completion)
    {
        var body = LocalService.Completion(new JsonObject { ["content"] = "A", ["refusal"] = "" });
        body["usage"] = JsonNode.Parse(usage);
        var (answer, cost, _) = One((_, _) => (200, body.ToJsonString(), 0));
        Assert.That((answer.Preference, cost.PromptTokens, cost.CompletionTokens), Is.EqualTo((1.0, prompt, completion)));
    }

    [TestCase("false", null)]
    [TestCase("null", null)]
    [TestCase("true", "the judge refused")]
    public void A_refusal_is_one_where_the_reply_does_not_deny_it(string refusal, string? failure)
    {
        var body = LocalService.Completion(new JsonObject { ["content"] = "A", ["refusal"] = JsonNode.Parse(refusal) });
        var (answer, _, _) = One((_, _) => (200, body.ToJsonString(), 0));
        Assert.That((answer.Failure, answer.Preference), Is.EqualTo((failure, failure is null ? 1.0 : (double?)null)));
    }

    [TestCase("""{"content": [{"top_logprobs": [{"token": "A", "logprob": null}, {"token": 7, "logprob": -1}, null, {"token": " B", "logprob": -2}]}]}""", 0.0)]
    [TestCase("""{"content": [{"top_logprobs": [{"token": "A", "logprob": -1}, {"token": "B", "logprob": -1}]}]}""", 0.5)]
    [TestCase("""{"content": [null]}""", 1.0)]
    [TestCase("true", 1.0)]
    public void What_cannot_be_read_of_the_probabilities_weighs_nothing(string logprobs, double preference)
    {
        var body = LocalService.Completion(new JsonObject { ["content"] = "A" });
        body["choices"]![0]!["logprobs"] = JsonNode.Parse(logprobs);
        Assert.That(One((_, _) => (200, body.ToJsonString(), 0), change: o => o.Logprobs = true).Answer.Preference, Is.EqualTo(preference).Within(1e-12));
    }

    [TestCase("application/json; charset=utf8")]
    [TestCase("text/plain; charset=ISO-8859-1")]
    public void A_reply_is_UTF_8_whatever_its_header_says(string type)
    {
        using var service = new LocalService((_, _) => (200, "\uFEFF" + """{"choices":[{"message":{"content":"Größer: “a”\nVerdict: A"}}]}""", 0)) { ContentType = type };
        using var judge = new OpenAiJudge(Options(service));
        var answer = judge.Answer([Pair]).Single();
        Assert.That((answer.Preference, answer.Text), Is.EqualTo((1.0, "Größer: “a”\nVerdict: A")));
    }

    [TestCase("٧")]
    [TestCase("التقييم: ٧")]
    public void Digits_of_other_scripts_are_no_rating(string reply) => Assert.That(One((_, _) => LocalService.Says(reply), new JudgeQuestion.Rate("p", "r")).Answer.Failure, Is.EqualTo("the reply holds no rating from 1 to 9"));

    [TestCase("{\"choices\": []}")]
    [TestCase("{\"choices\": [{\"message\": null}]}")]
    [TestCase("<html>gateway</html>")]
    [TestCase("{\"choices\": [{\"mess")]
    [TestCase("")]
    public void MalformedRepliesAreTriedAgainAndThenFail(string body)
    {
        Assert.That(One((n, _) => n == 1 ? (200, body, 0) : LocalService.Says("A")).Answer.Preference, Is.EqualTo(1));
        Directory.Delete(folder, recursive: true);
        Assert.That(One((_, _) => (200, body, 0)).Answer, Is.EqualTo(new JudgeAnswer { Failure = "the reply was no chat completion, 3 times", Unanswered = true }));
    }

    [Test]
    public void RefusalsAreFailuresAndNotAskedAgain()
    {
        var (answer, cost, requests) = One((_, _) => (200, LocalService.Completion(new JsonObject { ["content"] = null, ["refusal"] = "I will not." }).ToJsonString(), 0));
        Assert.That((answer.Failure, answer.Text, answer.Unanswered, requests, cost.Failures), Is.EqualTo(("the judge refused", "I will not.", false, 1, 1L)));
    }

    [Test]
    public void ABadRequestIsOneFailureAndNoRetry()
    {
        var (answer, _, requests) = One((_, _) => (400, "too long", 0));
        Assert.That((answer.Failure, answer.Unanswered, requests), Is.EqualTo(("the service answered 400: too long", false, 1)));
    }

    [TestCase(401)]
    [TestCase(404)]
    public void AClosedDoorEndsTheWork(int status)
    {
        var error = Assert.Throws<UserErrorException>(() => One((_, _) => (status, "no", 0)));
        Assert.That(error!.Message, Does.Contain($"{status}").And.Contain("judge-1"));
    }

    [Test]
    public void TheTranscriptAnswersRepeats()
    {
        using var service = new LocalService((_, _) => LocalService.Says("A"));
        JudgeQuestion[] questions = [Pair, new JudgeQuestion.Compare("2 + 2?", "5", "4"), Pair];
        using (var judge = new OpenAiJudge(Options(service)))
        {
            Assert.That(judge.Answer(questions).Select(a => a.Preference), Is.EqualTo(new double?[] { 1, 1, 1 }));
            Assert.That((judge.Cost.Requests, judge.Cost.PromptTokens, judge.Cost.CompletionTokens), Is.EqualTo((2L, 200L, 20L)));
            Assert.That(judge.Cost.Price, Is.EqualTo(((200 * 2) + (20 * 10)) / 1e6).Within(1e-12));
        }
        using var again = new OpenAiJudge(Options(service));
        again.Answer(questions);
        Assert.That((service.Requests, again.Cost.FromCache, again.Cost.Price), Is.EqualTo((2, 2L, 0.0)));
        var entry = JsonNode.Parse(File.ReadAllText(Directory.GetFiles(folder)[0]))!;
        Assert.That((string?)entry["request"]!["model"], Is.EqualTo("judge-1"));
        Assert.That((string?)entry["reply"]!["choices"]![0]!["message"]!["content"], Is.EqualTo("A"));
        Assert.That(Directory.GetFiles(folder), Has.Length.EqualTo(2), "nothing half-written beside them");
    }

    [Test]
    public void OfflineAsksNobody()
    {
        var (answer, _, requests) = One((_, _) => LocalService.Says("A"), change: o => o.Offline = true);
        Assert.That((answer.Failure, answer.Unanswered, requests), Is.EqualTo(("the transcript holds no answer, and the judge is offline", true, 0)));
    }

    [Test]
    public void AFailureThatStaysIsRepeatedOfflineAndAskedAgainOnline()
    {
        var status = 400;
        using var service = new LocalService((_, _) => status == 200 ? LocalService.Says("A") : (status, "too long", 0));
        JudgeAnswer Ask(bool offline)
        {
            var options = Options(service);
            (options.Offline, options.Attempts) = (offline, 1);
            using var judge = new OpenAiJudge(options);
            return judge.Answer([Pair]).Single();
        }

        status = 500; // may pass: nothing to keep
        Assert.That((Ask(offline: false).Unanswered, Ask(offline: true).Unanswered, Directory.GetFiles(folder)), Is.EqualTo((true, true, Array.Empty<string>())));
        status = 400;
        var online = Ask(offline: false);
        Assert.That((Ask(offline: true), online.Failure, service.Requests), Is.EqualTo((online, "the service answered 400: too long", 2)));
        status = 200;
        Assert.That((Ask(offline: false).Preference, Ask(offline: true).Preference, service.Requests), Is.EqualTo((1.0, 1.0, 3)));
    }

    [Test]
    public void ADamagedTranscriptIsAskedAgain()
    {
        // An answer is kept under the service's url, of which another service may have the same: this one must serve both.
        using var service = new LocalService((_, _) => LocalService.Says("B"));
        using var first = new OpenAiJudge(Options(service));
        first.Answer([Pair]);
        foreach (var file in Directory.GetFiles(folder)) File.WriteAllText(file, "{ cut");
        using var second = new OpenAiJudge(Options(service));
        Assert.That(second.Answer([Pair]).Single().Preference, Is.Zero);
        Assert.That(service.Requests, Is.EqualTo(2));
    }

    [Test]
    public void AReplyThatCannotBeKeptLeavesNoHalf()
    {
        using var service = new LocalService((_, _) => LocalService.Says("B"));
        using var judge = new OpenAiJudge(Options(service));
        judge.Answer([Pair]);
        var place = Directory.GetFiles(folder).Single();
        File.Delete(place);
        Directory.CreateDirectory(place);
        Assert.That(() => judge.Answer([Pair]), Throws.InstanceOf<IOException>().Or.InstanceOf<UnauthorizedAccessException>());
        Assert.That(Directory.GetFiles(folder), Is.Empty);
    }

    [Test]
    public void ProbabilitiesWeighTheVerdict()
    {
        var reply = LocalService.Completion(new JsonObject { ["content"] = "A" });
        reply["choices"]![0]!["logprobs"] = JsonNode.Parse($$"""{"content":[{"token":"A","top_logprobs":[{"token":"A","logprob":{{Math.Log(0.6):R}}},{"token":" B","logprob":{{Math.Log(0.2):R}}},{"token":"C","logprob":-3}]}]}""");
        var (answer, _, _) = One((_, body) => (bool?)body["logprobs"] == true ? (200, reply.ToJsonString(), 0) : (400, "no logprobs were asked for", 0), change: o => o.Logprobs = true);
        Assert.That(answer.Preference, Is.EqualTo(0.75).Within(1e-9));
    }

    [Test]
    public void TheRateLimitSpacesRequests()
    {
        using var service = new LocalService((_, _) => LocalService.Says("A"));
        var options = Options(service);
        options.RequestsPerMinute = 300;
        using var judge = new OpenAiJudge(options);
        // From the first question to the last answer: when a request arrives is the machine's affair, and the first one, which opens a connection, may
        // arrive late.
        var clock = Stopwatch.StartNew();
        judge.Answer([.. Enumerable.Range(0, 4).Select(k => new JudgeQuestion.Compare($"{k}", "a", "b"))]);
        var took = clock.Elapsed;
        Assert.That(service.Requests, Is.EqualTo(4));
        Assert.That(took, Is.GreaterThan(TimeSpan.FromSeconds(0.45)), "four requests at 300 a minute need three pauses of 0.2 s");
    }

    [Test]
    public void TheKeyComesFromItsVariableAndIsNotKept()
    {
        Environment.SetEnvironmentVariable("PEFTALIGN_TEST_JUDGE_KEY", "sesame");
        using var service = new LocalService((_, _) => LocalService.Says("A"));
        var options = Options(service);
        options.KeyEnv = "PEFTALIGN_TEST_JUDGE_KEY";
        using (var judge = new OpenAiJudge(options)) judge.Answer([Pair]);
        Assert.That(service.Keys.Single(), Is.EqualTo("Bearer sesame"));
        Assert.That(File.ReadAllText(Directory.GetFiles(folder).Single()), Does.Not.Contain("sesame"));
        options.KeyEnv = "PEFTALIGN_TEST_NO_SUCH_KEY";
        using var without = new OpenAiJudge(options);
        Assert.That(() => without.Answer([new JudgeQuestion.Ask("?")]), Throws.TypeOf<UserErrorException>().With.Message.Contains("PEFTALIGN_TEST_NO_SUCH_KEY"));
    }

    [Test]
    public void AnAnswersBracesAreNoPlaces()
    {
        JsonNode? asked = null;
        One((_, body) => { asked = body; return LocalService.Says("A"); }, new JudgeQuestion.Compare("{second}", "one {prompt}", "two"));
        Assert.That((string?)asked!["messages"]![0]!["content"], Does.Contain("one {prompt}").And.Contain("Request:\n{second}"));
    }

    [Test]
    public void ATemplateNeedsItsPlaces() =>
        Assert.That(() => new OpenAiJudge(new OpenAiOptions { Model = "m", Transcript = folder, CompareTemplate = "{first} or?" }), Throws.TypeOf<UserErrorException>().With.Message.Contains("{prompt}"));
}
