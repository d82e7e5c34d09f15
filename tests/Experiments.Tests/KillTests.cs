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
        using var broken = new Peftalign();
        var manifest = broken.Write("short.yaml", Manifests.Short);
        var kills = (int[])[Kill(broken, manifest, "train/tiny/world/teach/s3", rows: 7), Kill(broken, manifest, "train/taught/world/tune/s3", rows: 5), Kill(broken, manifest, "train/taught/world/tune/s3", rows: 14, job: false)];
        Assert.That(kills, Is.All.EqualTo(1), "a kill came too late, after the training's end: make the training longer");
        var end = broken.Finish(manifest);
        foreach (var label in (string[])["train/tiny/world/teach/s3", "train/taught/world/tune/s3"])
            Assert.That(File.ReadAllText(Path.Combine(broken.Job(label), "log.txt")), Does.Contain("resumed from step"), label);

        var expected = Contents(WholeRuns.Of(Manifests.Short));
        Assert.That(Contents(broken).Keys, Is.EquivalentTo(expected.Keys));
        foreach (var (file, bytes) in Contents(broken)) Assert.That(bytes, Is.EqualTo(expected[file]), $"{file}\n{end.All}");
    }

    // Kills the executor, and the job with it or not, with SIGKILL once the training has written so many rows; 1 if it was in the
    // middle then. A job that was left alone stops by itself, and the next run waits for it.
    private static int Kill(Peftalign user, string manifest, string label, int rows, bool job = true)
    {
        using var process = Peftalign.Start("run", manifest, "--out", user.Run, "--threads", "1");
        _ = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        while (!process.HasExited && Rows(user, label) < rows) Thread.Sleep(2);
        var inTheMiddle = !process.HasExited && Rows(user, label) < 40;
        process.Kill(entireProcessTree: job);
        process.WaitForExit();
        return inTheMiddle ? 1 : 0;
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
