// Mixtures: every batch in proportion, small sources again and again and large ones in parts, the same order wherever a run begins;
// the ledger tells of each source.

using PeftAlign.Abstractions;

namespace PeftAlign.Training.Tests;

public sealed class MixtureTests : TrainingTest
{
    private static BatchOrder Order(int[] rows, double[] proportions, TrainingOptions options) => new(rows.Sum(), options, new MixedOrder(rows, proportions, options));

    private static int Source(long row, int[] rows)
    {
        var k = 0;
        for (var first = 0L; row >= first + rows[k]; k++) first += rows[k];
        return k;
    }

    // Random mixtures of 2 to 5 sources: no beginning of an epoch is more than a row or so off, no batch more than two.
    [Test]
    public void Of_sources_equally_far_behind_the_first_is_next()
    {
        Assert.That(Interleaving.Of([1, 1]).Take(4), Is.EqualTo((int[])[0, 1, 0, 1]));
        Assert.That(Interleaving.Of([1, 2, 1]).Take(8), Is.EqualTo((int[])[1, 0, 2, 1, 1, 0, 2, 1]));
    }

    [Test]
    public void Every_batch_holds_the_sources_in_proportion()
    {
        var random = new Random(5);
        for (var trial = 0; trial < 100; trial++)
        {
            int[] rows = [.. Enumerable.Range(0, 2 + random.Next(4)).Select(_ => 1 + random.Next(40))];
            double[] shares = [.. rows.Select(_ => 0.05 + random.NextDouble())];
            shares = [.. shares.Select(s => s / shares.Sum())];
            var order = Order(rows, shares, new TrainingOptions { BatchSize = 1 + random.Next(16), Seed = trial });
            var counts = new long[rows.Length];
            var drawn = 0;
            foreach (var batch in Enumerable.Range(0, order.StepsPerEpoch).SelectMany(order.Window))
            {
                foreach (var row in batch) counts[Source(row, rows)]++;
                drawn += batch.Length;
                for (var k = 0; k < rows.Length; k++)
                {
                    Assert.That(counts[k], Is.EqualTo(shares[k] * drawn).Within(rows.Length == 2 ? 0.5 + 1e-9 : 1.5), $"trial {trial}");
                    Assert.That(batch.Count(row => Source(row, rows) == k), Is.EqualTo(shares[k] * batch.Length).Within(rows.Length == 2 ? 1 + 1e-9 : 2), $"trial {trial}");
                }
            }
            Assert.That(drawn, Is.EqualTo(rows.Sum()));
        }
    }

    [Test]
    public void A_source_is_gone_through_before_it_begins_anew_in_another_order()
    {
        int[] rows = [6, 30];
        var order = Order(rows, [0.5, 0.5], new TrainingOptions { BatchSize = 4, Seed = 3 });
        var all = Enumerable.Range(0, 4 * order.StepsPerEpoch).SelectMany(order.Window).SelectMany(b => b).ToList();
        foreach (var (k, first) in new[] { (0, 0), (1, 6) })
        {
            var passes = all.Where(row => Source(row, rows) == k).Chunk(rows[k]).Where(pass => pass.Length == rows[k]).ToList();
            Assert.That(passes, Has.Count.EqualTo(4 * 18 / rows[k]));
            foreach (var pass in passes) Assert.That(pass, Is.EquivalentTo(Enumerable.Range(first, rows[k])));
            Assert.That(passes[0], Is.Not.EqualTo(passes[1]));
        }
    }

    [Test]
    public void Shares_that_are_the_sizes_show_every_row_once_an_epoch()
    {
        var order = Order([3, 17, 5], [3, 17, 5], new TrainingOptions { BatchSize = 4, Seed = 9 });
        for (var epoch = 0; epoch < 3; epoch++)
            Assert.That(Enumerable.Range(epoch * order.StepsPerEpoch, order.StepsPerEpoch).SelectMany(order.Window).SelectMany(b => b), Is.EquivalentTo(Enumerable.Range(0, 25)));
    }

    [Test]
    public void The_order_depends_on_seed_and_step_alone()
    {
        var options = new TrainingOptions { BatchSize = 3, GradientAccumulationSteps = 2, Seed = 3 };
        BatchOrder Fresh(TrainingOptions with) => Order([4, 9], [1, 2], with);
        string Step(BatchOrder order, int step) => string.Join(' ', order.Window(step).SelectMany(b => b));
        var unbroken = Fresh(options);
        foreach (var step in Enumerable.Range(0, 20)) Assert.That(Step(Fresh(options), step), Is.EqualTo(Step(unbroken, step)));
        Assert.That(Step(Fresh(options with { Seed = 4 }), 0), Is.Not.EqualTo(Step(unbroken, 0)));
        Assert.That(Step(Fresh(options with { Seed = 4, DataSeed = 3 }), 7), Is.EqualTo(Step(unbroken, 7)));
        Assert.That(Step(Fresh(options with { Shuffle = false }), 0), Is.EqualTo("4 0 5 6 1 7"));
    }

    [Test]
    public void A_mixed_run_that_was_killed_ends_with_the_same_bytes_and_tells_of_each_source()
    {
        var options = new TrainingOptions { MaxSteps = 6, BatchSize = 4, SaveEvery = 2, LearningRate = 1e-2 };
        TrainingRun Run(string name) => Fixtures.SmallRun(Path.Combine(Folder, name), options) is var run
            ? run with { Mixture = [new MixtureShare("small", 5, 0.75), new MixtureShare("rest", run.Records.Count - 5, 0.25)] }
            : throw new InvalidOperationException();
        var copied = false;
        Trainer.Train(Run("whole") with
        {
            Progress = p =>
            {
                if (p.Step != 3) return;
                Copy(Path.Combine(Folder, "whole"), Path.Combine(Folder, "killed"));
                copied = true;
            },
        });
        Assert.That(copied);
        Assert.That(Trainer.Train(Run("killed")).ResumedFrom, Is.EqualTo(2));
        string Bytes(string name) => File.ReadAllText(Path.Combine(Folder, name, "metrics.jsonl"));
        Assert.That(Bytes("killed"), Is.EqualTo(Bytes("whole")));

        var ledger = Fixtures.Json(Path.Combine(Folder, "whole", "ledger.json"));
        var sources = ledger["sources"]!.AsObject();
        Assert.That(sources.Select(s => (s.Key, (double)s.Value!["proportion"]!, (int)s.Value["rows"]!)), Is.EqualTo(new[] { ("small", 0.75, 5), ("rest", 0.25, (int)ledger["rows"]! - 5) }));
        foreach (var (name, count) in ledger.Where(l => l.Key != "sources")) Assert.That(sources.Sum(s => (long)s.Value![name]!), Is.EqualTo((long)count!), name);
    }

    [Test]
    public void A_source_with_a_share_and_no_row_is_refused_by_name()
    {
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 1 });
        Assert.That(() => Trainer.Train(run with { Mixture = [new MixtureShare("all", run.Records.Count, 0.5), new MixtureShare("none", 0, 0.5)] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'none'"));
    }
}
