// Trackers: they take any number, also none and NaN, keep two jobs apart, and stand a job that goes on or ends in any way.
// conformance/tracker.NAME.json: { "options": {...} }; each check has a folder of its own in TrackedJob.Folder.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;

namespace PeftAlign.Testing;

internal static class TrackerKit
{
    private static readonly Dictionary<string, double> Nothing = [];

    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<ITracker, string> Check)[] rules =
        [
            ("takes a job from start to end", FromStartToEnd),
            ("takes numbers that are none, and none at all", OddNumbers),
            ("takes a job that goes on with steps that it knows", GoesOn),
            ("takes every kind of end, and none", EveryEnd),
            ("changes neither what it is given nor the job's own files", LeavesThingsAlone),
        ];
        foreach (var (rule, check) in rules)
            yield return new($"tracker {provided.Name}: {rule}", () =>
            {
                using var folder = new TemporaryFolder();
                check(subject.Create<ITracker>(provided, subject.Sample(provided).Options), folder.Path);
            });
    }

    private static TrackedJob Job(string folder, string name)
    {
        var path = Directory.CreateDirectory(Path.Combine(folder, name)).FullName;
        return new TrackedJob(name.PadLeft(32, '0'), "train", $"train/tiny/{name}/s1", path, new Dictionary<string, string> { ["model"] = "tiny", ["seed"] = "1" }, new JsonObject { ["training"] = new JsonObject { ["learning_rate"] = 0.001 } });
    }

    private static Dictionary<string, double> Numbers(long step) => new() { ["loss"] = 1.0 / step, ["learning_rate"] = 1e-3, ["rewards/margins"] = -0.5 };

    private static void FromStartToEnd(ITracker tracker, string folder)
    {
        foreach (var name in (string[])["a", "b"])
        {
            using var job = tracker.Start(Job(folder, name)) ?? throw new ConformanceException("Start returned null.");
            for (long step = 1; step <= 3; step++) job.Log(step, Numbers(step));
            job.End(TrackedOutcome.Finished, new Dictionary<string, double> { ["acc"] = 0.75 });
        }
    }

    private static void OddNumbers(ITracker tracker, string folder)
    {
        using var job = tracker.Start(Job(folder, "a"));
        job.Log(1, Nothing);
        job.Log(2, new Dictionary<string, double> { ["loss"] = double.NaN, ["grad_norm"] = double.PositiveInfinity, ["a name/with spaces, and ü"] = -0.0, ["huge"] = 1e300 });
        job.End(TrackedOutcome.Finished, new Dictionary<string, double> { ["acc"] = double.NaN });
    }

    private static void GoesOn(ITracker tracker, string folder)
    {
        using (var first = tracker.Start(Job(folder, "a")))
            for (long step = 1; step <= 4; step++) first.Log(step, Numbers(step));
        using var again = tracker.Start(Job(folder, "a"));
        for (long step = 3; step <= 6; step++) again.Log(step, Numbers(step));
        again.End(TrackedOutcome.Finished, Nothing);
    }

    private static void EveryEnd(ITracker tracker, string folder)
    {
        foreach (var outcome in Enum.GetValues<TrackedOutcome>())
        {
            using var job = tracker.Start(Job(folder, outcome.ToString()));
            job.End(outcome, Nothing);
        }
        tracker.Start(Job(folder, "silent")).Dispose();
    }

    private static void LeavesThingsAlone(ITracker tracker, string folder)
    {
        var given = Job(folder, "a");
        var own = Path.Combine(given.Folder, "metrics.jsonl");
        File.WriteAllText(own, "{}\n");
        var (options, numbers) = (given.Options.ToJsonString(), Numbers(1));
        using (var job = tracker.Start(given))
        {
            job.Log(1, numbers);
            job.End(TrackedOutcome.Finished, numbers);
        }
        Expect.That(File.ReadAllText(own) == "{}\n", "metrics.jsonl of the job was changed; write files under other names.");
        Expect.That(given.Options.ToJsonString() == options && numbers.SequenceEqual(Numbers(1)), "The job's options or numbers were changed; copy what you want to change.");
    }
}
