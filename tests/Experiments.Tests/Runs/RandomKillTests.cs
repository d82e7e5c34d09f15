// SIGKILL at random moments, to the run, to one of its jobs, or to all at once, two jobs at a time: `run` again ends with the bytes
// of a run that nobody killed, and nothing that was finished is done again. 5 kills; 50 under --slow.

namespace PeftAlign.Experiments.Tests;

public sealed class RandomKillTests
{
    private static readonly string[] Compared = ["metrics.jsonl", "ledger.json", "result.json", "results.json"];

    [Test]
    public void Five_kills_change_nothing() => Kills(5, seed: 11);

    [Test]
    [Category("slow")]
    public void Fifty_kills_change_nothing()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") != "1") Assert.Ignore("slow; ./test --slow runs it");
        Kills(50, seed: 12);
    }

    private static void Kills(int wanted, int seed)
    {
        var expected = Contents(WholeRuns.Of(Manifests.Merges));
        Assert.That(expected, Has.Count.GreaterThan(20));
        var random = new Random(seed);
        for (var kills = 0; kills < wanted;)
        {
            using var user = new Peftalign();
            var manifest = user.Write("merges.yaml", Manifests.Merges);
            var finished = new Dictionary<string, DateTime>();
            var story = new List<string>();
            while (kills < wanted && Kill(user, manifest, random) is { } what)
            {
                kills++;
                story.Add($"{what}, {finished.Count} finished before");
                foreach (var (job, time) in Results(user)) finished.TryAdd(job, time);
            }
            var end = user.Finish(manifest, "--jobs", "2");
            var told = $"seed {seed}\n{string.Join("\n", story)}\n{end.All}";
            var results = Results(user);
            foreach (var (job, time) in finished) Assert.That(results[job], Is.EqualTo(time), $"{job} was finished and done again\n{told}");
            var contents = Contents(user);
            Assert.That(contents.Keys, Is.EquivalentTo(expected.Keys), told);
            Assert.That(Directory.GetFileSystemEntries(user.Run, "*.part*", SearchOption.AllDirectories), Is.Empty, told);
            foreach (var (file, bytes) in contents) Assert.That(bytes, Is.EqualTo(expected[file]), $"{file}\n{told}");
        }
    }

    // What was killed; null if the run ended before.
    private static string? Kill(Peftalign user, string manifest, Random random)
    {
        using var run = Peftalign.Start("run", manifest, "--out", user.Run, "--threads", "2", "--jobs", "2");
        _ = (run.StandardError.ReadToEndAsync(), run.StandardOutput.ReadToEndAsync());
        var delay = TimeSpan.FromSeconds(0.3 + 4 * random.NextDouble());
        if (run.WaitForExit(delay)) return null;
        var (choice, jobs) = (random.Next(3), Processes.ChildrenOf(run.Id));
        if (choice == 0 && jobs.Count > 0)
        {
            Processes.Signal(jobs[random.Next(jobs.Count)], "KILL"); // which may have ended meanwhile
            run.WaitForExit(); // goes on with what does not need that job
            return $"a job after {delay.TotalSeconds:0.0} s";
        }
        run.Kill(entireProcessTree: choice == 1);
        run.WaitForExit();
        return $"{(choice == 1 ? "all" : "the run")} after {delay.TotalSeconds:0.0} s";
    }

    // Not of the folders within: a job whose run was killed renames and deletes some for a while.
    private static Dictionary<string, DateTime> Results(Peftalign user) => Directory.Exists(Path.Combine(user.Run, "jobs"))
        ? Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Select(job => Path.Combine(job, "result.json")).Where(File.Exists).ToDictionary(file => Path.GetFileName(Path.GetDirectoryName(file))!, File.GetLastWriteTimeUtc)
        : [];

    private static Dictionary<string, byte[]> Contents(Peftalign user)
    {
        var jobs = Path.Combine(user.Run, "jobs");
        return Directory.GetFiles(jobs, "*", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/checkpoints/", StringComparison.Ordinal) && (file.EndsWith(".safetensors", StringComparison.Ordinal) || Path.GetFileName(file) is var name && (Compared.Contains(name) || name.StartsWith("samples_", StringComparison.Ordinal))))
            .ToDictionary(file => Path.GetRelativePath(jobs, file), File.ReadAllBytes);
    }
}
