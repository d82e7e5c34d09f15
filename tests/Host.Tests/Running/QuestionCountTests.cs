// What a prediction counts of a benchmark that asks in all the ways there are, against counting by hand; texts are bytes.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Running.Estimates;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Tests.Running;

public sealed class QuestionCountTests
{
    private static readonly JsonObject Fair = new() { ["name"] = "classifier" }, Other = new() { ["weights"] = "folder" };

    [Test]
    public void Every_kind_of_question_is_counted_and_the_rest_is_taken_to_be_alike()
    {
        var tokenizer = ByteTokenizer.Create();
        var count = new QuestionCount(tokenizer, new RequestEncoder(tokenizer, null, int.MaxValue / 2, takesLeadingBlank: false, addSpecialTokens: false));
        var asked = Asked(count);
        // The first two of four items: contexts "p0", "p1" with "yes" and "no", each context once; a whole text of 3 after a begin token.
        Assert.That((asked.Items, asked.Scored, asked.Longest), Is.EqualTo((4L, 2.0 + 3 + 2 + 1 + 3, 7L)));
        Assert.That(asked.Writes, Is.EqualTo(new Writing(4 * 3, 2, 20, 22)));
        // A question for each of three answers: a begin token, the prompt, the stand-in of one letter, and as many tokens as an answer may have.
        var judge = asked.Judges.Single();
        Assert.That((judge.Definition.ToJsonString(), judge.Questions, judge.Tokens), Is.EqualTo((Fair.ToJsonString(), 12.0, 1 + 2 + 1 + 20.0)));
        var (definition, writing) = asked.Others.Single();
        Assert.That((definition.ToJsonString(), writing), Is.EqualTo((Other.ToJsonString(), new Writing(4, 4, 7, 11))), "asked for all items, not for those that were looked at");
    }

    [Test]
    public void Answers_of_the_policy_are_as_long_as_its_own_files_say()
    {
        var tokenizer = ByteTokenizer.Create();
        var count = new QuestionCount(tokenizer, new RequestEncoder(tokenizer, null, int.MaxValue / 2, takesLeadingBlank: false, addSpecialTokens: false), ask => 2 * ask.MaxNewTokens);
        var asked = Asked(count);
        Assert.That(asked.Writes, Is.EqualTo(new Writing(4 * 3, 2, 40, 42)));
        Assert.That(asked.Judges.Single().Tokens, Is.EqualTo(1 + 2 + 1 + 40.0));
        Assert.That(asked.Others.Single().Writing, Is.EqualTo(new Writing(4, 4, 7, 11)), "other models keep the request's number");
    }

    private static Questions Asked(QuestionCount count)
    {
        Assert.That(count.AskedOthers, Is.False);
        var benchmark = new Everything(count);
        var items = benchmark.Items().ToList();
        Assert.That(count.AskedOthers);
        return count.Of(benchmark, items.Count, items.Take(2).Select(item => (item, benchmark.Requests(item))))!;
    }

    private sealed class Everything(IModels models) : IBenchmark, IAsksAgain
    {
        public BenchmarkInfo Info { get; } = new("everything", 1);

        public IEnumerable<EvalItem> Items()
        {
            var others = models.Open(new ModelReference(Other)).Answer([.. Enumerable.Range(0, 4).Select(k => new EvalRequest.Generate($"q {k}?") { MaxNewTokens = 7 })]);
            return others.Select((_, k) => new EvalItem($"{k}", new JsonObject { ["prompt"] = $"p{k}" }));
        }

        public IReadOnlyList<EvalRequest> Requests(EvalItem item)
        {
            var prompt = (string)item.Document["prompt"]!;
            return [new EvalRequest.LogLikelihood(prompt, "yes"), new EvalRequest.LogLikelihood(prompt, "no"), new EvalRequest.RollingLogLikelihood("abc"), new EvalRequest.Generate(prompt) { MaxNewTokens = 20, Samples = 3 }];
        }

        public IReadOnlyList<EvalRequest> FollowUps(EvalItem item, IReadOnlyList<EvalResponse> responses) =>
            [.. responses[3].Texts.Select(text => new EvalRequest.Judge(new JudgeReference(Fair), new JudgeQuestion.Rate((string)item.Document["prompt"]!, text)))];

        public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => throw new InvalidOperationException("a prediction scores nothing");

        public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => throw new InvalidOperationException("a prediction scores nothing");
    }
}
