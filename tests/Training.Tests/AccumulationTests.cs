// Gradients summed over small batches are those of one large batch, though rows have lengths of their own. Without dropout, whose
// decisions belong to a batch.

using System.Text.Json.Nodes;

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
}
