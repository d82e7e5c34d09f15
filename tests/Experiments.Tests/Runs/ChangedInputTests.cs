// Data or a model that is changed while a command works: no number stands under the content of before.

using System.Diagnostics;

namespace PeftAlign.Experiments.Tests;

public sealed class ChangedInputTests
{
    private const string Said = "changed since the plan was made";
    private static readonly string Model = Peftalign.Stories;

    private const string Manifest = Manifests.Tiny + """
        name: changed
        seeds: [1]
        datasets:
          world: { reader: jsonl, path: rows.jsonl }
        methods:
          teach: { type: sft, learning_rate: 1.0e-2, batch_size: 4, max_steps: 6, save_every: 2 }
        train:
          - { models: [tiny], datasets: [world], methods: [teach] }
        """;

    private static string Rows(string answer) =>
        string.Concat(Enumerable.Range(0, 20).Select(k => $$"""{"prompt": "{{k}}?", "completion": " {{answer}} {{k}}"}""" + "\n"));

    // A command that something meets at its moment; null where that came too late.
    private static Outcome? Met(Func<Process, bool> holds, Action then, params string[] args)
    {
        using var process = Peftalign.Start(args);
        var (text, err) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        var met = Frozen.At(process, () => holds(process), then);
        process.WaitForExit();
        var outcome = new Outcome(process.ExitCode, text.Result, err.Result);
        if (!met) Assert.That(outcome.Code, Is.Zero, outcome.All);
        return met ? outcome : null;
    }

    // Tries again, from an empty folder, until it is met.
    private static Outcome InTime(Peftalign user, Func<bool> holds, Action then, Action begin, params string[] args) => Frozen.InTime(() =>
    {
        if (Directory.Exists(user.Run)) Directory.Delete(user.Run, recursive: true);
        begin();
        return Met(_ => holds(), then, args);
    });

    // A job that has been begun and has said nothing yet.
    private static bool IsStarting(string job) => File.Exists(Path.Combine(job, "job.json")) && !File.Exists(Path.Combine(job, "log.txt"));

    [Test]
    public void A_run_does_not_train_on_other_data_than_it_planned_with()
    {
        using var user = new Peftalign();
        var manifest = user.Write("changed.yaml", Manifest);
        var jobs = Path.Combine(user.Run, "jobs");
        // The plan is made when the first job is begun.
        var told = InTime(user, () => Directory.Exists(jobs) && Directory.GetDirectories(jobs).Length == 1, () => user.Write("rows.jsonl", Rows("not")), () => user.Write("rows.jsonl", Rows("yes")), "run", manifest, "--out", user.Run, "--threads", "1");
        told.Told(2, $"{user.File("rows.jsonl")}: {Said}");
        told.Told(2, "run again");
        Assert.That(Directory.GetFiles(Path.Combine(user.Run, "jobs"), "result.json", SearchOption.AllDirectories), Has.Length.EqualTo(1), "the model alone");
        user.Finish(manifest);
        Assert.That(Trained(user.Run), Is.Not.EqualTo(Alone("yes")).And.EqualTo(Alone("not")));
    }

    private static byte[] Trained(string run) =>
        File.ReadAllBytes(Directory.GetDirectories(Path.Combine(run, "jobs")).Where(job => File.Exists(Path.Combine(job, "metrics.jsonl")) && File.Exists(Path.Combine(job, "result.json"))).Select(job => Path.Combine(job, "model", "model.safetensors")).Single());

    // The same training in a run of its own.
    private static byte[] Alone(string answer)
    {
        using var other = new Peftalign();
        other.Write("rows.jsonl", Rows(answer));
        other.Finish(other.Write("changed.yaml", Manifest));
        return Trained(other.Run);
    }

