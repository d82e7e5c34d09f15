// What a disk that lost power may leave under a checkpoint's name: the one before is gone on from, to the same bytes.

using PeftAlign.Abstractions;

namespace PeftAlign.Training.Tests;

public sealed class DamagedCheckpointTests : TrainingTest
{
    private static readonly TrainingOptions Options = new() { MaxSteps = 7, BatchSize = 5, LearningRate = 1e-2, SaveEvery = 2, KeepCheckpoints = 3 };

    private string At(string name) => Directory.CreateDirectory(Path.Combine(Folder, name)).FullName;

    private static string Checkpoint(string folder, int step, string file = "") => Path.Combine(folder, "checkpoints", $"{step}", file);

    private static (TrainingOutcome Outcome, string Warned) Train(string folder, Action<TrainingProgress>? progress = null)
    {
        var warned = new List<string>();
        return (Trainer.Train(Fixtures.SmallRun(folder, Options, adapter: true) with { Progress = progress, Warn = warned.Add }), string.Join("\n", warned));
    }

    private static void Cut(string file)
    {
        using var stream = new FileStream(file, FileMode.Open);
        stream.SetLength(stream.Length / 2);
    }

    private static readonly (string File, Action<string> Harm)[] Harms =
    [
        ("state.json", file => File.WriteAllText(file, "")),
        ("state.json", file => File.WriteAllText(file, "null")),
        ("state.json", Cut),
        ("state.json", File.Delete),
        ("state.json", file => File.WriteAllBytes(file, new byte[90])),
        ("trainable.safetensors", Cut),
        ("trainable.safetensors", file => File.WriteAllText(file, "")),
        ("optimizer.safetensors", File.Delete),
    ];

    [Test]
    public void The_one_before_a_damaged_one_is_gone_on_from_to_the_same_bytes()
    {
        var whole = At("whole");
        Assert.That(Train(whole, p => { if (p.Step == 7) Copy(whole, At("killed")); }).Warned, Is.Empty);
        foreach (var ((file, harm), k) in Harms.Select((harm, k) => (harm, k)))
        {
            Copy(At("killed"), At($"harmed-{k}"));
            var folder = At($"harmed-{k}");
            harm(Checkpoint(folder, 6, file));
            var (outcome, warned) = Train(folder);
            Assert.That(outcome.ResumedFrom, Is.EqualTo(4), file);
            Assert.That(warned, Is.EqualTo($"the checkpoint of step 6 is damaged ({file} cannot be read); it is called {Checkpoint(folder, 6)}.damaged now, and the training goes on from that of step 4"));
            Directory.Delete(Checkpoint(folder, 6) + ".damaged", recursive: true);
            foreach (var name in Directory.GetFiles(whole, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(whole, path)).Where(name => Path.GetFileName(name) != "timing.json"))
                Assert.That(File.ReadAllBytes(Path.Combine(folder, name)), Is.EqualTo(File.ReadAllBytes(Path.Combine(whole, name))), $"{file}, {k}: {name}");
        }
    }

    [Test]
    public void Of_several_damaged_ones_each_is_put_aside()
    {
        var folder = At("run");
        Train(folder);
        foreach (var step in (int[])[4, 6]) File.WriteAllText(Checkpoint(folder, step, "state.json"), "");
        Directory.CreateDirectory(Checkpoint(folder, 6) + ".damaged"); // of another time
        Assert.That(Train(folder).Outcome.ResumedFrom, Is.EqualTo(2));
        Assert.That(Directory.GetDirectories(Path.Combine(folder, "checkpoints")).Select(Path.GetFileName), Is.EquivalentTo((string[])["2", "4", "6", "4.damaged", "6.damaged"]));
    }

    [Test]
    public void Without_one_before_it_is_refused()
    {
        var folder = At("run");
        Train(folder);
        foreach (var step in (int[])[2, 4]) Directory.Delete(Checkpoint(folder, step), recursive: true);
        File.WriteAllText(Checkpoint(folder, 6, "state.json"), "");
        Assert.That(() => Train(folder), Throws.InstanceOf<UserErrorException>().With.Message.Contains("state.json").And.Message.Contains("Delete"));
        Assert.That(Directory.Exists(Checkpoint(folder, 6)));
    }
}
