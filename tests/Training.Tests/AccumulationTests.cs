// Gradients summed over small batches are those of one large batch, though rows have lengths of their own. Without dropout, whose
// decisions belong to a batch: with it, each of an update's small batches has decisions of its own.

using System.Text.Json.Nodes;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class AccumulationTests : TrainingTest
{
    [TestCase(false)]
    [TestCase(true)]
    public void Accumulated_batches_are_one_large_batch(bool adapter)
    {
        List<JsonNode> Metrics(int batch, int accumulation)
        {
            var folder = Path.Combine(Folder, $"{batch}");
            Trainer.Train(Fixtures.SmallRun(folder, new TrainingOptions { MaxSteps = 4, BatchSize = batch, GradientAccumulationSteps = accumulation, LearningRate = 1e-2, SaveEvery = 0, Seed = 3 }, adapter, dropout: 0));
            return [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)];
        }
        var (large, small) = (Metrics(8, 1), Metrics(2, 4));
        Assert.That(large, Has.Count.EqualTo(4));
        foreach (var (one, many) in large.Zip(small))
            foreach (var name in (string[])["loss", "grad_norm", "num_tokens"])
                Assert.That((double)many[name]!, Is.EqualTo((double)one[name]!).Within(2e-5 * Math.Max(1, Math.Abs((double)one[name]!))), $"{name} of update {one["step"]}");
    }

    [Test]
    public void Small_batches_of_an_update_have_dropouts_of_their_own()
    {
        double[] Losses(int accumulation, int steps)
        {
            var folder = Path.Combine(Folder, $"{accumulation}");
            var run = Fixtures.SmallRun(folder, new TrainingOptions { MaxSteps = steps, BatchSize = 1, GradientAccumulationSteps = accumulation, LearningRate = 0, SaveEvery = 0, Shuffle = false, Seed = 3 }, dropout: 0.5);
            foreach (var delta in run.Adapter!.SelectMany(site => site.Delta.Parameters.Values)) delta.copy_(torch.full_like(delta, 0.1)); // B begins at 0
            Trainer.Train(run with { Records = [run.Records[0], run.Records[0]] });
            return [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line => (double)JsonNode.Parse(line)!["loss"]!)];
        }
        var (together, apart) = (Losses(2, 1), Losses(1, 2));
        Assert.That(apart[0], Is.Not.EqualTo(apart[1]).Within(1e-4), "one row under two masks");
        Assert.That(together.Single(), Is.EqualTo(apart.Average()).Within(1e-6));
    }
}
