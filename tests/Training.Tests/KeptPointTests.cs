// Points of a training: each holds the numbers of a run that ends there with the same schedule, survives pruning and changes nothing
// of the rest; a run that stopped at a point goes on to the bytes of one that never did.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Training.Tests;

public sealed class KeptPointTests : TrainingTest
{
    // 5 records a micro-batch, 2 micro-batches an update.
    private static readonly TrainingOptions Options = new() { MaxSteps = 7, BatchSize = 5, GradientAccumulationSteps = 2, LearningRate = 1e-2, WarmupRatio = 0.2, LrScheduler = "cosine", SaveEvery = 2 };

    private string At(string name) => Directory.CreateDirectory(Path.Combine(Folder, name)).FullName;

    // Points and the end as files, as the host writes folders.
    private static TrainingOutcome Train(string folder, bool adapter, string[] keep, string until = "", TrainingOptions? options = null, Action<TrainingProgress>? progress = null, int held = 0)
    {
        string File(string point) => Path.Combine(folder, point.Replace(':', '-') + ".safetensors");
        var run = Fixtures.SmallRun(folder, options ?? Options, adapter);
        void Write(string point, TrainedParts parts) =>
            SafetensorsWriter.Write(File(point), parts.Adapter?.SelectMany(s => s.Delta.Parameters.Select(p => KeyValuePair.Create($"{s.Module}.{p.Key}", p.Value))) ?? run.Model.Weights.Select(w => KeyValuePair.Create(w.Key, w.Value.detach())));
        run = run with { EvalRecords = [.. run.Records.Take(held)], Points = new KeptPoints(keep, until, point => System.IO.File.Exists(File(point)), Write), Progress = progress };
        var outcome = Trainer.Train(run);
        Write("end", new TrainedParts(run.Adapter, null, run.Adapter is null));
        return outcome;
    }

    private static byte[] Bytes(string folder, string name) => File.ReadAllBytes(Path.Combine(folder, name));