    [Test]
    public void A_training_whose_data_change_ends_and_leaves_nothing_to_go_on_from()
    {
        using var user = new Peftalign();
        string[] Train(string folder) => ["train", "sft", "--model", Model, "--data", user.File("rows.jsonl"), "--out", folder, "--max-steps", "12", "--save-every", "2", "--batch-size", "4", "--threads", "1"];
        user.Write("rows.jsonl", Rows("yes"));
        var whole = Peftalign.Call(Train(user.File("whole")));
        Assert.That(whole.Code, Is.Zero, whole.All);
        InTime(user, () => IsStarting(user.Run), () => user.Write("rows.jsonl", Rows("not")), () => user.Write("rows.jsonl", Rows("yes")), Train(user.Run)).Told(2, $"{user.File("rows.jsonl")}: {Said}");
        user.Write("rows.jsonl", Rows("yes"));
        var again = Peftalign.Call(Train(user.Run));
        Assert.That(again.Code, Is.Zero, again.All);
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "log.txt")), Does.Not.Contain("resumed from"));
        Assert.That(File.ReadAllBytes(Path.Combine(user.Run, "model", "model.safetensors")), Is.EqualTo(File.ReadAllBytes(Path.Combine(user.File("whole"), "model", "model.safetensors"))));
    }

    // What it has read it has: the hours of a training are not given up for a file that the next experiment needs otherwise.
    [Test]
    public void A_training_that_has_read_its_rows_goes_on_and_says_so()
    {
        using var user = new Peftalign();
        string[] Train(string folder) => ["train", "sft", "--model", Model, "--data", user.File("rows.jsonl"), "--out", folder, "--max-steps", "80", "--batch-size", "4", "--threads", "1"];
        user.Write("rows.jsonl", Rows("yes"));
        Assert.That(Peftalign.Call(Train(user.File("whole"))).Code, Is.Zero);
        var told = InTime(user, () => TrainRows.Rows(user.Run) is > 0 and < 80, () => user.Write("rows.jsonl", Rows("not")), () => user.Write("rows.jsonl", Rows("yes")), Train(user.Run));
        told.Told(0, $"{user.File("rows.jsonl")}: changed while");
        told.Told(0, "content of before");
        Assert.That(told.Out, Is.Not.Empty);
        Assert.That(File.ReadAllBytes(Path.Combine(user.Run, "model", "model.safetensors")), Is.EqualTo(File.ReadAllBytes(Path.Combine(user.File("whole"), "model", "model.safetensors"))));
    }

    // The trained weights would stand beside the configuration and tokenizer of another model.
    [Test]
    public void A_training_whose_model_changes_is_not_written_and_goes_on_when_it_is_back()
    {
        using var user = new Peftalign();
        var model = Directory.CreateDirectory(user.File("model")).FullName;
        foreach (var file in Directory.GetFiles(Model)) File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        string[] Train(string folder) => ["train", "sft", "--model", model, "--data", user.File("rows.jsonl"), "--out", folder, "--max-steps", "120", "--save-every", "20", "--batch-size", "4", "--threads", "1"];
        user.Write("rows.jsonl", Rows("yes"));
        Assert.That(Peftalign.Call(Train(user.File("whole"))).Code, Is.Zero);
        var more = Path.Combine(model, "more.json");
        var told = InTime(user, () => TrainRows.Rows(user.Run) is > 20 and < 120, () => File.WriteAllText(more, "{}"), () => File.Delete(more), Train(user.Run));
        told.Told(2, $"{model}: changed while");
        told.Told(2, "put back what was there");
        Assert.That(new[] { "model", "result.json" }.Select(name => Path.Combine(user.Run, name)), Has.None.Exist);
        File.Delete(more);
        var again = Peftalign.Call(Train(user.Run));
        Assert.That(again.Code, Is.Zero, again.All);
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "log.txt")), Does.Contain("resumed from step 100"));
        var made = Directory.GetFiles(Path.Combine(user.File("whole"), "model"));
        Assert.That(Directory.GetFiles(Path.Combine(user.Run, "model")), Has.Length.EqualTo(made.Length));
        foreach (var file in made) Assert.That(File.ReadAllBytes(Path.Combine(user.Run, "model", Path.GetFileName(file))), Is.EqualTo(File.ReadAllBytes(file)), file);
    }

    // Once it has said how many items there are, which is after its model's hash, and before any answer is kept.
    private static Outcome? MetAtItsItems(Action then, string records, string[] asked)
    {
        using var process = Peftalign.Start(asked);
        var text = process.StandardOutput.ReadToEndAsync();
        var said = "";
        while (process.StandardError.ReadLine() is { } line && !(said += line + "\n").Contains("items", StringComparison.Ordinal)) { }
        var met = Frozen.At(process, () => !File.Exists(records), then);
        said += process.StandardError.ReadToEnd();
        process.WaitForExit();
        return met ? new Outcome(process.ExitCode, text.Result, said) : null;
    }

    [Test]
    public void An_evaluation_whose_model_changes_keeps_no_answer()
    {
        using var user = new Peftalign();
        var (model, lmeval) = (Directory.CreateDirectory(user.File("model")).FullName, Path.Combine(Peftalign.Repository, "tests/Eval.Tests/Fixtures/lmeval"));
        foreach (var file in Directory.GetFiles(Model)) File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        string[] asked = ["eval", "--model", model, "--out", user.Run, "--threads", "1", "--task", Path.Combine(lmeval, "tasks"), "--data", lmeval, "--benchmarks", "story_chrf"];
        var more = Path.Combine(model, "more.json");
        Frozen.InTime(() =>
        {
            File.Delete(more);
            if (Directory.Exists(user.Run)) Directory.Delete(user.Run, recursive: true);
            return MetAtItsItems(() => File.WriteAllText(more, "{}"), Path.Combine(user.Run, "records.jsonl"), asked);
        }).Told(2, $"{model}: {Said}");
        Assert.That(File.Exists(Path.Combine(user.Run, "results.json")), Is.False);
        Assert.That(Path.Combine(user.Run, "records.jsonl"), Does.Not.Exist, "it ended before anything was answered");
        var again = Peftalign.Call(asked);
        Assert.That(again.Code, Is.Zero, again.All);
    }

    // A finished one that a plan names or not.
    private static void Job(Peftalign user)
    {
        foreach (var name in (string[])["job.json", "result.json"])
            File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(user.Run, "jobs", "b2")).FullName, name), """{"kind": "evaluate", "label": "b2"}""");
    }

    // What `gc` may delete is decided by the plan that is there when it holds the run, not by one that a run replaced since.
    [TestCase("--dry-run")]
    [TestCase("--quiet")]
    public void Gc_reads_the_plan_last(string flag)
    {
        using var user = new Peftalign();
        static string Plan(string id) => $$"""{"name": "n", "jobs": [{"id": "{{id}}", "kind": "evaluate", "label": "{{id}}", "depends_on": []}]}""";
        void Swap(string id)
        {
            File.WriteAllText(user.File("new"), Plan(id));
            File.Move(user.File("new"), Path.Combine(user.Run, "plan.json"), overwrite: true);
        }
        using (var large = File.Create(user.File("rows.jsonl"))) large.SetLength(2L << 30); // of holes; planning the manifest reads it, which takes its time
        string[] collect = ["runs", "gc", user.Run, "--manifest", user.Write("changed.yaml", Manifest), flag];
        var told = Frozen.InTime(() =>
        {
            Job(user);
            Swap("a1");
            return Met(process => Processes.HasOpen(process.Id, user.File("rows.jsonl")), () => Swap("b2"), collect);
        });
        Assert.That((told.Code, told.Out), Is.EqualTo((0, "nothing to delete\n")), told.Err);
        Assert.That(File.Exists(Path.Combine(user.Run, "jobs", "b2", "result.json")));
    }
}
