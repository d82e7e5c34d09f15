// Which of a benchmark `tasks`' rows comes first: the report and a job's result take it as what the benchmark says.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Eval.Tests;

public sealed class TaskGroupTests
{
    private readonly string folder = Directory.CreateTempSubdirectory("peftalign-groups-").FullName, written = Directory.CreateTempSubdirectory("peftalign-filters-").FullName;

    [OneTimeSetUp]
    public void WriteTasks()
    {
        File.WriteAllText(Path.Combine(folder, "rows.json"), """[{"q": "a", "a": 0}]""");
        foreach (var name in (string[])["one", "two", "three", "alone"])
            File.WriteAllText(Path.Combine(folder, $"{name}.yaml"), $"task: {name}\ntag: {(name == "alone" ? "single" : "several")}\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ test: rows.json }} }}\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [x, y]\ndoc_to_target: a\nmetric_list: [{{ metric: acc }}]\n");
        const string Mean = "aggregate_metric_list: [{ metric: acc }]\n";
        // Files are read by name: the inner group comes before the one that holds it.
        File.WriteAllText(Path.Combine(folder, "a_inner.yaml"), $"group: inner\ntask: [one, two]\n{Mean}");
        File.WriteAllText(Path.Combine(folder, "b_outer.yaml"), $"group: outer\ntask: [inner, three]\n{Mean}");
        File.WriteAllText(Path.Combine(folder, "c_tagged.yaml"), $"group: tagged\ntask: [several]\n{Mean}");
        File.WriteAllText(Path.Combine(folder, "d_bare.yaml"), "group: bare\ntask: [inner]\n");
        File.Copy(Path.Combine(folder, "rows.json"), Path.Combine(written, "rows.json"));
        foreach (var (name, filters) in ((string, string)[])[("short", "[{ name: b, filter: [{ function: take_first }] }, { name: a, filter: [{ function: uppercase }] }]"), ("long", "[{ name: b, filter: [{ function: take_first }] }]")])
            File.WriteAllText(Path.Combine(written, $"{name}.yaml"), $"task: {name}\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ test: rows.json }} }}\ntest_split: test\ndoc_to_text: q\ndoc_to_target: q\nmetric_list: [{{ metric: exact_match }}]\nfilter_list: {filters}\n");
        File.WriteAllText(Path.Combine(folder, "e_over.yaml"), $"group: over\ntask: [bare]\n{Mean}");
    }

    [OneTimeTearDown]
    public void Delete()
    {
        Directory.Delete(folder, recursive: true);
        Directory.Delete(written, recursive: true);
    }

    private Evaluated Run(params string[] names) => Evaluate(new TasksOptions { Path = folder, Names = [.. names], BootstrapIters = 0 });

    private static Evaluated Evaluate(TasksOptions options)
    {
        var benchmark = new TasksBenchmark(options);
        var items = benchmark.Items().Select(item =>
        {
            EvalResponse[] responses = [new(-1, 1, true), new(-2, 1, false)];
            return new EvaluatedItem(item, benchmark.Requests(item), responses, benchmark.Score(item, responses));
        }).ToList();
        return new Evaluated(benchmark.Info, items, benchmark.Aggregate([.. items.SelectMany(i => i.Scores)]));
    }

    [TestCase("outer", "outer inner one two three")]
    [TestCase("inner outer", "outer inner one two three")]
    [TestCase("alone outer", "outer inner alone one two three")]
    [TestCase("alone two", "alone two")]
    public void Groups_come_first_and_the_outermost_before_what_it_holds(string names, string rows)
    {
        var evaluated = Run(names.Split(' '));
        Assert.That(string.Join(' ', evaluated.Metrics.Select(m => m.Task).Distinct()), Is.EqualTo(rows));
        Assert.That(ResultFiles.Headline(evaluated), Is.EqualTo(rows.Split(' ')[0]));
    }

