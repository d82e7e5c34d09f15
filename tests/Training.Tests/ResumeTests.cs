// A run that was killed ends with the bytes of one that was not, wherever it was killed; dropout, shuffling, accumulation
// and pruning of checkpoints are on. A kill is played by copying the folder as it stood at that moment.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class ResumeTests : TrainingTest
{
    private const int Steps = 7;

    private static readonly TrainingOptions Options = new()
    {
        MaxSteps = Steps,
        BatchSize = 5,
        GradientAccumulationSteps = 2,
        LearningRate = 1e-2,
        WeightDecay = 0.1,
        WarmupRatio = 0.2,
        LrScheduler = "cosine",
        SaveEvery = 2,
        KeepCheckpoints = 2,
    };

    // A method whose loss is weighed by a running mean; passes over eval_data must leave it alone.
    private sealed class Running(IAlignmentMethod inner) : IAlignmentMethod, IKeepsState
    {
        private readonly Tensor mean = torch.ones([1]).DetachFromDisposeScope();

        public MethodNeeds Needs => inner.Needs;

        public IReadOnlyDictionary<string, Tensor> State => new Dictionary<string, Tensor> { ["mean"] = mean };

        public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => inner.Prepare(records, context);

        public MethodLoss Loss(ScoredBatch batch)
        {
            var loss = inner.Loss(batch);
            var weight = mean.item<float>();
            using (torch.no_grad()) mean.mul_(0.5).add_(batch.LogProbs.mean() * -0.5);
            return loss with { Numerator = loss.Numerator * weight };
        }
    }

    [Test]
    public void A_methods_state_is_resumed_and_evaluations_leave_it()
    {
        var options = Options with { EvalEvery = 3 };
        TrainingRun Run(string name, TrainingOptions with)
        {
            var run = Fixtures.SmallRun(At(name), with);
            return run with { Method = new Running(run.Method), EvalRecords = [.. run.Records.Take(6)] };
        }
        string Losses(string name) => string.Join("\n", File.ReadLines(Path.Combine(At(name), "metrics.jsonl")).Select(line => System.Text.Json.Nodes.JsonNode.Parse(line)!["loss"]));
        var whole = Run("whole", options);
        Trainer.Train(whole with { Progress = p => { if (p.Step == 5) Copy(whole.Folder, At("killed")); } });
        var resumed = Run("killed", options);
        Assert.That(Trainer.Train(resumed).ResumedFrom, Is.EqualTo(4));
        AssertSameFiles(At("killed"), At("whole"), "killed with state");
        Trainer.Train(Run("unmeasured", Options));
        Assert.That(Losses("unmeasured"), Is.EqualTo(Losses("whole")), "passes over eval_data change nothing");
        Assert.That(File.Exists(Path.Combine(At("whole"), "checkpoints", "6", "method.safetensors")));
    }

    // transformers' Trainer evaluates after the last update too, whether eval_steps divides it or not.
    [TestCase(0, new[] { Steps })]
    [TestCase(3, new[] { 3, 6, Steps })]
    [TestCase(Steps, new[] { Steps })]
    [TestCase(100, new[] { Steps })]
    public void Eval_data_are_measured_every_so_many_updates_and_after_the_last(int every, int[] expected)
    {
        var run = Fixtures.SmallRun(At("run"), Options with { EvalEvery = every });
        Trainer.Train(run with { EvalRecords = [.. run.Records.Take(6)] });
        var rows = File.ReadLines(Path.Combine(At("run"), "metrics.jsonl")).Select(line => System.Text.Json.Nodes.JsonNode.Parse(line)!).ToList();
        var measured = rows.Where(row => row["eval_loss"] is not null).ToList();
        Assert.That(measured.Select(row => (int)row["step"]!), Is.EqualTo(expected));
        foreach (var row in measured) Assert.That((long)row["eval_num_tokens"]!, Is.EqualTo((long)row["num_tokens"]!), "of what was trained, as TRL's");
    }

    private string At(string name) => Directory.CreateDirectory(Path.Combine(Folder, name)).FullName;

    private TrainingOutcome Train(string folder, bool adapter, Action<TrainingProgress>? progress = null) => Train(folder, Options, adapter, progress);

    // What the host writes at the end stands for it here: the trained tensors as a file in the folder.
    private static TrainingOutcome Train(string folder, TrainingOptions options, bool adapter, Action<TrainingProgress>? progress = null)
    {
        var run = Fixtures.SmallRun(folder, options, adapter) with { Progress = progress };
        var outcome = Trainer.Train(run);
        var trained = run.Adapter?.SelectMany(s => s.Delta.Parameters.Select(p => KeyValuePair.Create($"{s.Module}.{p.Key}", p.Value))) ?? run.Model.Weights;
        SafetensorsWriter.Write(Path.Combine(folder, "trained.safetensors"), trained);
        return outcome;
    }

    private static void AssertSameFiles(string actual, string expected, string when)
    {
        static string[] Names(string folder) => Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder, f)).Order(StringComparer.Ordinal).ToArray();
        Assert.That(Names(actual), Is.EqualTo(Names(expected)), when);
        foreach (var name in Names(expected))
            Assert.That(File.ReadAllBytes(Path.Combine(actual, name)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(expected, name))), $"{when}: {name}");
    }

    [Test]
    public void What_was_computed_once_is_paid_for_once()
    {
        var (whole, ticks) = (At("whole"), 0);
        Spent Tick() => new(ticks, 10 * ticks); // a second of ten threads after each update
        var first = Trainer.Train(Fixtures.SmallRun(whole, Options, adapter: true) with { Spent = Tick, Progress = p => { ticks++; Copy(whole, At($"killed-{p.Step}")); } });
        Assert.That(first.SpentBefore, Is.EqualTo(default(Spent)));
        // Killed after step 5 the training goes on from 4, whose checkpoint was written after 3 ticks; the second try begins at 100.
        ticks = 100;
        var second = Trainer.Train(Fixtures.SmallRun(At("killed-5"), Options, adapter: true) with { Spent = Tick, Progress = p => { ticks++; if (p.Step == 6) Copy(At("killed-5"), At("twice")); } });
        Assert.That((second.ResumedFrom, second.SpentBefore), Is.EqualTo((4, new Spent(3, 30))));
        // The second try's checkpoint 6 was written after one tick of its own.
        var third = Trainer.Train(Fixtures.SmallRun(At("twice"), Options, adapter: true));
        Assert.That((third.ResumedFrom, third.SpentBefore), Is.EqualTo((6, new Spent(3 + 101, 30 + 1010))));
        File.Delete(Path.Combine(At("killed-3"), "checkpoints", "2", "timing.json"));
        Assert.That(Trainer.Train(Fixtures.SmallRun(At("killed-3"), Options, adapter: true)).SpentBefore, Is.EqualTo(default(Spent)), "of an older checkpoint nothing is known");
    }

    [TestCase(true)]
    [TestCase(false)]
    public void Killed_after_any_step_ends_with_equal_bytes(bool adapter)
    {
        var whole = At("whole");
        Train(whole, adapter, p => Copy(whole, At($"killed-{p.Step}")));
        Assert.That(Directory.GetDirectories(Path.Combine(whole, "checkpoints")).Select(Path.GetFileName), Is.EquivalentTo((string[])["4", "6"]));
        for (var step = 1; step <= Steps; step++)
        {
            var outcome = Train(At($"killed-{step}"), adapter);
            Assert.That(outcome.ResumedFrom, Is.EqualTo(Math.Min(step, Steps - 1) / 2 * 2));
            AssertSameFiles(At($"killed-{step}"), whole, $"killed after step {step}");
        }
    }

    // Between two writes: half a row of metrics; a checkpoint half written; one half pruned; one whole and the old not pruned.
    [Test]
    public void Killed_in_the_middle_of_a_write_ends_with_equal_bytes()
    {
        var whole = At("whole");
        Train(whole, adapter: true, p => Copy(whole, At($"killed-{p.Step}")));
        void Torn(string name, int step, Action<string> tear)
        {
            Copy(At($"killed-{step}"), At(name));
            tear(At(name));
            Train(At(name), adapter: true);
            AssertSameFiles(At(name), whole, name);
        }
        Torn("half a row", 5, folder => File.AppendAllText(Path.Combine(folder, "metrics.jsonl"), "{\"step\":6,\"epo"));
        Torn("half a ledger", 5, folder => File.WriteAllText(Path.Combine(folder, "ledger.json"), "{"));
        Torn("half a checkpoint", 5, folder =>
        {
            Directory.CreateDirectory(Path.Combine(folder, "checkpoints", "6.partial"));
            File.WriteAllText(Path.Combine(folder, "checkpoints", "6.partial", "trainable.safetensors"), "x");
        });
        Torn("half pruned", 6, folder =>
        {
            Copy(Path.Combine(At("killed-2"), "checkpoints", "2"), Path.Combine(folder, "checkpoints", "2.partial"));
            File.Delete(Path.Combine(folder, "checkpoints", "2.partial", "state.json"));
        });
        Torn("not pruned", 6, folder => Copy(Path.Combine(At("killed-2"), "checkpoints", "2"), Path.Combine(folder, "checkpoints", "2")));
        Torn("before the first step", 1, folder =>
        {
            File.Delete(Path.Combine(folder, "metrics.jsonl"));
            File.Delete(Path.Combine(folder, "ledger.json"));
        });
    }

    [Test]
    public void Cancelled_and_resumed_ends_with_equal_bytes()
    {
        var (whole, cut) = (At("whole"), At("cut"));
        Train(whole, adapter: true);
        using var stop = new CancellationTokenSource();
        var run = Fixtures.SmallRun(cut, Options) with
        {
            Progress = p =>
            {
                if (p.Step == 5) stop.Cancel();
            },
        };
        Assert.That(() => Trainer.Train(run, stop.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Train(cut, adapter: true).ResumedFrom, Is.EqualTo(4));
        AssertSameFiles(cut, whole, "cancelled");
    }

    [Test]
    public void A_checkpoint_of_other_tensors_is_refused()
    {
        var folder = At("run");
        Train(folder, adapter: true);
        var full = Assert.Throws<UserErrorException>(() => Train(folder, adapter: false))!;
        Assert.That(full.Message, Does.Contain("trainable.safetensors").And.Contain("lacks the tensor").And.Contain("Delete"));

        // A tensor of one number would be spread over the whole tensor by a plain copy.
        var path = Path.Combine(folder, "checkpoints", "6", "trainable.safetensors");
        var tensors = Tensors(path);
        var name = tensors.Keys.First();
        tensors[name] = PeftAlign.Torch.torch.zeros([1, 1]);
        SafetensorsWriter.Write(path, tensors);
        var shape = Assert.Throws<UserErrorException>(() => Train(folder, adapter: true))!;
        Assert.That(shape.Message, Does.Contain(name).And.Contain("[1, 1]").And.Contain("this run trains"));

        tensors.Remove(name);
        SafetensorsWriter.Write(path, tensors);
        Assert.That(() => Train(folder, adapter: true), Throws.InstanceOf<UserErrorException>().With.Message.Contains(name));
    }

    [Test]
    public void A_superfluous_tensor_a_broken_state_and_lost_rows_are_refused()
    {
        var folder = At("run");
        Train(folder, adapter: true);
        var latest = Path.Combine(folder, "checkpoints", "6");
        var kept = File.ReadAllBytes(Path.Combine(latest, "optimizer.safetensors"));
        var tensors = Tensors(Path.Combine(latest, "optimizer.safetensors"));
        tensors["more"] = PeftAlign.Torch.torch.zeros([2]);
        SafetensorsWriter.Write(Path.Combine(latest, "optimizer.safetensors"), tensors);
        Assert.That(() => Train(folder, adapter: true), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'more'"));
        File.WriteAllBytes(Path.Combine(latest, "optimizer.safetensors"), kept);

        Directory.Delete(Path.Combine(folder, "checkpoints", "4"), recursive: true); // it would be gone on from
        var state = File.ReadAllText(Path.Combine(latest, "state.json"));
        foreach (var broken in (string[])["{\"step\":", "{}", "[]", "{\"metrics_bytes\":\"x\",\"tokens\":1,\"loss\":1}"])
        {
            File.WriteAllText(Path.Combine(latest, "state.json"), broken);
            Assert.That(() => Train(folder, adapter: true), Throws.InstanceOf<UserErrorException>().With.Message.Contains("state.json"), broken);
        }
        File.WriteAllText(Path.Combine(latest, "state.json"), state);

        File.WriteAllText(Path.Combine(folder, "metrics.jsonl"), "{}\n");
        Assert.That(() => Train(folder, adapter: true), Throws.InstanceOf<UserErrorException>().With.Message.Contains("metrics.jsonl has 3 bytes"));
    }

    [Test]
    public void A_checkpoint_beyond_the_run_is_refused()
    {
        var folder = At("run");
        Train(folder, adapter: true);
        Assert.That(() => Train(folder, Options with { MaxSteps = 5 }, adapter: true), Throws.InstanceOf<UserErrorException>().With.Message.Contains("after 6 updates, but this run has 5"));
    }

    private static Dictionary<string, PeftAlign.Torch.Tensor> Tensors(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return file.Tensors.ToDictionary(t => t.Name, t => file.Tensor(t.Name).clone());
    }
}
