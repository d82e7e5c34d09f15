// What a method says that the trainer cannot take: a denominator that would train away from the loss, metrics under the trainer's own
// names, sequences longer than was asked for.

using PeftAlign.Abstractions;

namespace PeftAlign.Training.Tests;

public sealed class MethodContractTests : TrainingTest
{
    [TestCase(0, "0")]
    [TestCase(-2, "-2")]
    [TestCase(double.NaN, "NaN")]
    [TestCase(double.PositiveInfinity, "Infinity")]
    public void A_denominator_that_is_not_positive_is_refused(double denominator, string said)
    {
        var message = Refused(loss => loss with { Numerator = loss.Numerator * (double.IsFinite(denominator) ? Math.Sign(denominator) : 1), Denominator = denominator });
        Assert.That(message, Does.Contain(typeof(Changed).FullName!).And.Contain($"denominator {said};").And.Contain("more than 0"));
    }

    [TestCase("step")]
    [TestCase("epoch")]
    [TestCase("phase")]
    [TestCase("loss")]
    [TestCase("grad_norm")]
    [TestCase("num_tokens")]
    [TestCase("learning_rate")]
    [TestCase("learning_rate/b")]
    [TestCase("eval_loss")]
    public void A_metric_under_a_name_of_the_trainers_is_refused(string name)
    {
        var message = Refused(loss => loss with { Metrics = new Dictionary<string, double>(loss.Metrics) { [name] = 7 } });
        Assert.That(message, Does.Contain(typeof(Changed).FullName!).And.Contain($"a metric '{name}'").And.Contain("another name"));
    }

    [Test]
    public void Metrics_of_other_names_are_written_beside_the_trainers()
    {
        var run = Run(loss => loss with { Metrics = new Dictionary<string, double> { ["loss/own"] = 7, ["steps"] = 8 } });
        Trainer.Train(run);
        var row = System.Text.Json.Nodes.JsonNode.Parse(File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).First())!;
        Assert.That(((double)row["loss/own"]!, (double)row["steps"]!, (double)row["step"]!), Is.EqualTo((7.0, 8.0, 1.0)));
    }

    // One row's sequence of 9 tokens among shorter ones: the first row that is too long is named.
    [TestCase(8, false)]
    [TestCase(9, true)]
    public void A_sequence_beyond_max_length_is_refused(int limit, bool fits)
    {
        DataRecord Row(int prompt, int completion, long line) => new(new()
        {
            ["prompt_ids"] = new System.Text.Json.Nodes.JsonArray([.. Enumerable.Range(3, prompt).Select(i => (System.Text.Json.Nodes.JsonNode)i)]),
            ["completion_ids"] = new System.Text.Json.Nodes.JsonArray([.. Enumerable.Range(3, completion).Select(i => (System.Text.Json.Nodes.JsonNode)i)]),
        }, "test", line);
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 1, BatchSize = 2, MaxLength = limit });
        run = run with { Records = [Row(2, 3, 1), Row(4, 5, 2)], Method = new Uncut(run.Method) };
        if (fits) Assert.That(Trainer.Train(run).Steps, Is.EqualTo(1));
        else
            Assert.That(() => Trainer.Train(run), Throws.InstanceOf<UserErrorException>().With.Message.Contains(typeof(Uncut).FullName!)
                .And.Message.Contains($" for {run.Records[1].Place};").And.Message.Contains("a sequence of 9 tokens").And.Message.Contains("allow 8"));
    }

    private string Refused(Func<MethodLoss, MethodLoss> change)
    {
        var message = Assert.Throws<BrokenContractException>(() => Trainer.Train(Run(change)))!.Message;
        Assert.That(new FileInfo(Path.Combine(Folder, "metrics.jsonl")).Length, Is.Zero, "nothing was trained");
        return message;
    }

    private TrainingRun Run(Func<MethodLoss, MethodLoss> change)
    {
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 2, BatchSize = 4 });
        return run with { Method = new Changed(run.Method, change) };
    }

    private sealed class Changed(IAlignmentMethod inner, Func<MethodLoss, MethodLoss> change) : IAlignmentMethod
    {
        public MethodNeeds Needs => inner.Needs;

        public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => inner.Prepare(records, context);

        public MethodLoss Loss(ScoredBatch batch) => change(inner.Loss(batch));
    }

    private sealed class Uncut(IAlignmentMethod inner) : IAlignmentMethod
    {
        public MethodNeeds Needs => inner.Needs;

        public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => inner.Prepare(records, context with { MaxLength = int.MaxValue });

        public MethodLoss Loss(ScoredBatch batch) => inner.Loss(batch);
    }
}
