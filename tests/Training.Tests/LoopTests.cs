// The loop's parts: batches and epochs, schedules as TRL's runs showed them, AdamW, the ledger, and what stops a run.

using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class LoopTests : TrainingTest
{
    // 21 records in batches of 4: 6 micro-batches, the last of one record; windows of 4 and 2.
    [Test]
    public void The_last_window_of_an_epoch_may_be_short()
    {
        var order = new BatchOrder(21, new TrainingOptions { BatchSize = 4, GradientAccumulationSteps = 4, Epochs = 3, Shuffle = false });
        Assert.That((order.BatchesPerEpoch, order.StepsPerEpoch, order.TotalSteps), Is.EqualTo((6, 2, 6)));
        Assert.That(order.Window(1), Is.EqualTo((long[][])[[16, 17, 18, 19], [20]]));
        Assert.That(order.Window(2), Is.EqualTo((long[][])[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]));
        Assert.That(Enumerable.Range(0, 5).Select(order.Epoch), Is.EqualTo((double[])[0, 4.0 / 6, 1, 1 + 4.0 / 6, 2]).Within(1e-15));
        Assert.That(new BatchOrder(21, new TrainingOptions { BatchSize = 4, GradientAccumulationSteps = 4, Epochs = 0.5 }).TotalSteps, Is.EqualTo(1));
        Assert.That(new BatchOrder(21, new TrainingOptions { BatchSize = 4, MaxSteps = 100 }).TotalSteps, Is.EqualTo(100));
    }

    // Rows of 9 to 1 token: the largest of the batches that a run has, in its order; none that it has not.
    [Test]
    public void The_largest_batch_is_that_of_the_order()
    {
        long[] lengths = [9, 1, 1, 1, 5, 5, 1];
        var options = new TrainingOptions { BatchSize = 2, Shuffle = false };
        Assert.That(TrainingOptions.LargestBatch(lengths, 100, options), Is.EqualTo(10));
        Assert.That(TrainingOptions.LargestBatch(lengths, 3, options), Is.EqualTo(10));
        Assert.That(TrainingOptions.LargestBatch([1, 1, 9, 1, 5, 5], 1, options), Is.EqualTo(2));
        Assert.That(TrainingOptions.LargestBatch([1, 1, 9, 1, 5, 5], 1, options with { GradientAccumulationSteps = 2 }), Is.EqualTo(10));
        Assert.That(TrainingOptions.LargestBatch(lengths, 1, options with { BatchSize = 100 }), Is.EqualTo(23));
        Assert.That(TrainingOptions.LargestBatch([], 3, options), Is.Zero);
        var (shuffled, order) = (options with { Shuffle = true, MaxSteps = 9 }, new BatchOrder(lengths.Length, options with { Shuffle = true, MaxSteps = 9 }));
        Assert.That(TrainingOptions.LargestBatch(lengths, 9, shuffled), Is.EqualTo(Enumerable.Range(0, 9).SelectMany(order.Window).Max(batch => batch.Sum(row => lengths[row]))));
    }

    [Test]
    public void Values_may_be_disposed_as_they_are_copied()
    {
        using var scope = torch.NewDisposeScope();
        var left = new Dictionary<string, Tensor> { ["a"] = torch.ones([2, 2]), ["b"] = torch.ones([3]) * 2 };
        var sources = left.ToList();
        using var parameters = new FlatParameters(sources.Select(s => (s.Key, s.Value, false)), torch.bfloat16, value =>
        {
            value.Dispose();
            left.Remove(left.First(own => own.Value.Equals(value)).Key);
        });
        Assert.That(left, Is.Empty);
        Assert.That(parameters.Members.ToDictionary(m => m.Name, m => m.Tensor.sum().item<float>()), Is.EqualTo(new Dictionary<string, float> { ["a"] = 4, ["b"] = 6 }));
        Assert.That(parameters.Leaves.Select(leaf => (leaf.Tensor.grad!.count_nonzero().item<long>(), leaf.Tensor.to(torch.float32).max().item<float>())), Is.EqualTo(new[] { (0L, 1f), (0L, 2f) }));
        Assert.That(parameters.Gradients.count_nonzero().item<long>(), Is.Zero);
    }

    [Test]
    public void Batches_larger_than_the_data_are_all_of_it_and_epochs_without_end_are_refused()
    {
        var order = new BatchOrder(21, new TrainingOptions { BatchSize = int.MaxValue, GradientAccumulationSteps = int.MaxValue, Epochs = 3, Shuffle = false });
        Assert.That((order.BatchesPerEpoch, order.StepsPerEpoch, order.TotalSteps), Is.EqualTo((1, 1, 3)));
        Assert.That(order.Window(2).Single(), Is.EqualTo(Enumerable.Range(0, 21)));
        Assert.That(new BatchOrder(21, new TrainingOptions { BatchSize = 21, Epochs = int.MaxValue }).TotalSteps, Is.EqualTo(int.MaxValue));
        foreach (var epochs in (double[])[1e9, 1e300])
            Assert.That(() => new BatchOrder(21, new TrainingOptions { BatchSize = 4, Epochs = epochs }).TotalSteps, Throws.InstanceOf<UserErrorException>()
                .With.Message.Contains("epochs over 21 rows").And.Message.Contains("at most 2147483647"), $"{epochs}");
    }

    [Test]
    public void Shuffling_sees_every_record_once_an_epoch_and_depends_on_seed_and_epoch_alone()
    {
        long[] Epoch(TrainingOptions options, int epoch)
        {
            var order = new BatchOrder(21, options);
            return Enumerable.Range(epoch * order.StepsPerEpoch, order.StepsPerEpoch).SelectMany(order.Window).SelectMany(b => b).ToArray();
        }
        var options = new TrainingOptions { BatchSize = 4, GradientAccumulationSteps = 2, Seed = 3 };
        Assert.That(Epoch(options, 0), Is.EquivalentTo(Enumerable.Range(0, 21)));
        Assert.That(Epoch(options, 0), Is.Not.EqualTo(Epoch(options, 1)));
        Assert.That(Epoch(options, 1), Is.EqualTo(Epoch(options with { LearningRate = 1 }, 1)));
        Assert.That(Epoch(options, 0), Is.Not.EqualTo(Epoch(options with { Seed = 4 }, 0)));
        Assert.That(Epoch(options with { Seed = 4, DataSeed = 3 }, 0), Is.EqualTo(Epoch(options, 0)));
    }

    // Update k of 20, 4 of them warm-up: lr k / warmup, then lr (total - k) / (total - warmup), half a cosine, or constant.
    [Test]
    public void Schedules_follow_their_definitions()
    {
        const int total = 20, warmup = 4;
        for (var k = 0; k < total; k++)
        {
            var rise = k / (double)warmup;
            Assert.That(Schedules.Factor("linear", k, warmup, total), Is.EqualTo(k < warmup ? rise : (total - k) / (double)(total - warmup)).Within(1e-15));
            Assert.That(Schedules.Factor("cosine", k, warmup, total), Is.EqualTo(k < warmup ? rise : (1 + Math.Cos(Math.PI * (k - warmup) / (total - warmup))) / 2).Within(1e-15));
            Assert.That(Schedules.Factor("constant_with_warmup", k, warmup, total), Is.EqualTo(Math.Min(1, rise)));
            Assert.That(Schedules.Factor("constant", k, 0, total), Is.EqualTo(1));
        }
        Assert.That(Schedules.Factor("linear", 0, 0, total), Is.EqualTo(1));
        Assert.That((Schedules.WarmupSteps(0, 0.1, 25), Schedules.WarmupSteps(0, 0.1, 20), Schedules.WarmupSteps(7, 0.1, 25)), Is.EqualTo((3, 2, 7)), "a started update counts");
    }

    [Test]
    public void AdamW_makes_torchs_updates()
    {
        Tensor Start(string name, params long[] shape) => new Torch.Extras.CounterStream(1, "test", name).Normal(shape);
        var (matrix, vector) = (Start("matrix", 5, 3), Start("vector", 4));
        var options = new TrainingOptions { WeightDecay = 0.1, AdamBeta1 = 0.8, AdamBeta2 = 0.95, AdamEpsilon = 1e-6 };
        using var parameters = new FlatParameters([("b", vector, false), ("a", matrix, true)]);
        using var mine = FlatOptimizer.Of(parameters, options);
        var (m, v) = (new Torch.Modules.Parameter(matrix.clone()), new Torch.Modules.Parameter(vector.clone()));
        var theirs = torch.optim.AdamW([m], 0.01, 0.8, 0.95, 1e-6, 0.1);
        var undecayed = torch.optim.AdamW([v], 0.01, 0.8, 0.95, 1e-6, 0);
        for (var step = 0; step < 6; step++)
        {
            var (gm, gv) = (Start($"gm{step}", 5, 3), Start($"gv{step}", 4));
            parameters.Gradients.copy_(torch.cat([gm.view(-1), gv]));
            (m.grad, v.grad) = (gm, gv);
            mine.Step(0.01);
            theirs.step();
            undecayed.step();
        }
        var trained = parameters.Members.ToDictionary(p => p.Name, p => p.Tensor);
        Assert.That((trained["a"].detach() - m.detach()).abs().max().item<float>(), Is.LessThan(1e-6));
        Assert.That((trained["b"].detach() - v.detach()).abs().max().item<float>(), Is.LessThan(1e-6));
    }

    // Four rows under max_length 6: whole, cut, cut before its completion, and one token without a prompt.
    [Test]
    public void The_ledger_counts_every_row_and_token()
    {
        DataRecord Row(int prompt, int completion) => new(new()
        {
            ["prompt_ids"] = new System.Text.Json.Nodes.JsonArray([.. Enumerable.Range(3, prompt).Select(i => (System.Text.Json.Nodes.JsonNode)i)]),
            ["completion_ids"] = new System.Text.Json.Nodes.JsonArray([.. Enumerable.Range(3, completion).Select(i => (System.Text.Json.Nodes.JsonNode)i)]),
        }, "test", 1);
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 3, BatchSize = 2, MaxLength = 6 }) with { Records = [Row(2, 3), Row(4, 5), Row(7, 2), Row(0, 1)] };
        Trainer.Train(run);
        var ledger = Fixtures.Json(Path.Combine(Folder, "ledger.json"));
        Assert.That(ledger.Select(p => (p.Key, (long)p.Value!)), Is.EquivalentTo(((string, long)[])[
            ("rows", 4), ("rows_without_trained_token", 2), ("rows_with_equal_answers", 0), ("rows_with_empty_answer", 0), ("rows_truncated", 2), ("rows_with_shifted_boundary", 0), ("answers_with_trained_end", 0),
            ("tokens_kept", 11), ("tokens_cut", 6), ("tokens_refused", 7), ("tokens_trained", 5)]));
    }

    // bfd_split under max_length 4: 9 ids become 4 + 4 + 1, 6 with a prompt of 4 become a piece of prompt and 2. What is of one id, or of a
    // prompt, does not go into the model: what is kept is what num_tokens counts.
    [Test]
    public void Pieces_in_which_nothing_is_trained_are_booked_as_refused()
    {
        static System.Text.Json.Nodes.JsonArray Ids(int count) => [.. Enumerable.Range(3, count).Select(i => (System.Text.Json.Nodes.JsonNode)i)];
        DataRecord[] rows = [new(new() { ["input_ids"] = Ids(9) }, "test", 1), new(new() { ["prompt_ids"] = Ids(4), ["completion_ids"] = Ids(2) }, "test", 2), new(new() { ["input_ids"] = Ids(3) }, "test", 3)];
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 1, BatchSize = 8, MaxLength = 4, Packing = "bfd_split" }) with { Records = rows };
        Trainer.Train(run);
        var ledger = Fixtures.Json(Path.Combine(Folder, "ledger.json"));
        Assert.That(((long)ledger["tokens_kept"]!, (long)ledger["tokens_refused"]!, (long)ledger["tokens_cut"]!, (long)ledger["tokens_trained"]!), Is.EqualTo((13, 5, 0, 9)));
        Assert.That((long)Fixtures.Json(Path.Combine(Folder, "metrics.jsonl"))["num_tokens"]!, Is.EqualTo(13));
    }

    [Test]
    public void No_trained_token_at_all_is_refused()
    {
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 3, MaxLength = 1 });
        Assert.That(() => Trainer.Train(run), Throws.InstanceOf<UserErrorException>().With.Message.Contains("None of the 48 training rows").And.Message.Contains("max_length (1)").And.Message.Contains("of 48 row(s) 48 lost ").And.Message.Not.Contains("ledger.json"));
        Assert.That(Fixtures.Json(Path.Combine(Folder, "ledger.json"))["rows_without_trained_token"]!.GetValue<int>(), Is.EqualTo(48));
    }

    [Test]
    public void A_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint()
    {
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 9, BatchSize = 4, SaveEvery = 2 });
        var broken = run with { Method = new BreaksAt(run.Method, 5) };
        var error = Assert.Throws<UserErrorException>(() => Trainer.Train(broken))!;
        Assert.That(error.Message, Does.StartWith("Step 5: loss NaN").And.Contain("learning_rate").And.Contain("checkpoint is intact"));
        Assert.That(Directory.GetDirectories(Path.Combine(Folder, "checkpoints")).Select(Path.GetFileName), Is.EqualTo((string[])["4"]));
        Assert.That(File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).Count(), Is.EqualTo(4));
        Assert.That(Trainer.Train(Fixtures.SmallRun(Folder, run.Options)).ResumedFrom, Is.EqualTo(4), "the run goes on from there");
    }

    // Of an update's small batches the first may have no finite log-probs and the second some; neither loss is then the method's fault. Its own is.
    [TestCase(0, false)]
    [TestCase(1, false)]
    [TestCase(0, true)]
    [TestCase(1, true)]
    public void Only_a_loss_of_finite_log_probs_is_the_methods(int damaged, bool isMethods)
    {
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 1, BatchSize = 1, GradientAccumulationSteps = 2, Shuffle = false, SaveEvery = 0 });
        run = run with { Records = [.. run.Records.Take(2)], Method = isMethods ? new BreaksAt(run.Method, damaged + 1) : run.Method };
        using var off = torch.no_grad();
        if (!isMethods) run.Model.Weights[run.Model.Spec.Names.Embedding + ".weight"][((int[])[21, 36])[damaged]].fill_(float.NaN); // a token of this row alone
        using var on = torch.enable_grad();
        var error = Assert.Throws<UserErrorException>(() => Trainer.Train(run))!;
        Assert.That(error.Message, Does.StartWith("Step 1: loss NaN"));
        Assert.That(error.Message.Contains("Loss made it", StringComparison.Ordinal), Is.EqualTo(isMethods), error.Message);
    }

    [Test]
    public void Training_leaves_no_tensor_behind_a_step()
    {
        var counts = new List<long>();
        Trainer.Train(Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 12, BatchSize = 4, GradientAccumulationSteps = 2, SaveEvery = 0 }) with { Progress = _ => counts.Add(Tensor.TotalCount) });
        Assert.That(counts.Skip(4).Max(), Is.LessThanOrEqualTo(counts[3]));
    }

    private sealed class BreaksAt(IAlignmentMethod inner, int call) : IAlignmentMethod
    {
        private int calls;

        public MethodNeeds Needs => inner.Needs;

        public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => inner.Prepare(records, context);

        public MethodLoss Loss(ScoredBatch batch)
        {
            var loss = inner.Loss(batch);
            return ++calls == call ? loss with { Numerator = loss.Numerator * double.NaN } : loss;
        }
    }
}
