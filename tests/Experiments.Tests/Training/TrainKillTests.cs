// kill -9 at random moments of `train`, dropout on: whatever was being written, the same command ends with the bytes of a run
// that was never killed.

namespace PeftAlign.Experiments.Tests;

[NonParallelizable]
public sealed class TrainKillTests
{
    private const int Steps = 150;

    [Test]
    public void Three_random_kills_change_no_byte() => Kill(times: 3, seed: 11);

    [Test]
    public void Twenty_random_kills_change_no_byte()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") != "1") Assert.Ignore("slow: PEFTALIGN_SLOW=1 or ./test --slow runs it");
        Kill(times: 20, seed: Environment.TickCount);
    }

    private static void Kill(int times, int seed)
    {
        TestContext.Out.WriteLine($"seed {seed}");
        using var user = new Peftalign();
        string[] Train(string folder) =>
        [
            "train", "sft", "--model", Peftalign.Stories, "--data", TrainRows.Path(user), "--out", folder,
            "--adapter", "lora", "--rank", "4", "--dropout", "0.2", "--targets", "all-linear", "--max-steps", $"{Steps}", "--batch-size", "4", "--gradient-accumulation-steps", "2",
            "--learning-rate", "3e-3", "--lr-scheduler", "cosine", "--warmup-steps", "5", "--save-every", "2", "--keep-checkpoints", "2", "--threads", "1",
        ];
        TrainRows.Write(user);
        var whole = Peftalign.Call(Train(user.File("whole")));
        Assert.That(whole.Code, Is.Zero, whole.All);

        var random = new Random(seed);
        var moments = Enumerable.Range(0, times).Select(_ => random.Next(1, Steps * 9 / 10)).Order().ToList();
        // Where a busy machine gives the watcher no time, the training is done before the kill: then it begins again.
        for (var tries = 1; !moments.All(row => KilledAt(row, random.Next(0, 25), user.Run, Train(user.Run))); tries++)
        {
            Assert.That(tries, Is.LessThan(20), "every kill came too late, after the training's end");
            Directory.Delete(user.Run, recursive: true);
        }
        var end = Peftalign.Call(Train(user.Run));
        Assert.That(end.Code, Is.Zero, end.All);
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "log.txt")), Does.Contain("resumed from step"));
        Assert.That(TrainRows.Results(user.Run), Is.EqualTo(TrainRows.Results(user.File("whole"))));
        Assert.That(Directory.GetFileSystemEntries(user.Run, "*.part*", SearchOption.AllDirectories), Is.Empty);
        // The last of the former tries' work counts with the last try's own: as a checkpoint keeps it, more than that try took alone.
        var resumed = System.Text.RegularExpressions.Regex.Matches(File.ReadAllText(Path.Combine(user.Run, "log.txt")), "resumed from step ([0-9]+)").Select(m => int.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture)).Max();
        Assert.That(resumed, Is.GreaterThan(Steps / 10));
        var (all, kept) = (Peftalign.Json(Path.Combine(user.Run, "timing.json")), Peftalign.Json(Directory.GetDirectories(Path.Combine(user.Run, "checkpoints")).Select(step => Path.Combine(step, "timing.json")).Order(StringComparer.Ordinal).Last()));
        foreach (var part in (string[])["seconds", "processor_seconds"]) Assert.That((double)all[part]!, Is.GreaterThanOrEqualTo((double)kept[part]!), part);
    }

    // Kills command and job once so many rows are written and some milliseconds have passed; false if it was done by then.
    private static bool KilledAt(int rows, int milliseconds, string folder, string[] train)
    {
        using var process = Peftalign.Start(train);
        _ = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        while (!process.HasExited && TrainRows.Rows(folder) < rows) Thread.Sleep(1);
        Thread.Sleep(milliseconds);
        if (process.HasExited)
        {
            Assert.That(process.ExitCode, Is.Zero, "the training failed by itself");
            return false;
        }
        process.Kill(entireProcessTree: true);
        process.WaitForExit();
        return true;
    }
}
