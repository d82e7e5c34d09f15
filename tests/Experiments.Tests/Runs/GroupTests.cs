// Jobs that share a model run in one process. When it dies, the job at work is blamed and nobody else: what was done stays done,
// what had not begun is started in another process.

using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed partial class GroupTests
{
    private const string Evaluations = Manifests.Tiny + """
        name: group
        datasets:
          a: { reader: synthetic, rows: 20, split: test }
          b: { reader: synthetic, rows: 4000, split: test }
          c: { reader: synthetic, rows: 30, split: test }
          d: { reader: synthetic, rows: 25, split: test }
        evaluate:
          - of: [untouched]
            with: [{ type: preference, dataset: a }, { type: preference, dataset: b }, { type: preference, dataset: c }, { type: preference, dataset: d }]
        """;

    [Test]
    public void A_killed_job_is_blamed_alone_and_the_rest_of_its_group_goes_on_in_another_process()
    {
        var (user, manifest, jobs, killed, end) = Frozen.InTime(KilledInTheSecond);
        using var own = user;
        Assert.That(end.Code, Is.EqualTo(1), end.All);
        Assert.That(Regex.Count(end.Err, "^failed: ", RegexOptions.Multiline), Is.EqualTo(1), end.All);
        Assert.That(end.Err, Does.Contain($"failed: {jobs[1].Label}: the process was killed (signal 9)").And.Match($"start of {Regex.Escape(jobs[1].Label)} in process {killed}"), "with the last lines of its log");
        Assert.That(end.Err, Does.Contain("4 jobs are done, 1 failed, 0 were not started").And.Match($"to continue: peftalign run '?{Regex.Escape(manifest)}"));
        Assert.That((int)Peftalign.Json(InJob(user, jobs[1].Id, "failure.json"))["code"]!, Is.EqualTo(137));
        Assert.That(Pid(user, jobs[0].Id), Is.EqualTo(killed), "one process for the group");
        Assert.That(Pid(user, jobs[2].Id), Is.Not.EqualTo(killed).And.EqualTo(Pid(user, jobs[3].Id)), "one new process for the rest");
        foreach (var k in (int[])[0, 2, 3]) Assert.That(Timing(user, jobs[k].Id), Is.InRange(0.0, 600.0), jobs[k].Label);

        var again = user.Finish(manifest);
        Assert.That(again.Err, Does.Contain("4 of 5 jobs are finished already").And.Contain($"done {jobs[1].Label}"));
        Assert.That(File.Exists(InJob(user, jobs[1].Id, "failure.json")), Is.False, "a failure is forgotten when the job is begun anew");
    }

    private sealed record Killed(Peftalign User, string Manifest, (string Id, string Label)[] Jobs, int Process, Outcome End);

    // Null where the second evaluation had ended before its process could be killed.
    private static Killed? KilledInTheSecond()
    {
        var user = new Peftalign();
        var manifest = user.Write("group.yaml", Evaluations);
        var jobs = Plan(user, manifest);
        using var run = Peftalign.Start("run", manifest, "--out", user.Run, "--threads", "1");
        var (said, results) = (run.StandardError.ReadToEndAsync(), run.StandardOutput.ReadToEndAsync());
        var killed = 0;
        var met = Frozen.At(run, () => (killed = Pid(user, jobs[1].Id)) > 0 && !File.Exists(InJob(user, jobs[1].Id, "result.json")), () => Processes.Signal(killed, "KILL"));
        run.WaitForExit();
        var end = new Outcome(run.ExitCode, results.Result, said.Result);
        if (met) return new Killed(user, manifest, jobs, killed, end);
        user.Dispose();
        Assert.That(end.Code, Is.Zero, end.All);
        return null;
    }

    [Test]
    public void A_mistake_ends_its_job_a_breakdown_its_process_and_neither_the_group()
    {
        using var user = new Peftalign();
        const string good = """{"prompt": "1?", "chosen": "2", "rejected": "3"}""" + "\n";
        user.Write("rows.jsonl", string.Concat(Enumerable.Repeat(good, 256)) + """{"question": "1?"}""" + "\n"); // beyond those that planning looks at
        var text = Evaluations.Replace("b: { reader: synthetic, rows: 4000, split: test }", "b: { reader: jsonl, path: rows.jsonl }");
        var manifest = user.Write("group.yaml", text);
        var jobs = Plan(user, manifest);
        Directory.CreateDirectory(InJob(user, jobs[2].Id, "results.json")); // where the third wants to write a file
        var end = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "1");
        Assert.That(end.Code, Is.EqualTo(1), end.All);
        Assert.That(end.Err, Does.Contain($"failed: {jobs[1].Label}: ").And.Contain("rows.jsonl").And.Contain($"failed: {jobs[2].Label}: ").And.Contain("3 jobs are done, 2 failed, 0 were not started"));
        Assert.That((int)Peftalign.Json(InJob(user, jobs[1].Id, "failure.json"))["code"]!, Is.EqualTo(2));
        Assert.That((int)Peftalign.Json(InJob(user, jobs[2].Id, "failure.json"))["code"]!, Is.EqualTo(1));
        Assert.That((int[])[Pid(user, jobs[1].Id), Pid(user, jobs[2].Id)], Is.All.EqualTo(Pid(user, jobs[0].Id)));
        Assert.That(Pid(user, jobs[3].Id), Is.Not.EqualTo(Pid(user, jobs[0].Id)));
        Assert.That(Timing(user, jobs[3].Id), Is.InRange(0.0, 600.0));
    }

    // The evaluations, in the plan's order.
    private static (string Id, string Label)[] Plan(Peftalign user, string manifest)
    {
        var plan = JsonNode.Parse(Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run", "--json").Out)!;
        return [.. plan["jobs"]!.AsArray().Where(j => (string?)j!["kind"] == "evaluate").Select(j => ((string)j!["id"]!, (string)j["label"]!))];
    }

    private static string InJob(Peftalign user, string id, string file) => Path.Combine(user.Run, "jobs", id, file);

    // Of a finished job: result.json and timing.json are there.
    private static double Timing(Peftalign user, string id) =>
        File.Exists(InJob(user, id, "result.json")) ? (double)Peftalign.Json(InJob(user, id, "timing.json"))["seconds"]! : double.NaN;

    // The process of the last try; 0 before the job began.
    private static int Pid(Peftalign user, string id)
    {
        var log = InJob(user, id, "log.txt");
        var found = File.Exists(log) ? Process().Matches(File.ReadAllText(log)).LastOrDefault() : null;
        return found is null ? 0 : int.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex("in process ([0-9]+),")]
    private static partial Regex Process();
}