    [Test]
    public void All_that_a_folder_holds_begins_with_a_group_that_is_in_no_other()
    {
        string[] rows = [.. Run().Metrics.Select(m => m.Task).Distinct()];
        Assert.That(rows.Take(4), Is.EqualTo(new[] { "outer", "inner", "tagged", "over" }));
        Assert.That(rows.Skip(4), Is.EquivalentTo(new[] { "one", "two", "three", "alone" }));
    }

    // As the harness writes them: a group without numbers has its name alone, versions are numbers or texts as the files have them, and a group's a text.
    [Test]
    public void Groups_without_numbers_and_versions_are_written_as_the_harness_does()
    {
        var (source, own) = (Directory.CreateDirectory(Path.Combine(written, "versions")).FullName, Directory.CreateDirectory(Path.Combine(folder, "versioned")).FullName);
        File.Copy(Path.Combine(folder, "rows.json"), Path.Combine(source, "rows.json"));
        foreach (var (name, version) in ((string, string)[])[("a", "\"1.0\""), ("b", "2.5"), ("a/b", "3"), ("a_b", "v4"), ("whole", "1.0"), ("none", "")])
            File.WriteAllText(Path.Combine(source, $"{name.Replace('/', '-')}.yaml"), File.ReadAllText(Path.Combine(folder, "one.yaml")).Replace("task: one", $"task: {name}", StringComparison.Ordinal) + (version.Length > 0 ? $"metadata: {{ version: {version} }}\n" : ""));
        File.WriteAllText(Path.Combine(source, "g.yaml"), "group: g\ngroup_alias: G\ntask: [a, b]\nmetadata: { version: 1 }\n");
        File.WriteAllText(Path.Combine(source, "h.yaml"), "group: h\ntask: [g, a/b, a_b, whole, none]\naggregate_metric_list: [{ metric: acc }]\n");
        var results = ResultFiles.Write(own, [Evaluate(new TasksOptions { Path = source, BootstrapIters = 0 })], []);
        Assert.That(results["results"]!["g"]!.ToJsonString(), Is.EqualTo("""{"name":"g","alias":"G"}"""));
        Assert.That(results["groups"]!.AsObject().Select(group => group.Key), Is.EqualTo(new[] { "h" }));
        Assert.That(new JsonObject(results["versions"]!.AsObject().OrderBy(task => task.Key, StringComparer.Ordinal).Select(task => KeyValuePair.Create(task.Key, task.Value?.DeepClone()))).ToJsonString(),
            Is.EqualTo("""{"a":"1.0","a/b":3,"a_b":"v4","b":2.5,"g":"1","h":"N/A","none":"Yaml","whole":1.0}"""));
        // Two tasks whose names are one as files keep their samples apart.
        Assert.That(Directory.GetFiles(own, "samples_*").Select(Path.GetFileName).Order(StringComparer.Ordinal), Is.EqualTo(new[] { "samples_a%2Fb.jsonl", "samples_a.jsonl", "samples_a_b.jsonl", "samples_b.jsonl", "samples_none.jsonl", "samples_whole.jsonl" }));
        Directory.Delete(source, recursive: true); // the other tests read what lies above it
        Assert.That((ResultFiles.SamplesName("a/b", results), ResultFiles.SamplesName("c/d", results), ResultFiles.SamplesName("a_b", results)), Is.EqualTo(("samples_a%2Fb.jsonl", "samples_c_d.jsonl", "samples_a_b.jsonl")));
    }

