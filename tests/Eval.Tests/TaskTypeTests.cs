// A field of a task file that is of another type than it must be is refused by its name and value, and none is passed over.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class TaskTypeTests
{
    private readonly string folder = Directory.CreateTempSubdirectory("peftalign-types-").FullName;

    [OneTimeTearDown]
    public void Delete() => Directory.Delete(folder, recursive: true);

    private TasksBenchmark Open(string lines)
    {
        File.WriteAllText(Path.Combine(folder, "rows.json"), """[{"q": "a", "a": "b"}]""");
        var file = Path.Combine(folder, "one.yaml");
        File.WriteAllText(file, $"task: one\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ test: rows.json }} }}\ntest_split: test\noutput_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n{lines}\n");
        return new TasksBenchmark(new TasksOptions { Path = file, BootstrapIters = 0 });
    }

    [TestCase("generation_kwargs: { max_gen_toks: few }", "'generation_kwargs.max_gen_toks: \"few\"' is no whole number")]
    [TestCase("generation_kwargs: { max_gen_toks: 2.5 }", "'generation_kwargs.max_gen_toks: 2.5' is no whole number")]
    [TestCase("generation_kwargs: { temperature: hot }", "'generation_kwargs.temperature: \"hot\"' is no number")]
    [TestCase("generation_kwargs: { do_sample: 3 }", "'generation_kwargs.do_sample: 3' is no truth value (true or false)")]
    [TestCase("generation_kwargs: { until: [1] }", "'generation_kwargs.until: 1' is no text")]
    [TestCase("generation_kwargs: { until: null }", "'generation_kwargs.until' has no value")]
    [TestCase("generation_kwargs: [until]", "'generation_kwargs: [\"until\"]' is no mapping")]
    [TestCase("num_fewshot: two", "'num_fewshot: \"two\"' is no whole number")]
    [TestCase("metric_list: { metric: exact_match }", "'metric_list: {\"metric\":\"exact_match\"}' is no list")]
    [TestCase("metric_list: [{ metric: 3 }]", "'metric_list.metric: 3' is no text")]
    [TestCase("metric_list: [{ metric: exact_match, higher_is_better: 1 }]", "'metric_list.higher_is_better: 1' is no truth value (true or false)")]
    [TestCase("filter_list: [{ name: 3, filter: [{ function: take_first }] }]", "'filter_list.name: 3' is no text")]
    [TestCase("filter_list: { name: first }", "'filter_list: {\"name\":\"first\"}' is no list")]
    public void Another_type_is_named(string lines, string fault) =>
        Assert.That(() => Open(lines).Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.Contains("one.yaml: task one: " + fault + "; "));

    [Test]
    public void What_is_right_is_asked_for()
    {
        var benchmark = Open("generation_kwargs: { max_gen_toks: 7, until: '.', do_sample: true, temperature: 2, top_p: 0.5, top_k: 4 }");
        var asked = (EvalRequest.Generate)benchmark.Requests(benchmark.Items().Single()).Single();
        Assert.That((asked.MaxNewTokens, asked.Until.Single(), asked.Temperature, asked.TopP, asked.TopK), Is.EqualTo((7, ".", 2.0, 0.5, 4)));
    }
}
