// Members of a group beside plain names: with fields in place of the task's own, groups and tasks that stand in the group's file alone,
// and tasks that stand below a group twice. What is expected is what lm_eval 0.4.13 makes of the same files.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Eval.Tests;

public sealed class GroupMemberTests
{
    private const string Task = "dataset_path: json\ndataset_kwargs: { data_files: { test: rows.json } }\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [x, y]\ndoc_to_target: a\n";
    private readonly string folder = Directory.CreateTempSubdirectory("peftalign-members-").FullName;

    [OneTimeSetUp]
    public void WriteTasks()
    {
        File.WriteAllText(Path.Combine(folder, "rows.json"), """[{"q": "a", "a": 0}, {"q": "b", "a": 1}, {"q": "c", "a": 0}]""");
        foreach (var name in (string[])["one", "two", "three"]) File.WriteAllText(Path.Combine(folder, $"{name}.yaml"), $"task: {name}\ntag: {(name == "two" ? "rest" : "odd")}\n{Task}metric_list: [{{ metric: acc }}]\n");
    }

    [OneTimeTearDown]
    public void Delete() => Directory.Delete(folder, recursive: true);

    // The files of a test lie in a folder of their own, beside copies of the tasks.
    private TasksBenchmark Benchmark(string[] files, params string[] names)
    {
        var own = Directory.CreateDirectory(Path.Combine(folder, Guid.NewGuid().ToString("N"))).FullName;
        foreach (var file in Directory.GetFiles(folder)) File.Copy(file, Path.Combine(own, Path.GetFileName(file)));
        foreach (var (text, k) in files.Select((text, k) => (text, k))) File.WriteAllText(Path.Combine(own, $"z{k}.yaml"), text);
        return new TasksBenchmark(new TasksOptions { Path = own, Names = [.. names], BootstrapIters = 0 });
    }

    private static Evaluated Evaluate(TasksBenchmark benchmark)
    {
        var items = benchmark.Items().Select(item =>
        {
            EvalResponse[] responses = [new(item.Task is "one" or "g::own" ? -1 : -3, 1, true), new(-2, 1, false)];
            return new EvaluatedItem(item, benchmark.Requests(item), responses, benchmark.Score(item, responses));
        }).ToList();
        return new Evaluated(benchmark.Info, items, benchmark.Aggregate([.. items.SelectMany(i => i.Scores)]));
    }

    private static string Shots(TasksBenchmark benchmark) => string.Join(' ', benchmark.Info.Tasks.Where(t => t.Shots is not null).Select(t => $"{t.Name}={t.Shots}"));

    // The member's own fields count before those that groups give to all, and an outer group's before an inner one's.
    [TestCase("group: g\ntask: [{ task: one, num_fewshot: 2 }, two]", "one=2 two=0")]
    [TestCase("group: g\nnum_fewshot: 1\ntask: [{ task: one, num_fewshot: 2 }, two]", "one=2 two=1")]
    [TestCase("group: g\nnum_fewshot: 1\ntask: [odd, two]", "one=1 three=1 two=1")]
    [TestCase("group: g\ntask: [{ group: inner, num_fewshot: 2 }, two]", "one=2 three=2 two=0")]
    [TestCase("group: g\nnum_fewshot: 2\ntask: [inner]", "one=2 three=2")]
    [TestCase("group: g\nnum_fewshot: 2\ntask: [{ group: sub, num_fewshot: 3, task: [one, { task: two, num_fewshot: 1 }] }]", "one=2 two=1")]
    [TestCase("group: g\ntask: [one, { group: sub, num_fewshot: 1, task: [two] }]", "one=0 two=1")]
    [TestCase("group: g\ntask: [one, { task: one, num_fewshot: 1 }]", "one=1")]
    public void A_member_has_the_fields_that_its_group_gives_it(string group, string shots) =>
        Assert.That(Shots(Benchmark([group + "\n", "group: inner\nnum_fewshot: 1\ntask: [one, three]\n"], "g")), Is.EqualTo(shots));

