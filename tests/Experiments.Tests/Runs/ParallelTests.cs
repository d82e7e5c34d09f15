// --jobs 2: two processes at once and never more, each with its share of the threads, and the same results as one after the other.

using System.Globalization;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed partial class ParallelTests
{
    private static readonly string[] Compared = ["metrics.jsonl", "results.json", "samples_preference.jsonl", "model.safetensors"];

    [Test]
    public void Two_jobs_run_at_once_and_give_what_one_after_the_other_gives()
    {
        // Three trainings, so that a third would run beside two if it could; and two evaluations of one model.
        var text = Manifests.Short.Replace("seeds: [3]", "seeds: [3, 4, 5]").Replace("  - { models: [taught], datasets: [world], methods: [tune] }\n", "")
            .Replace("max_steps: 40, save_every: 4", "max_steps: 60, save_every: 60").Replace("  exam:", "  other: { reader: synthetic, rows: 30, split: test }\n  exam:")
            .Replace("of: [untouched, trained]\n    with: [{ type: preference, dataset: exam }]", "of: [untouched]\n    with: [{ type: preference, dataset: exam }, { type: preference, dataset: other }]");
        using var both = Frozen.InTime(() => AtOnce(text));
        var jobs = Times(both.Run);
        Assert.That(jobs, Has.Count.EqualTo(6));
        Assert.That(jobs.Values.Max(job => jobs.Values.Count(other => other.Start <= job.Start && job.Start < other.End)), Is.EqualTo(2), "at once");
        Assert.That(jobs.Values.Select(job => job.Threads), Is.All.EqualTo(1), "two threads for two jobs");
        Assert.That(jobs.Where(job => job.Key.StartsWith("evaluate/", StringComparison.Ordinal)).Select(job => job.Value.Process).Distinct().Count(), Is.EqualTo(2), "a group is dealt out over free places");

        using var single = new Peftalign();
        single.Finish(single.Write("short.yaml", text));
        var expected = Contents(single.Run);
        Assert.That(expected, Has.Count.EqualTo(1 + 3 * 2 + 2 * 2));
        Assert.That(Contents(both.Run), Is.EqualTo(expected));
    }

    // The first training stands still until another has begun, which needs a place of its own; null where it was done before.
    private static Peftalign? AtOnce(string text)
    {
        var user = new Peftalign();
        string[] Run(string only) => ["run", user.Write("short.yaml", text), "--out", user.Run, "--jobs", "2", "--threads", "2", "--only", only];
        var outcome = Peftalign.Call(Run("evaluate/*"));
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        using var run = Peftalign.Start(Run("train/*"));
        var (err, said) = (run.StandardError.ReadToEndAsync(), run.StandardOutput.ReadToEndAsync());
        var (first, isBeside) = ("", false);
        var met = Frozen.At(run, () => (first = first.Length > 0 ? first : Begun(user).FirstOrDefault("")).Length > 0 && !File.Exists(Path.Combine(first, "result.json")),
            () => isBeside = Waiting.For(() => Others(user, first), "the second training never began beside the first") == 1, () => Worker(first));
        run.WaitForExit();
        Assert.That(run.ExitCode, Is.Zero, err.Result + said.Result);
        if (met && isBeside) return user;
        user.Dispose();
        return null;
    }

    // 1: another is at work; 2: all others are done; 0: neither yet.
    private static int Others(Peftalign user, string first)
    {
        var others = Begun(user).Where(job => job != first).ToLookup(job => File.Exists(Path.Combine(job, "result.json")));
        return others[false].Any() ? 1 : others[true].Count() == 2 ? 2 : 0;
    }

    // The trainings that have a first step.
    private static IEnumerable<string> Begun(Peftalign user) => Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Where(job => TrainRows.Rows(job) > 0);

    private static int Worker(string job) => int.Parse(Process().Match(File.ReadAllText(Path.Combine(job, "log.txt"))).Groups[1].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex("in process ([0-9]+),")]
    private static partial Regex Process();

    // By label: when it began and ended (UTC, exact to the millisecond), its threads and the process of its log.
    private static Dictionary<string, (DateTime Start, DateTime End, int Threads, string Process)> Times(string run) =>
        Directory.GetDirectories(Path.Combine(run, "jobs")).ToDictionary(
            job => (string)Peftalign.Json(Path.Combine(job, "result.json"))["label"]!,
            job =>
            {
                var timing = Peftalign.Json(Path.Combine(job, "timing.json"));
                var start = DateTime.Parse((string)timing["started"]!, CultureInfo.InvariantCulture);
                var process = Process().Match(File.ReadAllText(Path.Combine(job, "log.txt"))).Groups[1].Value;
                return (start, start.AddSeconds((double)timing["seconds"]!), (int)timing["threads"]!, process);
            });

    private static SortedDictionary<string, string> Contents(string run) =>
        new(Directory.GetFiles(Path.Combine(run, "jobs"), "*", SearchOption.AllDirectories).Where(file => Compared.Contains(Path.GetFileName(file)) && !file.Contains("/checkpoints/", StringComparison.Ordinal))
            .ToDictionary(file => Path.GetRelativePath(run, file), file => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))), StringComparer.Ordinal);
}
