// The benchmark `tasks` in a manifest: whatever a task file names is part of the job's identity, and all paths start from the manifest.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class TaskFilesTests
{
    private const string Label = "evaluate/tasks/tiny";

    private const string Manifest = Manifests.Tiny + """
        name: tasks
        seeds: [1]
        evaluate:
          - { of: untouched, with: [{ type: tasks, path: tasks/mine.yaml, include: [more/more.yaml] }] }
        """;

    private const string Form = """
        dataset_path: json
        dataset_kwargs: { data_files: { test: rows.jsonl } }
        test_split: test
        output_type: multiple_choice
        doc_to_text: "{{q}}"
        doc_to_choice: ["x", "y"]
        doc_to_target: "{{a}}"
        metric_list: [{ metric: acc }]

        """;

    [Test]
    public void Another_content_of_any_file_that_a_task_names_is_another_job()
    {
        using var user = new Peftalign();
        Directory.CreateDirectory(user.File("tasks"));
        Directory.CreateDirectory(user.File("more"));
        user.Write("tasks/mine.yaml", "include: form.yaml\ntask: mine\n");
        user.Write("tasks/form.yaml", Form);
        user.Write("more/more.yaml", "task: more\n" + Form);
        user.Write("tasks/rows.jsonl", Rows(3));
        user.Write("more/rows.jsonl", Rows(5));
        var manifest = user.Write("tasks.yaml", Manifest);
        Assert.That(Counts(user, manifest, jobs: 1), Is.EqualTo((3, 5)));
        Assert.That(user.Finish(manifest).Err, Does.Contain("nothing to do"));

        user.Write("tasks/rows.jsonl", Rows(4));
        Assert.That(Counts(user, manifest, jobs: 2), Is.EqualTo((4, 5)));
        user.Write("more/rows.jsonl", Rows(2));
        Assert.That(Counts(user, manifest, jobs: 3), Is.EqualTo((4, 2)));
        user.Write("tasks/form.yaml", Form.Replace("{{q}}", "{{q}}?", StringComparison.Ordinal));
        Assert.That(Counts(user, manifest, jobs: 4), Is.EqualTo((4, 2)));
        user.Write("more/more.yaml", "task: more\ntask_alias: other\n" + Form);
        Assert.That(Counts(user, manifest, jobs: 5), Is.EqualTo((4, 2)));
        Assert.That(user.Finish(manifest).Err, Does.Contain("nothing to do"));
    }

    private static string Rows(int count) => string.Concat(Enumerable.Range(0, count).Select(k => $$"""{"q": "q{{k}}", "a": {{k % 2}}}""" + "\n"));

    // Items of both tasks in the newest of so many evaluations.
    private static (int Mine, int More) Counts(Peftalign user, string manifest, int jobs)
    {
        user.Finish(manifest);
        var done = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Where(job => (string?)Peftalign.Json(Path.Combine(job, "job.json"))["kind"] == "evaluate").ToList();
        Assert.That(done, Has.Count.EqualTo(jobs));
        var report = Peftalign.Json(Path.Combine(user.Run, "report.json"))["jobs"]!.AsArray().Single(j => (string?)j!["kind"] == "evaluate")!;
        Assert.That((string?)report["label"], Is.EqualTo(Label));
        var items = Peftalign.Json(Path.Combine(user.Run, "jobs", (string)report["id"]!, "results.json"))["n-samples"]!;
        int Of(string task) => (int)((JsonObject)items[task]!)["effective"]!;
        return (Of("mine"), Of("more"));
    }
}
