// Parts of a plan: --only asks for the paths alone that its own jobs read, and takes no other plan's place; and data sets of fewer rows than
// are asked for.

namespace PeftAlign.Experiments.Tests;

public sealed class PartTests
{
    private static string Manifest(Peftalign user, string more = "") => user.Write("parts.yaml", Manifests.Tiny + $$"""
        name: parts
        seeds: [1]
        datasets: { near: { reader: jsonl, path: near.jsonl{{more}} }, far: { reader: jsonl, path: far.jsonl } }
        methods: { tune: { type: sft, max_steps: 1, batch_size: 1 } }
        train: [{ models: tiny, datasets: [near, far], methods: tune }]
        """);

    private static void Rows(Peftalign user, string name) => user.Write(name, string.Concat(Enumerable.Repeat("""{"prompt": "a", "completion": "b"}""" + "\n", 2)));

    [Test]
    public void A_path_that_no_chosen_job_reads_may_be_away()
    {
        using var user = new Peftalign();
        var manifest = Manifest(user);
        Rows(user, "near.jsonl");
        Outcome Run(params string[] more) => Peftalign.Call(["run", manifest, "--out", user.Run, "--threads", "1", .. more]);
        var refusal = $"peftalign: {manifest}:6:";
        foreach (var told in (Outcome[])[Run(), Run("--only", "train/tiny/far/*")])
        {
            Assert.That(told.Code, Is.EqualTo(2), told.All);
            Assert.That(told.Err, Does.StartWith(refusal).And.Contain("'far.jsonl' does not exist; correct the path, or plan with --dry-run").And.EndWith("1 fault(s); nothing was started.\n"), told.All);
        }
        var near = Run("--only", "train/tiny/near/*");
        Assert.That(near.Code, Is.Zero, near.All);
        Assert.That(near.Err, Does.Contain($"warning: {manifest}:6:").And.Contain("'far.jsonl' does not exist; no job of --only train/tiny/near/* reads it"));
        Assert.That(Directory.GetDirectories(Path.Combine(user.Run, "jobs")), Has.Length.EqualTo(2), "the model and its training");
    }

    // Else the finished jobs of files that were cleared away would be no plan's, and leave the report.
    [Test]
    public void A_plan_without_its_files_does_not_take_the_place_of_one_with_them()
    {
        using var user = new Peftalign();
        var manifest = Manifest(user);
        Rows(user, "near.jsonl");
        Rows(user, "far.jsonl");
        user.Finish(manifest);
        var plan = File.ReadAllText(Path.Combine(user.Run, "plan.json"));
        File.Delete(user.File("far.jsonl"));
        user.Finish(manifest, "--only", "train/tiny/near/*");
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "plan.json")), Is.EqualTo(plan));
        Assert.That(Peftalign.Json(Path.Combine(user.Run, "report.json"))["jobs"]!.AsArray().Select(job => (string)job!["label"]!), Has.Some.StartsWith("train/tiny/far/"));
    }

    // Which has to be made anew here, since another job is asked for.
    [Test]
    public void What_a_plan_without_its_files_does_not_name_is_not_cleared_away()
    {
        using var user = new Peftalign();
        var manifest = Manifest(user);
        Rows(user, "near.jsonl");
        Rows(user, "far.jsonl");
        user.Finish(manifest);
        File.Move(user.File("far.jsonl"), user.File("put.jsonl"));
        user.Finish(manifest, "--only", "train/tiny/near/*", "--set", "methods.tune.max_steps=2");
        var told = Peftalign.Call("runs", "gc", user.Run);
        Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
        Assert.That(told.Err, Does.Contain("was made while 'far.jsonl' was away").And.Contain("nothing was deleted"));
        File.Move(user.File("put.jsonl"), user.File("far.jsonl"));
        var kept = Peftalign.Call("runs", "gc", user.Run, "--manifest", manifest);
        Assert.That((kept.Code, kept.Out), Is.EqualTo((0, "nothing to delete\n")), kept.All);
    }

    // With proportions it ends where a part that is due has no row left, though others have.
    [Test]
    public void A_mixture_that_ends_before_its_take_is_told()
    {
        using var user = new Peftalign();
        Rows(user, "near.jsonl");
        Rows(user, "far.jsonl");
        Outcome Told(string mixture) => Peftalign.Call("run", user.Write("mixed.yaml", Manifests.Tiny + $$"""
            name: mixed
            seeds: [1]
            datasets: { near: { reader: jsonl, path: near.jsonl }, far: { reader: jsonl, path: far.jsonl }, both: { mixture: {{mixture}}, take: 4 } }
            methods: { tune: { type: sft, max_steps: 1, batch_size: 1 } }
            train: [{ models: tiny, datasets: both, methods: tune }]
            """), "--out", user.Run, "--dry-run");
        var told = Told("{ near: 9, far: 1 }");
        Assert.That(told.Code, Is.Zero, told.All);
        Assert.That(told.Err, Does.Contain("take: 4 rows of a mixture are asked for, and after 2 a part has no row left that its proportion asks for"));
        Assert.That(Told("{ near: 1, far: 1 }").Err, Does.Not.Contain("take"));
    }

    [Test]
    public void Fewer_rows_than_take_are_told_once([Values] bool dry)
    {
        using var user = new Peftalign();
        Rows(user, "near.jsonl");
        Rows(user, "far.jsonl");
        Outcome Told(string more) => Peftalign.Call(["run", Manifest(user, more), "--out", user.Run, "--threads", "1", .. dry ? (string[])["--dry-run"] : []]);
        var fewer = Told(", take: 3");
        Assert.That(fewer.Code, Is.Zero, fewer.All);
        Assert.That(fewer.Err.Split('\n').Where(line => line.Contains("take", StringComparison.Ordinal)), Is.EqualTo((string[])["warning: take: 3 rows of near.jsonl are asked for and 2 are there, which are all used; lower take, or leave it out"]));
        Assert.That(Told(", take: 2").Err, Does.Not.Contain("take"));
    }
}