    [TestCase(true)]
    [TestCase(false)]
    public void A_point_holds_what_a_run_up_to_it_ends_with_and_the_rest_does_not_notice(bool adapter)
    {
        var (plain, kept) = (At("plain"), At("kept"));
        Train(plain, adapter, []);
        Train(kept, adapter, ["step:1", "step:3", "step:7"]);
        foreach (var name in (string[])["end.safetensors", "metrics.jsonl", "checkpoints/6/trainable.safetensors"]) Assert.That(Bytes(kept, name), Is.EqualTo(Bytes(plain, name)), name);
        Assert.That(Bytes(kept, "step-7.safetensors"), Is.EqualTo(Bytes(plain, "end.safetensors")));
        Assert.That(Bytes(kept, "step-1.safetensors"), Is.Not.EqualTo(Bytes(kept, "step-3.safetensors")));
        var stopped = At("stopped");
        var outcome = Train(stopped, adapter, ["step:3"], until: "step:3");
        Assert.That(outcome.Steps, Is.EqualTo(3));
        foreach (var name in (string[])["step-3.safetensors", "end.safetensors"]) Assert.That(Bytes(stopped, name), Is.EqualTo(Bytes(kept, "step-3.safetensors")), name);
        Assert.That(File.ReadLines(Path.Combine(stopped, "metrics.jsonl")), Is.EqualTo(File.ReadLines(Path.Combine(plain, "metrics.jsonl")).Take(3)), "the schedule is the whole's");
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_run_that_stopped_at_a_point_goes_on_from_there(bool adapter)
    {
        var (plain, cut) = (At("plain"), At("cut"));
        Train(plain, adapter, []);
        Train(cut, adapter, ["step:3"], until: "step:3", Options with { SaveEvery = 0 });
        Assert.That(Train(cut, adapter, ["step:3", "step:5"], until: "step:5").ResumedFrom, Is.EqualTo(3), "with no other checkpoint than the point's");
        Assert.That(Train(cut, adapter, ["step:3", "step:5"]).ResumedFrom, Is.EqualTo(5));
        foreach (var name in (string[])["end.safetensors", "metrics.jsonl"]) Assert.That(Bytes(cut, name), Is.EqualTo(Bytes(plain, name)), name);
    }

    // Where it hands over, a policy is measured too; a run that goes on from there does not show it.
    [TestCase(0)]
    [TestCase(2)]
    public void The_policy_that_is_handed_over_is_measured(int every)
    {
        var options = Options with { EvalEvery = every };
        var (plain, cut) = (At("plain"), At("cut"));
        Train(plain, adapter: true, [], options: options, held: 6);
        Train(cut, adapter: true, ["step:5"], until: "step:5", options, held: 6);
        var stopped = File.ReadAllLines(Path.Combine(cut, "metrics.jsonl"));
        Assert.That(stopped.Where(row => row.Contains("\"eval_loss\"", StringComparison.Ordinal)).Select(row => (int)JsonNode.Parse(row)!["step"]!), Is.EqualTo(every == 0 ? [5] : (int[])[2, 4, 5]));
        Assert.That(JsonNode.Parse(stopped[^1])!["eval_num_tokens"]!.ToString(), Is.EqualTo(JsonNode.Parse(stopped[^1])!["num_tokens"]!.ToString()));
        Train(cut, adapter: true, ["step:5"], until: "step:5", options, held: 6);
        Assert.That(File.ReadAllLines(Path.Combine(cut, "metrics.jsonl")), Is.EqualTo(stopped), "stopped behind the checkpoint and before its end, it measures again");
        Assert.That(Train(cut, adapter: true, ["step:5"], options: options, held: 6).ResumedFrom, Is.EqualTo(5));
        Assert.That(File.ReadAllLines(Path.Combine(cut, "metrics.jsonl")), Is.EqualTo(File.ReadAllLines(Path.Combine(plain, "metrics.jsonl"))));
    }

    // Whoever listens has the rows of metrics.jsonl: the last one with what was measured at the hand-over, also where a run is
    // stopped between the checkpoint there and its end, and goes on with no update left.
    [Test]
    public void What_is_measured_at_a_hand_over_is_told()
    {
        var (folder, told) = (At("told"), new List<TrainingProgress>());
        for (var run = 0; run < 2; run++)
        {
            told.Clear();
            Train(folder, adapter: true, ["step:5"], until: "step:5", progress: told.Add, held: 6);
            var rows = File.ReadAllLines(Path.Combine(folder, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!.AsObject()).ToList();
            Assert.That(told.Select(p => p.Step), Is.EqualTo(run == 0 ? [1, 2, 3, 4, 5] : (int[])[5]));
            foreach (var progress in told)
                Assert.That(progress.Row, Is.EqualTo(rows[progress.Step - 1].Select(e => KeyValuePair.Create(e.Key, (double)e.Value!))).AsCollection);
            Assert.That(told[^1].Row.Select(e => e.Key), Does.Contain("eval_loss"));
        }
    }

    // Killed anywhere, with points between and on checkpoints: what lies behind the last checkpoint is written again.
    [Test]
    public void Killed_after_any_step_ends_with_equal_points()
    {
        string[] keep = ["step:2", "step:3", "step:5"];
        var whole = At("whole");
        Train(whole, adapter: true, keep, progress: p => Copy(whole, At($"killed-{p.Step}")));
        for (var step = 1; step <= Options.MaxSteps; step++)
        {
            var killed = At($"killed-{step}");
            Train(killed, adapter: true, keep);
            foreach (var name in (string[])["step-2.safetensors", "step-3.safetensors", "step-5.safetensors", "end.safetensors", "metrics.jsonl"])
                Assert.That(Bytes(killed, name), Is.EqualTo(Bytes(whole, name)), $"{name}, killed after step {step}");
        }
        var torn = At("killed-5"); // between a checkpoint and the point at the same step
        Directory.Delete(torn, recursive: true);
        Train(At("killed-5"), adapter: true, ["step:4"], until: "step:4");
        File.Delete(Path.Combine(torn, "step-4.safetensors"));
        Assert.That(Train(torn, adapter: true, ["step:4"], until: "step:4").ResumedFrom, Is.EqualTo(4));
        Assert.That(File.Exists(Path.Combine(torn, "step-4.safetensors")));
    }

    [Test]
    public void A_point_that_is_asked_for_later_is_found_from_an_earlier_checkpoint()
    {
        var (whole, folder) = (At("whole"), At("run"));
        Train(whole, adapter: true, ["step:5"]);
        Train(folder, adapter: true, [], options: Options with { KeepCheckpoints = 3 });
        Assert.That(Train(folder, adapter: true, ["step:5"], options: Options with { KeepCheckpoints = 3 }).ResumedFrom, Is.EqualTo(4), "not from 6, which lies behind it");
        foreach (var name in (string[])["step-5.safetensors", "end.safetensors", "metrics.jsonl"]) Assert.That(Bytes(folder, name), Is.EqualTo(Bytes(whole, name)), name);
    }

    // The state of an adapter's points lasts, that of whole weights does not.
    [TestCase(true, 3)]
    [TestCase(false, 0)]
    public void A_point_that_is_asked_for_later_is_found_from_the_point_before_it(bool adapter, int from)
    {
        var (whole, folder) = (At("whole"), At("run"));
        Train(whole, adapter, ["step:3", "step:5"]);
        Train(folder, adapter, ["step:3"]);
        Assert.That(Directory.GetDirectories(Path.Combine(folder, "checkpoints")).Select(Path.GetFileName), Is.EquivalentTo(adapter ? (string[])["3", "6"] : ["6"]));
        Assert.That(Train(folder, adapter, ["step:3", "step:5"]).ResumedFrom, Is.EqualTo(from));
        foreach (var name in (string[])["step-3.safetensors", "step-5.safetensors", "end.safetensors", "metrics.jsonl"]) Assert.That(Bytes(folder, name), Is.EqualTo(Bytes(whole, name)), name);
    }

    [Test]
    public void Epochs_are_counted_in_updates_and_a_point_beyond_the_end_is_refused()
    {
        var epochs = Options with { MaxSteps = 0, Epochs = 2 };
        var (halves, steps) = (At("halves"), At("steps"));
        var total = Train(halves, adapter: true, ["epoch:0.5", "epoch:1", "epoch:2"], options: epochs).Steps;
        Train(steps, adapter: true, [$"step:{(total + 3) / 4}", $"step:{total / 2}"], options: epochs);
        Assert.That(total % 2, Is.Zero);
        Assert.That(Bytes(halves, "epoch-0.5.safetensors"), Is.EqualTo(Bytes(steps, $"step-{(total + 3) / 4}.safetensors")));
        Assert.That(Bytes(halves, "epoch-1.safetensors"), Is.EqualTo(Bytes(steps, $"step-{total / 2}.safetensors")));
        Assert.That(Bytes(halves, "epoch-2.safetensors"), Is.EqualTo(Bytes(halves, "end.safetensors")));
        Assert.That(() => Train(At("beyond"), adapter: true, ["step:8"]), Throws.InstanceOf<UserErrorException>().With.Message.Contains("step:8").And.Message.Contains("it has 7 in all"));
        Assert.That(File.Exists(Path.Combine(At("beyond"), "metrics.jsonl")), Is.False, "before the first update");
    }
}
