// Task files: what `include` brings, and mistakes that are named before a model is asked.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class TaskFileTests
{
    private string folder = "";

    [SetUp]
    public void Make()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-taskfile-").FullName;
        File.WriteAllText(Path.Combine(folder, "rows.json"), """[{"q": "a", "a": "b"}]""");
    }

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    [TestCase("include: [_a.yml, _b.yml]", "B a")]
    [TestCase("include: [_b.yml, _a.yml]", "A a")]
    [TestCase("include: _a.yml", "A a")]
    [TestCase("include: [_a.yml, _b.yml]\ndescription: 'own '", "own a")]
    public void Of_included_files_the_last_counts_and_the_task_s_own_field_before_all(string fields, string prompt)
    {
        foreach (var letter in "ab") File.WriteAllText(Path.Combine(folder, $"_{letter}.yml"), $"description: '{char.ToUpperInvariant(letter)} '\n");
        var benchmark = Task(fields);
        Assert.That(((EvalRequest.Generate)benchmark.Requests(benchmark.Items().Single())[0]).Prompt, Is.EqualTo(prompt));
    }

    [TestCase("should_decontaminate: 3", "'should_decontaminate: 3' is no truth value")]
    [TestCase("metric_list: { metric: exact_match }", "'metric_list: {\"metric\":\"exact_match\"}' is no list")]
    [TestCase("metric_list: [{ metric: exact_match, hf_evaluate: 1 }]", "'metric_list.hf_evaluate: 1' is no truth value")]
    [TestCase("metric_list: []", "metric_list is empty")]
    [TestCase("metric_list: [{ metric: exact_match }, { metric: exact_match, ignore_case: true }]", "metric_list has 2 entries named 'exact_match'")]
    [TestCase("metric_list: [{ metric: 5 }]", "'metric_list.metric: 5' is no text")]
    [TestCase("metric_list: [{ metric: exact_match, higher_is_better: 1 }]", "'metric_list.higher_is_better: 1' is no truth value")]
    [TestCase("metric_list: [{ metric: exact_match, regexes_to_ignore: ',' }]", "'regexes_to_ignore: \",\"' is no list")]
    [TestCase("metric_list: [{ metric: exact_match, regexes_to_ignore: [null] }]", "'regexes_to_ignore: null' is no text")]
    [TestCase("metric_list: [{ metric: exact_match, regexes_to_ignore: ['([a'] }]", "'([a' cannot be read")]
    [TestCase("metric_list: [{ metric: exact_match, ignore_case: 'yes' }]", "'ignore_case: \"yes\"' is no truth value")]
    [TestCase("filter_list: { name: x }", "'filter_list: {\"name\":\"x\"}' is no list")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: take_first }] }, { name: f, filter: [{ function: lowercase }] }]", "filter_list has 2 entries named 'f'")]
    [TestCase("filter_list: [{ name: 3, filter: [{ function: take_first }] }]", "'filter_list.name: 3' is no text")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: regex, group_select: a }] }]", "'group_select: \"a\"' is no whole number")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: regex, group_select: 1.5 }] }]", "'group_select: 1.5' is no whole number")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: regex, fallback: 0 }] }]", "'fallback: 0' is no text")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: regex, regex_pattern: '([a' }] }]", "'([a' cannot be read")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: map, mapping_dict: [a], default_value: 1 }] }]", "'mapping_dict: [\"a\"]' is no mapping")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: map, mapping_dict: { a: true }, default_value: 1 }] }]", "filter 'f' maps to true, which is neither a text nor a whole number")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: map, mapping_dict: { a: null }, default_value: 1 }] }]", "filter 'f' maps to null, which is neither a text nor a whole number")]
    [TestCase("filter_list: [{ name: f, filter: [{ function: map, mapping_dict: { a: b }, default_value: 0.5 }] }]", "filter 'f' maps to 0.5, which is neither a text nor a whole number")]
    [TestCase("generation_kwargs: ['.']", "'generation_kwargs: [\".\"]' is no mapping")]
    [TestCase("generation_kwargs: { until: null }", "'generation_kwargs.until' has no value")]
    [TestCase("generation_kwargs: { until: [null] }", "'generation_kwargs.until: null' is no text")]
    [TestCase("generation_kwargs: { temperature: '0.0' }", "'generation_kwargs.temperature: \"0.0\"' is no number")]
    [TestCase("generation_kwargs: { temperature: null }", "'generation_kwargs.temperature' has no value")]
    [TestCase("generation_kwargs: { do_sample: 'false' }", "'generation_kwargs.do_sample: \"false\"' is no truth value")]
    [TestCase("generation_kwargs: { do_sample: true }", "samples (do_sample: true) at a temperature of 0, which lm-evaluation-harness takes where none is given; transformers refuses that there; give a temperature above 0")]
    [TestCase("generation_kwargs: { do_sample: true, temperature: 0.0 }", "samples (do_sample: true) at a temperature of 0; transformers refuses that there")]
    [TestCase("generation_kwargs: { do_sample: true, temperature: -1 }", "samples (do_sample: true) at a temperature of -1;")]
    [TestCase("generation_kwargs: { max_gen_toks: 8.5 }", "'generation_kwargs.max_gen_toks: 8.5' is no whole number")]
    [TestCase("generation_kwargs: { max_gen_toks: 99999999999 }", "'generation_kwargs.max_gen_toks: 99999999999' is no whole number")]
    [TestCase("fewshot_config: first_n", "'fewshot_config: \"first_n\"' is no mapping")]
    [TestCase("fewshot_config: { sampler: [first_n] }", "'fewshot_config.sampler: [\"first_n\"]' is no text")]
    [TestCase("fewshot_config: { samples: { q: s } }", "'fewshot_config.samples: {\"q\":\"s\"}' is no list")]
    [TestCase("num_fewshot: '2'", "'num_fewshot: \"2\"' is no whole number")]
    public void A_field_of_another_shape_is_named_before_a_model_is_asked(string field, string error) =>
        Assert.That(() => Task(field).Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains(error).And.Message.Contains(Path.Combine(folder, "task.yaml")));

    // PyYAML reads whole numbers of any size, and templates print all of their digits.
    [TestCase("123456789012345678901234567890", "123456789012345678901234567890")]
    [TestCase("-9223372036854775809", "-9223372036854775809")]
    [TestCase("9007199254740993", "9007199254740993")]
    [TestCase("0xFFFFFFFFFFFFFFFFF", "295147905179352825855")]
    [TestCase("1.0e+30", "1e+30")]
    public void A_whole_number_keeps_its_digits(string written, string printed)
    {
        var benchmark = Task($"fewshot_config: {{ sampler: first_n, doc_to_text: 'n {{{{q}}}}', samples: [{{ q: {written}, a: x }}] }}\nnum_fewshot: 1");
        Assert.That(((EvalRequest.Generate)benchmark.Requests(benchmark.Items().Single())[0]).Prompt, Does.StartWith($"n {printed} x"));
    }

    // None of these says anything; the length is then 256, as the harness has it.
    [TestCase("max_gen_toks: null, max_tokens: null", 256)]
    [TestCase("do_sample: null, top_p: null, top_k: null", 256)]
    [TestCase("temperature: -1.0", 256)]
    [TestCase("max_tokens: 7, max_gen_toks: 8, max_new_tokens: 9", 8)]
    [TestCase("max_gen_toks: null, max_tokens: 7", 7)]
    [TestCase("max_completion_tokens: 6, max_tokens: 7", 7)]
    [TestCase("max_completion_tokens: 6", 6)]
    public void Null_is_nothing_where_the_harness_takes_it_so(string fields, int length)
    {
        var benchmark = Task($"generation_kwargs: {{ {fields} }}");
        var ask = (EvalRequest.Generate)benchmark.Requests(benchmark.Items().Single())[0];
        Assert.That((ask.MaxNewTokens, ask.Temperature, ask.Until.Single()), Is.EqualTo((length, 0.0, "\n\n")));
    }

    [TestCase("generation_kwargs: { until: '' }", true)]
    [TestCase("generation_kwargs: { until: [b, ''] }", true)]
    [TestCase("fewshot_delimiter: ''", true)]
    [TestCase("fewshot_delimiter: ''\ngeneration_kwargs: { until: [] }", false)]
    public void An_empty_stop_text_is_told(string fields, bool told)
    {
        var warnings = new List<string>();
        Assert.That(Task(fields, warnings.Add).Items().Count(), Is.EqualTo(1));
        Assert.That(warnings, told ? Is.EqualTo(new[] { "task one: an empty text of generation_kwargs.until (or of fewshot_delimiter, which stands for it) ends every answer after one token, as in lm-evaluation-harness; take it out unless one token is meant" }) : Is.Empty);
    }

    private TasksBenchmark Task(string fields, Action<string>? warn = null)
    {
        var file = Path.Combine(folder, "task.yaml");
        File.WriteAllText(file, $"task: one\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ test: rows.json }} }}\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n{fields}\n");
        return new TasksBenchmark(new TasksOptions { Path = file, BootstrapIters = 0 }, warn);
    }
}
