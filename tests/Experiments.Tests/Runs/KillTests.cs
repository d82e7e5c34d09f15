// Killed in the middle, executor and job alike, a run goes on from its last checkpoint and ends with the same bytes as one
// that was never killed: full training and LoRA with dropout.

namespace PeftAlign.Experiments.Tests;

[NonParallelizable]
public sealed class KillTests
{
    private static readonly string[] Compared = ["metrics.jsonl", "ledger.json", "result.json", "model/model.safetensors", "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "results.json", "samples_preference.jsonl"];

    [Test]
    public void A_killed_run_resumes_to_the_same_bytes()
    {
        using var broken = Killed();
        var end = broken.Finish(broken.File("short.yaml"));
        foreach (var label in (string[])["train/tiny/world/teach/s3", "train/taught/world/tune/s3"])
            Assert.That(File.ReadAllText(Path.Combine(broken.Job(label), "log.txt")), Does.Contain("resumed from step"), label);

        var expected = Contents(WholeRuns.Of(Manifests.Short));
        Assert.That(Contents(broken).Keys, Is.EquivalentTo(expected.Keys));
        foreach (var (file, bytes) in Contents(broken)) Assert.That(bytes, Is.EqualTo(expected[file]), $"{file}\n{end.All}");
    }

    // A run that was killed three times. Where a busy machine gives the watcher no time, a training is done before its kill: then another
    // run begins.
    private static Peftalign Killed()
    {
        for (var tries = 1; ; tries++)
        {
            var broken = new Peftalign();
            var manifest = broken.Write("short.yaml", Manifests.Short);
            if (Kill(broken, manifest, "train/tiny/world/teach/s3", rows: 7) && Kill(broken, manifest, "train/taught/world/tune/s3", rows: 5) && Kill(broken, manifest, "train/taught/world/tune/s3", rows: 14, job: false)) return broken;
            broken.Dispose();
            Assert.That(tries, Is.LessThan(20), "every kill came too late, after the training's end");
        }
    }

    // Kills the executor, and the job with it or not, with SIGKILL once the training has written so many rows; whether it was in the
    // middle then. A job that was left alone stops by itself, and the next run waits for it.
    private static bool Kill(Peftalign user, string manifest, string label, int rows, bool job = true)
    {
        using var process = Peftalign.Start("run", manifest, "--out", user.Run, "--threads", "1");
        _ = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        while (!process.HasExited && Rows(user, label) < rows) Thread.Sleep(2);
        if (process.HasExited) Assert.That(process.ExitCode, Is.Zero, "the run failed by itself");
        var inTheMiddle = !process.HasExited && Rows(user, label) < 40;
        process.Kill(entireProcessTree: job);
        process.WaitForExit();
        return inTheMiddle;
    }

    private static int Rows(Peftalign user, string label)
    {
        try
        {
            var metrics = Path.Combine(user.Job(label), "metrics.jsonl");
            using var reader = new StreamReader(new FileStream(metrics, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            return reader.ReadToEnd().Count(c => c == '\n');
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or System.Text.Json.JsonException)
        {
            return 0; // not there yet
        }
    }

    private static Dictionary<string, byte[]> Contents(Peftalign user)
    {
        var jobs = Path.Combine(user.Run, "jobs");
        return Directory.GetFiles(jobs, "*", SearchOption.AllDirectories)
            .Where(f => Compared.Any(c => f.EndsWith("/" + c, StringComparison.Ordinal)))
            .ToDictionary(f => Path.GetRelativePath(jobs, f), f => f.EndsWith("adapter_config.json", StringComparison.Ordinal) ? WithoutFolder(f, user.Run) : File.ReadAllBytes(f));
    }

    // adapter_config.json names its base model, which lies in the run's own folder.
    private static byte[] WithoutFolder(string file, string run) => System.Text.Encoding.UTF8.GetBytes(File.ReadAllText(file).Replace(run, "RUN"));
}