    [Test]
    public void Groups_and_tasks_of_a_group_s_file_are_called_by_both_names()
    {
        var benchmark = Benchmark([$"group: g\ntask:\n  - group: sub\n    aggregate_metric_list: [{{ metric: acc }}]\n    task: [one, {{ group: deep, group_alias: D, task: [two] }}]\n  - {{ group: inner }}\n  - {string.Concat(Task.TrimEnd().Split('\n').Prepend("task: own").Select(line => line + "\n    ")).TrimEnd()}\n", "group: inner\ntask: [three]\n"], "g");
        var tasks = benchmark.Info.Tasks;
        Assert.That(tasks.Where(t => t.Members.Count > 0).Select(t => $"{t.Name}: {string.Join(' ', t.Members)}"), Is.EqualTo(new[] { "g: g::sub inner g::own", "g::sub: one g::sub::deep", "g::sub::deep: two", "inner: three" }));
        Assert.That(tasks.Single(t => t.Name == "g::sub::deep").Alias, Is.EqualTo("D"));
        Assert.That(Evaluate(benchmark).Metrics.Where(m => m.Task is "g::sub" or "g::own").Select(m => $"{m.Task} {m.Metric} {m.Count}"), Is.EqualTo(new[] { "g::sub acc 6", "g::own acc 3", "g::own acc_norm 3" }));
    }

    // one, right in 2 of 3, stands below g by two ways; two is right in 1 of 3: (2/3 + 2/3 + 1/3) / 3.
    [TestCase("", 5 / 9.0)]
    [TestCase(", weight_by_size: false", 5 / 9.0)]
    public void A_task_that_stands_below_a_group_twice_counts_twice(string weight, double value)
    {
        var evaluated = Evaluate(Benchmark([$"group: g\ntask: [one, inner]\naggregate_metric_list: [{{ metric: acc{weight} }}]\n", "group: inner\ntask: [one, two]\n"], "g"));
        var of = evaluated.Metrics.Single(m => m.Task == "g");
        Assert.That(of.Value, Is.EqualTo(value).Within(1e-15));
        Assert.That(of.Count, Is.EqualTo(9));
        Assert.That(evaluated.Items, Has.Count.EqualTo(6), "but is asked once");
    }

    [Test]
    public void Where_all_runs_a_task_is_what_its_group_makes_of_it() =>
        Assert.That(Shots(Benchmark(["group: g\ntask: [{ task: two, num_fewshot: 1 }]\n"])), Is.EqualTo("one=0 three=0 two=1"));

    [TestCase("g", "two")]
    [TestCase("g", "h")]
    public void A_task_that_is_asked_for_with_different_fields_is_refused(params string[] names) =>
        Assert.That(() => Benchmark(["group: g\ntask: [{ task: two, num_fewshot: 1 }]\n", "group: h\ntask: [two]\n"], names).Items().ToList(),
            Throws.TypeOf<UserErrorException>().With.Message.EqualTo("The task 'two' is asked for twice with different fields, since a group changes it; ask for that group and the task in evaluations of their own."));

    [TestCase("group: g\nshots: 1\ntask: [one]", "group g: 'shots' is not supported; the fields of a group are group, group_alias, task, aggregate_metric_list, metadata, tag, and those that it gives its tasks.")]
    [TestCase("group: g\ntask: [{ task: one, gen_prefix: x }]", "task one: 'gen_prefix' is not supported; the fields of a task are ")]
    [TestCase("group: g\ntask: [{ task: four, num_fewshot: 1 }]", "Group g names the task 'four', which is in none of the files; add its file, or take it out.")]
    [TestCase("group: g\ntask: [{ num_fewshot: 1 }]", "group g: a member has no field 'task'; name the task.")]
    [TestCase("group: g\ntask: [{ group: sub, task: [g] }]", "Group g holds itself; take it out of its members.")]
    public void What_no_member_can_be_is_refused(string group, string says) =>
        Assert.That(() => Benchmark([group + "\n"], "g").Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.Contains(says));

