// judging.json: what a judge took is counted batch by batch, and added up when a job goes on.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Tests;

public sealed class JudgeLedgerTests
{
    private string folder = "";

    private string Ledger => Path.Combine(folder, "judging.json");

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-ledger-").FullName;

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    [Test]
    public void Questions_failures_and_costs_add_up_over_runs()
    {
        var judge = new JudgeLedger(Ledger).Counted("d", "the fair one", new Service());
        Assert.That(judge.Answer([new JudgeQuestion.Ask("a"), new JudgeQuestion.Ask("no")])[1].Failure, Is.EqualTo("refused"));
        judge.Answer([new JudgeQuestion.Ask("b")]);
        Check(questions: 3, failures: 1, requests: 3, price: 0.75);
        // The job goes on: a new process, the same file.
        var again = new JudgeLedger(Ledger).Counted("d", "the fair one", new Service());
        again.Answer([new JudgeQuestion.Ask("c")]);
        Check(questions: 4, failures: 1, requests: 4, price: 1);
        Assert.That(() => again.Answer([new JudgeQuestion.Ask("a"), new JudgeQuestion.Ask("broken")]), Throws.InstanceOf<UserErrorException>());
        Check(questions: 4, failures: 1, requests: 5, price: 1.25); // paid for, though the batch gave nothing
        Assert.That(again.Info.Annotator, Is.EqualTo("the fair one"));
    }

    [Test]
    public void A_damaged_file_is_no_reason_to_stop()
    {
        File.WriteAllText(Ledger, "[{\"definition\":");
        new JudgeLedger(Ledger).Counted("d", null, new Service()).Answer([new JudgeQuestion.Ask("a")]);
        Check(questions: 1, failures: 0, requests: 1, price: 0.25);
        Assert.That((string?)JsonNode.Parse(File.ReadAllText(Ledger))![0]!["annotator"], Is.EqualTo("service"));
    }

    private void Check(long questions, long failures, long requests, double price)
    {
        var entry = JsonNode.Parse(File.ReadAllText(Ledger))!.AsArray().Single()!;
        Assert.That(((long)entry["questions"]!, (long)entry["failures"]!, (long)entry["requests"]!, (double)entry["price"]!, (string?)entry["transcript"]), Is.EqualTo((questions, failures, requests, price, "kept")));
    }

    private sealed class Service : IJudge, ICountsCost
    {
        public JudgeInfo Info { get; } = new("service", JudgeSkills.Ask) { Transcript = "kept" };

        public JudgeCost Cost { get; private set; } = new(0, 0, 0, 0, 0, 0, 0);

        public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default) => [.. questions.Cast<JudgeQuestion.Ask>().Select(q =>
        {
            if (q.Prompt == "broken") throw new UserErrorException("the service is gone");
            Cost = Cost with { Requests = Cost.Requests + 1, Price = Cost.Price + 0.25 };
            return q.Prompt == "no" ? JudgeAnswer.Failed("refused") : new JudgeAnswer { Text = "yes" };
        })];
    }
}
