// Prompts with solved examples: as text, and as lm-evaluation-harness 0.4.13 makes conversations of them.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class TaskPromptTests
{
    private const string Rows = """[{"q": "a", "v": "1"}, {"q": "b", "v": ""}, {"q": "c", "v": "3"}]""";

    private const string Fields = "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: v\ndescription: 'Be {{q}}.'\nfewshot_config: { sampler: first_n }\n";

    private static string Said(TasksBenchmark task) =>
        TaskFiles.Requests(task)[2][0] is EvalRequest.Generate { Messages: { } turns } ? string.Join('|', turns.Select(t => $"{t.Role}: {t.Content}")) : "text";

    [TestCase(null, "system: Be c.|user: a|assistant: 1|user: b|user: c")]
    [TestCase(true, "system: Be c.|user: a|assistant: 1|user: b|user: c")]
    [TestCase(false, "system: Be c.|user: a 1\n\nbc")]
    public void Answers_of_examples_are_the_assistant_s_by_default(bool? turns, string said)
    {
        using var files = new TaskFiles();
        var options = new TasksOptions { Chat = true, FewshotAsMultiturn = turns };
        Assert.That(Said(files.Task(Rows, Fields + "num_fewshot: 2", options: options)), Is.EqualTo(said));
    }

    [TestCase("num_fewshot: 0", 0)]
    [TestCase("num_fewshot: 2", 1)]
    [TestCase("", 1)]
    public void A_task_that_says_no_examples_keeps_none(string own, int shots)
    {
        using var files = new TaskFiles();
        var said = new List<string>();
        var task = files.Task(Rows, Fields + own, options: new TasksOptions { Shots = 1 }, warn: said.Add);
        Assert.That(((EvalRequest.Generate)TaskFiles.Requests(task)[2][0]).Prompt, Is.EqualTo(shots == 0 ? "Be c.c" : "Be c.a 1\n\nc"));
        Assert.That(task.Info.Tasks[0].Shots, Is.EqualTo(shots));
        Assert.That(said, Is.EqualTo(shots == 0 ? ["task t says num_fewshot: 0 and keeps it; shots: 1 is for the others"] : Array.Empty<string>()));
    }

    // arc, piqa, lambada and 200 others say so; the harness does nothing with it.
    [Test]
    public void A_task_that_asks_for_decontamination_is_asked_as_without_it()
    {
        using var files = new TaskFiles();
        Assert.That(Said(files.Task(Rows, Fields + "should_decontaminate: true\ndoc_to_decontamination_query: '{{q}}'", options: new TasksOptions { Chat = true })), Is.EqualTo("system: Be c.|user: c"));
    }

    // The harness's own prompts of such a file: PyYAML reads 2.0 as a float, which Python prints with its point.
    [TestCase("2.0", "2.0")]
    [TestCase("-0.0", "-0.0")]
    [TestCase("1.50", "1.5")]
    [TestCase("1.0e+20", "1e+20")]
    [TestCase("7", "7")]
    [TestCase("123456789012345678", "123456789012345678")]
    public void A_number_of_a_written_example_prints_as_in_python(string written, string said)
    {
        using var files = new TaskFiles();
        var task = files.Task(Rows, $"output_type: generate_until\ndoc_to_text: '{{{{q}}}}'\ndoc_to_target: '{{{{v}}}}'\nnum_fewshot: 1\nfewshot_config: {{ sampler: first_n, samples: [{{ q: {written}, v: x }}] }}\n");
        Assert.That(((EvalRequest.Generate)TaskFiles.Requests(task)[0][0]).Prompt, Is.EqualTo($"{said} x\n\na"));
    }

    [TestCase("target_delimiter: ' -> '", "Be c.a -> 1\n\nc")]
    [TestCase("fewshot_delimiter: '##'", "Be c.a 1##c")]
    [TestCase("target_delimiter: '', fewshot_delimiter: ''", "Be c.a1c")]
    public void Examples_may_have_delimiters_of_their_own(string delimiters, string prompt)
    {
        using var files = new TaskFiles();
        var task = files.Task(Rows, Fields.Replace("first_n", $"first_n, {delimiters}", StringComparison.Ordinal) + "num_fewshot: 1");
        var asked = (EvalRequest.Generate)TaskFiles.Requests(task)[2][0];
        Assert.That(asked.Prompt, Is.EqualTo(prompt));
        Assert.That(asked.Until, Is.EqualTo(new[] { "\n\n" }), "what stands for a missing until is the task's own fewshot_delimiter");
        task = files.Task(Rows, Numbers.Replace("first_n", $"first_n, {delimiters}", StringComparison.Ordinal));
        Assert.That(((EvalRequest.LogLikelihood)TaskFiles.Requests(task)[0][0]).Continuation, Is.EqualTo(" x"), "nor do they stand before a choice that is scored");
    }

    // As task.doc_to_target gives it, which the harness writes into samples_*.jsonl.
    [Test]
    public void A_sample_s_target_is_what_doc_to_target_gives()
    {
        using var files = new TaskFiles();
        var contexts = files.Task("""[{"q": "1", "v": "m"}]""", Numbers);
        Assert.That((string?)contexts.Score(contexts.Items().Single(), [new(-2, 1, false), new(-1, 1, false)])[0].Target, Is.EqualTo("m"), "where the question says which context is right");
        var written = files.Task("""[{"q": "a", "v": 1}]""", "output_type: generate_until\ndoc_to_text: q\ndoc_to_choice: [x, y]\ndoc_to_target: v\n");
        var score = written.Score(written.Items().Single(), [new EvalResponse(0, 0, false) { Texts = ["y"] }])[0];
        Assert.That((int?)score.Target, Is.EqualTo(1));
        Assert.That(score.Scores["exact_match"], Is.EqualTo(1));
    }

    private const string Numbers = "output_type: multiple_choice\ndoc_to_text: '{{q}}'\ndoc_to_choice: [x, y]\ndoc_to_target: v\nmetric_list: [{ metric: acc }]\nfewshot_config: { sampler: first_n }\n";

    // The harness asks the first row whether questions are numbers of contexts, and of the second makes contexts too.
    [Test]
    public void The_first_row_says_whether_questions_are_numbers_of_contexts()
    {
        using var files = new TaskFiles();
        var contexts = files.Task("""[{"q": "1", "v": 0}, {"q": "y", "v": 1}, {"q": "no", "v": 1}]""", Numbers);
        Assert.That(TaskFiles.Requests(contexts).Select(r => string.Join('|', r.Cast<EvalRequest.LogLikelihood>().Select(a => a.Context + a.Continuation))), Is.EqualTo(new[] { "x 0|y 0", "x 1|y 1", "x 1|y 1" }));
        EvalResponse[] second = [new(-2, 1, false), new(-1, 1, false)];
        Assert.That(contexts.Items().Select(item => contexts.Score(item, second)[0].Scores["acc"]), Is.EqualTo(new double[] { 1, 1, 0 }), "a text is found among the choices, or is none");
        var example = files.Task("""[{"q": "1", "v": "m"}, {"q": "y", "v": "m"}, {"q": "0", "v": "m"}]""", Numbers + "num_fewshot: 2");
        Assert.That(() => example.Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.Contains("a solved example has the question \"y\", and the first row the number of a choice"));
    }

    [TestCase("num_fewshot: 0")]
    [TestCase("num_fewshot: 1\nfewshot_config: { sampler: first_n, samples: [{ q: '7', v: 0 }] }")]
    public void A_question_that_is_a_number_among_texts_is_refused(string fewshot)
    {
        using var files = new TaskFiles();
        var rows = fewshot.Contains("samples", StringComparison.Ordinal) ? "{\"q\": \"a\", \"v\": 0}\n" : "{\"q\": \"a\", \"v\": 0}\n{\"q\": \"7\", \"v\": 1}\n";
        var task = files.Task(rows, Numbers.Replace("fewshot_config: { sampler: first_n }\n", "", StringComparison.Ordinal) + fewshot);
        Assert.That(() => task.Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.EndsWith("a row has the question 7, which lm-evaluation-harness takes for the number of a choice, and the first row has a text; put a word beside it into doc_to_text, or give numbers in all rows."));
    }

    [TestCase("mcc", 0)]
    [TestCase("matthews_corrcoef", 0)]
    [TestCase("f1", 2)]
    public void Matthews_correlation_has_the_harness_s_name_too(string aggregation, int refused)
    {
        using var files = new TaskFiles();
        var task = files.Task(TaskFiles.Lines("0", "1", "1"), $"output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [x, y]\ndoc_to_target: v\nmetric_list: [{{ metric: mcc, aggregation: {aggregation} }}]");
        double Value() => task.Aggregate([.. task.Items().Zip((int[])[0, 1, 0], (item, chosen) => task.Score(item, [new EvalResponse(-chosen - 1, 1, false), new EvalResponse(chosen - 2, 1, false)])[0])])[0].Value;
        if (refused > 0) Assert.That(Value, Throws.TypeOf<UserErrorException>().With.Message.Contains($"aggregation '{aggregation}' of metric 'mcc' is not supported"));
        else Assert.That(Value(), Is.EqualTo(0.5).Within(1e-12));
    }
}
