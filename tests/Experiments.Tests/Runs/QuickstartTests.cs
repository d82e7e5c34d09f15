// The quickstart as a newcomer runs it: within its time, every claim answered with an interval, the second run has nothing to do, and
// another folder gets the same numbers. Slow: two whole runs.

using System.Diagnostics;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed class QuickstartTests
{
    private static readonly string Manifest = Path.Combine(Peftalign.Repository, "experiments", "quickstart.yaml");

    [Test]
    public void Two_folders_get_the_same_numbers_and_a_second_run_does_nothing()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") is not ("1" or "true")) Assert.Ignore("slow: two whole quickstarts; ./test --slow runs it");
        using var user = new Peftalign();
        var clock = Stopwatch.StartNew();
        var first = user.Finish(Manifest);
        TestContext.Out.WriteLine($"{clock.Elapsed.TotalSeconds:F0} s\n{first.Out}");
        Assert.That(Processor(user), Is.LessThan(240), "processor seconds of all jobs: five minutes on two cores are far away");
        var claims = Regex.Matches(first.Out, @"(?m)^quickstart: (Q\d\S*) (supported|contradicted|inconclusive): .*\[.*\]").Select(m => m.Groups[1].Value).ToList();
        Assert.That(claims, Is.Unique.And.Count.EqualTo(first.Out.Split('\n').Count(line => line.StartsWith("quickstart: Q", StringComparison.Ordinal))), "every claim has an interval");
        Assert.That(claims, Has.Count.GreaterThanOrEqualTo(14));
        Assert.That(user.Finish(Manifest).Err, Does.Contain("nothing to do: all 42 jobs are finished"));
        using var other = new Peftalign();
        Assert.That(other.Finish(Manifest).Out, Is.EqualTo(first.Out));
        Assert.That(Results(other), Is.EqualTo(Results(user)));
    }

    private static double Processor(Peftalign user) => Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Sum(job => (double)Peftalign.Json(Path.Combine(job, "timing.json"))["processor_seconds"]!);

    private static List<string> Results(Peftalign user) =>
        [.. Peftalign.Json(Path.Combine(user.Run, "report.json"))["jobs"]!.AsArray().Select(job => $"{job!["label"]}: {job["result"]?.ToJsonString()}").Order(StringComparer.Ordinal)];
}
