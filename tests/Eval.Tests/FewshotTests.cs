// Solved examples as lm-evaluation-harness 0.4.13 takes them: which rows, by which draw, and when the item itself is left out.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class FewshotTests
{
    private const string Train = "training_split: train\n", Validation = "validation_split: validation\n", Test = "test_split: test\n";

    private readonly string folder = Directory.CreateTempSubdirectory("peftalign-fewshot-").FullName;

    [OneTimeSetUp]
    public void WriteRows()
    {
        foreach (var (file, letter, count) in ((string, char, int)[])[("train", 't', 6), ("val", 'v', 4)])
            File.WriteAllLines(Path.Combine(folder, $"{file}.jsonl"), Enumerable.Range(0, count).Select(k => $$"""{"q": "{{letter}}{{k}}", "a": "."}"""));
    }

    [OneTimeTearDown]
    public void Delete() => Directory.Delete(folder, recursive: true);

    // What its task.fewshot_context wrote for these files after set_fewshot_seed(1234).
    [TestCase(Train + Validation, "2", "t3 t0|t0 t4|t5 t0|t2 t1", TestName = "No_split_is_named_for_examples_nor_to_be_tested")]
    [TestCase(Validation, "2", "v3 v2|v0 v2|v0 v3|v1 v0", TestName = "Examples_from_the_rows_that_are_asked")]
    [TestCase(Validation, "2\nfewshot_config: { sampler: first_n }", "v1 v2|v0 v2|v0 v1|v0 v1", TestName = "The_first_rows_but_the_item")]
    [TestCase(Train + Validation, "6\nfewshot_config: { sampler: first_n }", "t0 t1 t2 t3 t4 t5|t0 t1 t2 t3 t4 t5|t0 t1 t2 t3 t4 t5|t0 t1 t2 t3 t4 t5", TestName = "All_rows_where_none_is_the_item")]
    [TestCase(Test + Train, "2", "t3 t0|t0 t5|t4 t0|t5 t0", TestName = "A_test_split_leaves_nothing_out")]
    [TestCase(Test, "2", "v3 v0|v0 v3|v0 v2|v0 v3", TestName = "A_test_split_that_is_not_named_for_examples")]
    [TestCase(Test, "2\nfewshot_split: test", "v3 v2|v0 v2|v0 v3|v1 v0", TestName = "A_test_split_that_is_named_for_examples")]
    [TestCase(Test, "2\nfewshot_config: { split: test }", "v3 v2|v0 v2|v0 v3|v1 v0", TestName = "A_test_split_that_fewshot_config_names")]
    [TestCase(Validation, "1\nfewshot_split: validation\nfewshot_config: { sampler: first_n }", "v0|v0|v0|v0", TestName = "A_named_split_without_a_test_split_leaves_nothing_out")]
    [TestCase(Train + Validation, "1\nfewshot_split: validation\nfewshot_config: { sampler: first_n, split: train }", "t0|t0|t0|t0", TestName = "The_split_of_fewshot_config_counts_first")]
    [TestCase(Train + Validation, "1\nfewshot_split: validation\nfewshot_config: { sampler: first_n, split: null }", "t0|t0|t0|t0", TestName = "Even_where_it_is_null")]
    [TestCase(Train + Validation, "1\nfewshot_config: { sampler: first_n, split: train, samples: [{ q: s0, a: . }] }", "t0|t0|t0|t0", TestName = "A_split_counts_before_written_examples")]
    [TestCase(Train + Validation, "1\nfewshot_split: train\nfewshot_config: { sampler: first_n, samples: [{ q: s0, a: . }] }", "t0|t0|t0|t0", TestName = "So_does_fewshot_split")]
    [TestCase(Train + Validation, "1\nfewshot_config: { sampler: first_n, samples: [{ q: v0, a: . }, { q: s1, a: . }] }", "s1|v0|v0|v0", TestName = "A_written_example_that_is_the_item_is_left_out")]
    [TestCase(Train + Validation, "2\nfewshot_config: { sampler: first_n, samples: [{ q: s0, a: . }, { q: s1, a: . }] }", "s0 s1|s0 s1|s0 s1|s0 s1", TestName = "As_many_written_examples_as_are_asked_for")]
    [TestCase(Train + Validation, "2\nfewshot_config: { samples: [{ q: s0, a: . }, { q: s1, a: . }, { q: s2, a: . }] }", "s1 s0|s0 s2|s0 s1|s0 s2", TestName = "Written_examples_are_drawn_with_one_to_spare")]
    [TestCase(Train + Test, "2\nfewshot_config: { samples: [{ q: s0, a: . }, { q: s1, a: . }] }", "s1 s0|s0 s1|s0 s1|s0 s1", TestName = "Written_examples_with_a_test_split_have_none_to_spare")]
    public void Examples(string splits, string shots, string expected) => Assert.That(string.Join('|', Shown(splits, shots)), Is.EqualTo(expected));

    // Where the harness stops with ValueError or AssertionError.
    [TestCase("4", "4 solved examples are asked for, and there are 4 rows")]
    [TestCase("4\nfewshot_config: { sampler: first_n }", "4 solved examples are asked for, and 3 rows differ from the item")]
    [TestCase("2\nfewshot_config: { samples: [{ q: s0, a: . }, { q: s1, a: . }] }", "there are 2 rows")]
    public void Too_few_rows_are_refused(string shots, string error) => Assert.That(() => Shown(Validation, shots), Throws.InstanceOf<UserErrorException>().With.Message.Contains(error));

    [Test]
    public void No_examples_need_no_rows() => Assert.That(Shown(Validation, "0"), Is.EqualTo(new[] { "", "", "", "" }));

    // The questions of each item's examples, which stand before the first blank of what two line ends part.
    private List<string> Shown(string splits, string shots)
    {
        var file = Path.Combine(folder, $"{TestContext.CurrentContext.Test.ID}.yaml");
        File.WriteAllText(file, $"task: few\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ train: train.jsonl, validation: val.jsonl, test: val.jsonl }} }}\noutput_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n{splits}num_fewshot: {shots}\n");
        var benchmark = new TasksBenchmark(new TasksOptions { Path = file, BootstrapIters = 0 });
        return [.. benchmark.Items().Select(item => string.Join(' ', ((EvalRequest.Generate)benchmark.Requests(item)[0]).Prompt.Split("\n\n")[..^1].Select(example => example.Split(' ')[0])))];
    }
}