    // lm_eval 0.4.13's Group.aggregate counts the items of a group with an aggregate_metric_list before it looks for the metrics.
    [Test]
    public void A_group_whose_metric_no_task_gives_counts_its_items()
    {
        var (source, own) = (Directory.CreateDirectory(Path.Combine(written, "without")).FullName, Directory.CreateDirectory(Path.Combine(folder, "without")).FullName);
        File.Copy(Path.Combine(folder, "rows.json"), Path.Combine(source, "rows.json"));
        foreach (var name in (string[])["one", "two"]) File.Copy(Path.Combine(folder, $"{name}.yaml"), Path.Combine(source, $"{name}.yaml"));
        File.WriteAllText(Path.Combine(source, "g.yaml"), "group: g\ngroup_alias: G\ntask: [one, two]\naggregate_metric_list: [{ metric: f1 }]\n");
        File.WriteAllText(Path.Combine(source, "h.yaml"), "group: h\ntask: [g, one]\naggregate_metric_list: [{ metric: acc, filter_list: strict }]\n");
        var results = ResultFiles.Write(own, [Evaluate(new TasksOptions { Path = source, BootstrapIters = 0 })], []);
        Directory.Delete(source, recursive: true); // the other tests read what lies above it
        Assert.That(results["results"]!["g"]!.ToJsonString(), Is.EqualTo("""{"name":"g","alias":"G","sample_len":2}"""));
        Assert.That(results["results"]!["h"]!.ToJsonString(), Is.EqualTo("""{"name":"h","alias":"h","sample_len":3}"""));
        Assert.That(results["groups"]!.AsObject().Select(group => $"{group.Key} {group.Value!["sample_len"]}").Order(StringComparer.Ordinal), Is.EqualTo(new[] { "g 2", "h 3" }));
    }

    // Samples are found through group_subtasks: a tag has no row there, and a group without numbers none with samples.
    [Test]
    public void Members_lead_to_tasks_through_tags_and_groups_without_numbers()
    {
        var own = Directory.CreateDirectory(Path.Combine(folder, "results")).FullName;
        var members = ResultFiles.Write(own, [Run("tagged", "over")], [])["group_subtasks"]!.AsObject();
        string[] Of(string group) => [.. members[group]!.AsArray().Select(m => (string)m!)];
        Assert.That((Of("tagged"), Of("over"), Of("bare"), Of("inner")), Is.EqualTo((new[] { "one", "three", "two" }, new[] { "bare" }, new[] { "inner" }, new[] { "one", "two" })));
    }

    // As its Group.aggregate finds them: in the order of their names, each over the tasks that have it.
    [TestCase("{ metric: exact_match }", "a 0.5 1|b 0.75 2")]
    [TestCase("{ metric: exact_match, filter_list: null }", "a 0.5 1|b 0.75 2")]
    [TestCase("{ metric: exact_match, filter_list: [b, a] }", "b 0.75 2|a 0.5 1")]
    [TestCase("{ metric: exact_match, filter_list: [none, b, b] }", "b 0.75 2")]
    [TestCase("{ metric: exact_match, filter_list: a }", "a 0.5 1")]
    public void A_group_that_names_no_filters_reports_them_all(string entry, string rows) =>
        Assert.That(string.Join('|', Aggregate(entry).Where(m => m.Task == "both").Select(m => FormattableString.Invariant($"{m.Filter} {m.Value} {m.Count}"))), Is.EqualTo(rows));

    // As in the harness, whose results have one number of a name and filter. Filter b of short and long: 0.8333 by size, 0.75 without.
    [TestCase("{ metric: exact_match }, { metric: exact_match, weight_by_size: false, filter_list: b }", "a 0.5|b 0.75")]
    [TestCase("{ metric: exact_match, weight_by_size: false }, { metric: exact_match, filter_list: b }", "a 0.5|b 0.8333")]
    [TestCase("{ metric: exact_match }, { metric: exact_match, weight_by_size: false }", "a 0.5|b 0.75")]
    public void Of_a_group_s_entries_for_one_number_the_last_counts(string entries, string rows) =>
        Assert.That(string.Join('|', Aggregate(entries, longs: 2).Where(m => m.Task == "both").Select(m => FormattableString.Invariant($"{m.Filter} {m.Value:0.####}"))), Is.EqualTo(rows));

