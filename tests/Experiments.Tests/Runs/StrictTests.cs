// A finished job that was made with other files of a plugin: told; with --strict made again, and with it what depends on it. A
// data file is part of a job's identity: another content is another job, with --strict and without.

namespace PeftAlign.Experiments.Tests;

public sealed class StrictTests
{
    private const string Remark = "2 finished job(s) were made with other files of methods.sft, of the same result versions";

    [Test]
    public void Other_files_of_a_plugin_are_told_and_strict_repeats_what_was_made_with_them()
    {
        using var user = new Peftalign();
        var (plugin, manifest) = Experiment(user);
        user.Finish(manifest);
        var first = Made(user);
        Assert.That(first, Has.Count.EqualTo(4));

        RebuiltPlugin.Make(plugin);
        var told = user.Finish(manifest);
        Assert.That(told.Err, Does.Contain($"{Remark}; --strict makes them again").And.Contain("nothing to do"));
        Assert.That(Made(user), Is.EqualTo(first));

        var refused = Peftalign.Call("run", manifest, "--out", user.Run, "--strict", "--threads", "2");
        Assert.That(refused.Code, Is.EqualTo(2), refused.All);
        Assert.That(Made(user), Is.EqualTo(first), "what is refused forgets nothing");

        var again = user.Finish(manifest, "--strict");
        Assert.That(again.Err, Does.Contain($"{Remark}; they are made again").And.Contain("2 of 4 jobs are finished already"));
        var second = Made(user);
        Assert.That(second.Where(job => first[job.Key] != job.Value).Select(job => job.Key), Is.EquivalentTo((string[])["train/tiny/world/teach/s3", "evaluate/preference/tiny/world/teach/s3"]));

        user.Write("rows.jsonl", Rows("no"));
        var other = user.Finish(manifest);
        Assert.That(other.Err, Does.Contain("2 of 4 jobs are finished already").And.Contain("done train/tiny/world/teach/s3").And.Not.Contain("other files"));
        Assert.That(Directory.GetDirectories(Path.Combine(user.Run, "jobs")), Has.Length.EqualTo(6), "the earlier jobs stay");
    }

    // records.jsonl would have answered for the training of before.
    [TestCase("results.json", Remark)]
    [TestCase("result.json", "1 finished job(s) were made with other files of methods.sft")]
    public void Strict_keeps_no_answers_of_an_evaluation_that_is_not_finished(string lost, string remark)
    {
        using var user = new Peftalign();
        var (plugin, manifest) = Experiment(user);
        user.Finish(manifest);
        var evaluation = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Single(job => (string)Peftalign.Json(Path.Combine(job, "result.json"))["label"]! == "evaluate/preference/tiny/world/teach/s3");
        File.Delete(Path.Combine(evaluation, lost));
        File.WriteAllText(Path.Combine(evaluation, "before.txt"), "");
        RebuiltPlugin.Make(plugin);
        var again = user.Finish(manifest, "--strict");
        Assert.That(again.Err, Does.Contain(remark).And.Contain("they are made again").And.Contain("2 of 4 jobs are finished already"));
        Assert.That((File.Exists(Path.Combine(evaluation, "before.txt")), File.Exists(Path.Combine(evaluation, "records.jsonl")), File.Exists(Path.Combine(evaluation, lost))), Is.EqualTo((false, true, true)));
    }

    private static (string Plugin, string Manifest) Experiment(Peftalign user)
    {
        var plugin = Copy(user, "methods.sft");
        user.Write("rows.jsonl", Rows("yes"));
        return (plugin, user.Write("strict.yaml", Manifests.Short[..Manifests.Short.IndexOf("train:\n", StringComparison.Ordinal)]
            .Replace("name: short", $"name: strict\nplugins: [peft.lora, eval, data, {{ path: '{plugin}' }}]")
            .Replace("{ reader: synthetic, rows: 120, split: train }", "{ reader: jsonl, path: rows.jsonl }").Replace("max_steps: 40", "max_steps: 6") + """
            train:
              - { models: [tiny], datasets: [world], methods: [teach] }
            evaluate:
              - of: [untouched, trained]
                with: [{ type: preference, dataset: exam }]
            """));
    }

    private static string Rows(string answer) =>
        string.Concat(Enumerable.Range(0, 20).Select(k => $$"""{"prompt": "{{k}}?", "completion": " {{answer}} {{k}}"}""" + "\n"));

    private static string Copy(Peftalign user, string id)
    {
        var folder = Directory.CreateDirectory(user.File(id)).FullName;
        foreach (var file in Directory.GetFiles(Path.Combine(Peftalign.Repository, ".build", "current", "plugins", id)))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return folder;
    }

    // When each job was made, by label.
    private static Dictionary<string, string> Made(Peftalign user) =>
        Directory.GetDirectories(Path.Combine(user.Run, "jobs")).ToDictionary(
            job => (string)Peftalign.Json(Path.Combine(job, "result.json"))["label"]!,
            job => (string)Peftalign.Json(Path.Combine(job, "timing.json"))["started"]!);
}
