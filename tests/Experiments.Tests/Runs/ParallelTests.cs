// --jobs 2: two processes at once and never more, each with its share of the threads, and the same results as one after the other.

using System.Globalization;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed class ParallelTests
{
    private static readonly string[] Compared = ["metrics.jsonl", "results.json", "samples_preference.jsonl", "model.safetensors"];

    [Test]
    public void Two_jobs_run_at_once_and_give_what_one_after_the_other_gives()
    {
        // Three trainings, so that a third would run beside two if it could; and two evaluations of one model.
        var text = Manifests.Short.Replace("seeds: [3]", "seeds: [3, 4, 5]").Replace("  - { models: [taught], datasets: [world], methods: [tune] }\n", "")
            .Replace("max_steps: 40, save_every: 4", "max_steps: 60, save_every: 60").Replace("  exam:", "  other: { reader: synthetic, rows: 30, split: test }\n  exam:")
            .Replace("of: [untouched, trained]\n    with: [{ type: preference, dataset: exam }]", "of: [untouched]\n    with: [{ type: preference, dataset: exam }, { type: preference, dataset: other }]");
        using var both = new Peftalign();
        foreach (var only in (string[])["evaluate/*", "train/*"])
        {
            var outcome = Peftalign.Call("run", both.Write("short.yaml", text), "--out", both.Run, "--jobs", "2", "--threads", "2", "--only", only);
            Assert.That(outcome.Code, Is.Zero, outcome.All);
        }
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

    // By label: when it began and ended (UTC, exact to the millisecond), its threads and the process of its log.
    private static Dictionary<string, (DateTime Start, DateTime End, int Threads, string Process)> Times(string run) =>
        Directory.GetDirectories(Path.Combine(run, "jobs")).ToDictionary(
            job => (string)Peftalign.Json(Path.Combine(job, "result.json"))["label"]!,
            job =>
            {
                var timing = Peftalign.Json(Path.Combine(job, "timing.json"));
                var start = DateTime.Parse((string)timing["started"]!, CultureInfo.InvariantCulture);
                var process = Regex.Match(File.ReadAllText(Path.Combine(job, "log.txt")), "in process ([0-9]+),").Groups[1].Value;
                return (start, start.AddSeconds((double)timing["seconds"]!), (int)timing["threads"]!, process);
            });

    private static SortedDictionary<string, string> Contents(string run) =>
        new(Directory.GetFiles(Path.Combine(run, "jobs"), "*", SearchOption.AllDirectories).Where(file => Compared.Contains(Path.GetFileName(file)) && !file.Contains("/checkpoints/", StringComparison.Ordinal))
            .ToDictionary(file => Path.GetRelativePath(run, file), file => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))), StringComparer.Ordinal);
}