    // The harness's own groups do so (afrobench, salt ...).
    [TestCase("{ metric: exact_match, filter_list: none }", "the metric 'exact_match' of the filter 'none'")]
    [TestCase("{ metric: acc }", "the metric 'acc'")]
    public void A_group_that_asks_for_what_no_task_gives_is_reported_without_it(string entry, string asked)
    {
        var said = new List<string>();
        var rows = Aggregate($"{entry}, {{ metric: exact_match, filter_list: a }}", said.Add);
        Assert.That(said, Is.EqualTo(new[] { $"Group both asks for {asked}, which none of its tasks gives; they give exact_match (b), exact_match (a); it is reported without that number, unless aggregate_metric_list is changed" }));
        Assert.That(rows.Select(m => $"{m.Task} {m.Metric} {m.Filter}"), Is.EqualTo(new[] { "both exact_match a", "short exact_match b", "short exact_match a", "long exact_match b" }));
    }

    [Test]
    public void Filters_of_a_group_in_another_shape_are_refused() =>
        Assert.That(() => Aggregate("{ metric: exact_match, filter_list: { a: b } }"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("neither a name nor a list"));

    [Test]
    public void Numbers_of_a_group_in_another_shape_are_refused()
    {
        File.WriteAllText(Path.Combine(written, "both.yaml"), "group: both\ntask: [short]\naggregate_metric_list: acc\n");
        Assert.That(() => new TasksBenchmark(new TasksOptions { Path = written }).Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'aggregate_metric_list: \"acc\"' is neither"));
    }

    [TestCase("task: [short]", "aggregate_metric_list: [{ metric: exact_match, weight_by_size: 'yes' }]", "'aggregate_metric_list.weight_by_size: \"yes\"' is no truth value (true or false)")]
    [TestCase("task: [short]", "aggregate_metric_list: [{ metric: exact_match, filter_list: [1] }]", "'aggregate_metric_list.filter_list: 1' is no text")]
    [TestCase("task: [short]", "aggregate_metric_list: [{ metric: exact_match, filter_list: 1 }]", "'aggregate_metric_list.filter_list: 1' is no text")]
    [TestCase("task: [short]", "aggregate_metric_list: { metric: 3 }", "'aggregate_metric_list.metric: 3' is no text")]
    [TestCase("task: [short]", "group_alias: 3", "'group_alias: 3' is no text")]
    [TestCase("task: [3]", "", "'task: 3' is no text")]
    [TestCase("task: 3", "", "'task: 3' is no text")]
    [TestCase("task: [{ task: 3 }]", "", "'task.task: 3' is no text")]
    public void A_field_of_another_type_is_named(string members, string lines, string fault)
    {
        File.WriteAllText(Path.Combine(written, "both.yaml"), $"group: both\n{members}\n{lines}\n");
        Assert.That(() => new TasksBenchmark(new TasksOptions { Path = written }).Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.Contains($"both.yaml: group both: {fault}; write a "));
    }

    [Test]
    public void A_group_s_name_is_a_text()
    {
        File.WriteAllText(Path.Combine(written, "both.yaml"), "group: 3\ntask: [short]\n");
        Assert.That(() => new TasksBenchmark(new TasksOptions { Path = written }).Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.Contains("both.yaml: 'group: 3' is no text; write a text."));
    }

    // Filter b of short: 0.5; of long: 1, as often as is said; filter a of short: 0.5.
    private IReadOnlyList<MetricResult> Aggregate(string entry, Action<string>? warn = null, int longs = 1)
    {
        File.WriteAllText(Path.Combine(written, "both.yaml"), $"group: both\ntask: [short, long]\naggregate_metric_list: [{entry}]\n");
        var benchmark = new TasksBenchmark(new TasksOptions { Path = written, BootstrapIters = 0 }, warn);
        ItemScore Of(string task, string filter, double value) => new("0", new Dictionary<string, double> { ["exact_match"] = value }) { Task = task, Filter = filter };
        return benchmark.Aggregate([Of("short", "b", 0.5), Of("short", "a", 0.5), .. Enumerable.Repeat(Of("long", "b", 1), longs)]);
    }
}