    [Test]
    public void A_group_s_row_tells_of_its_members()
    {
        var benchmark = Benchmark(["group: g\nnum_fewshot: 1\ntask: [one, inner]\naggregate_metric_list: [{ metric: acc_norm }]\n",
            "group: inner\ntask: [{ task: two, num_fewshot: 2, metric_list: [{ metric: acc, higher_is_better: false }, { metric: acc_norm }] }, three]\naggregate_metric_list: [{ metric: acc_norm }]\n"], "g");
        var results = ResultFiles.Write(Directory.CreateDirectory(Path.Combine(folder, "out")).FullName, [Evaluate(benchmark)], []);
        Assert.That((results["results"]!["g"]!["sample_len"]!.ToJsonString(), results["results"]!["inner"]!["sample_len"]!.ToJsonString()), Is.EqualTo(("9", "6")), "also of tasks without the group's metric");
        foreach (var (name, row) in results["groups"]!.AsObject()) Assert.That(JsonNode.DeepEquals(row, results["results"]![name]), Is.True, name);
        Assert.That(results["n-shot"]!.ToJsonString(), Is.EqualTo("""{"one":1,"two":2,"three":1,"g":1}"""), "inner's own tasks have none in common");
        Assert.That(results["higher_is_better"]!["inner"]!.ToJsonString(), Is.EqualTo("""{"acc_norm":true,"acc":null}"""));
    }

    [TestCase("sub")]
    [TestCase("g::sub")]
    [TestCase("deep")]
    [TestCase("g::sub::deep")]
    public void What_stands_in_a_group_s_file_is_asked_for_with_the_group(string name) =>
        Assert.That(() => Benchmark(["group: g\ntask: [{ group: sub, task: [one, { group: deep, task: [two] }] }]\n"], name).Items().ToList(),
            Throws.TypeOf<UserErrorException>().With.Message.EqualTo($"'{name}' stands in the file of group g alone and is evaluated with it; ask for g, or give it a file of its own."));

    [Test]
    public void Groups_that_hold_each_other_count_each_task_once()
    {
        var evaluated = Evaluate(Benchmark(["group: g\ntask: [one, inner]\naggregate_metric_list: [{ metric: acc }]\n", "group: inner\ntask: [two]\n"], "g"));
        var looped = evaluated with { Info = evaluated.Info with { Tasks = [.. evaluated.Info.Tasks.Select(t => t.Name == "inner" ? t with { Members = [.. t.Members, "g", "inner"] } : t)] } };
        var results = ResultFiles.Write(Directory.CreateDirectory(Path.Combine(folder, "loop")).FullName, [looped], []);
        Assert.That(results["results"]!["g"]!["sample_len"]!.ToJsonString(), Is.EqualTo("6"));
    }

    // As hashlib and json.dumps(indent=2, ensure_ascii=False) make them of the same values.
    [Test]
    public void Hashes_of_samples_are_the_harness_s()
    {
        var document = JsonNode.Parse("""{"q": "🙂 a\u3000\u007f\u00a0\u2028 <&'+\"\\\n\u0001", "f": 1e-05, "g": 1E+16, "h": 100000000000000.0, "i": 6.50, "k": -3, "l": [], "m": {}, "n": [1, [true, null]], "o": {"p": {"q": "é"}}}""")!;
        Assert.That(SampleHashes.OfDocument(document), Is.EqualTo("034394f0d10f8e593ca41d9fdd650f69b37f805792d085a6e39f0e8eae6b7194"));
        Assert.That(SampleHashes.OfTarget(JsonNode.Parse("""["a'b", 1, 0.5, true, null]""")), Is.EqualTo("68315bc490544037b1fd315a9297c1b9e183356eb636974fa2e43a2f6fee1dc0"));
        Assert.That(SampleHashes.OfTarget(null), Is.EqualTo("dc937b59892604f5a86ac96936cd7ff09e25f18ae6b758e8014a24c7fa039e91"));
        Assert.That(SampleHashes.OfTarget("a'b"), Is.EqualTo("c6654bf7605731f0dce40ed4c87f90de9224d42284fc6dd66b04acce664fb6f9"));
    }
}
