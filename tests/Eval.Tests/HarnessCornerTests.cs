// What lm-evaluation-harness 0.4.13 takes where a task says nothing or two things: first of equals, defaults of filters and splits, how
// several right answers and characters of two units count. Draws are those of Python's random.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Scoring;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class HarnessCornerTests
{
    private const string Generation = "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: v\n";
    private const string Choices = "output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: v\n";

    // random.Random(1234).sample(range(n), k), at the sizes where Python goes from a pool to a set.
    [TestCase(30, 5, new[] { 24, 14, 3, 0, 2 })]
    [TestCase(37, 5, new[] { 28, 7, 0, 5, 2 })]
    [TestCase(21, 3, new[] { 14, 3, 0 })]
    [TestCase(22, 3, new[] { 14, 3, 0 })]
    [TestCase(85, 6, new[] { 56, 14, 0, 11, 74, 4 })]
    [TestCase(86, 6, new[] { 56, 14, 0, 11, 74, 4 })]
    public void Draws_are_those_of_Python(int n, int k, int[] drawn) => Assert.That(new PythonRandom(1234).Sample(n, k), Is.EqualTo(drawn));

    // numpy's argmax takes the first of equals; acc_norm divides by Python's len, which counts code points.
    [TestCase("[a, b]", 0, -2.0, -2.0, 1, 1)]
    [TestCase("[a, b]", 1, -2.0, -2.0, 0, 0)]
    [TestCase("[ab, '😀']", 1, -2.0, -1.5, 1, 0)]
    [TestCase("[ab, '😀😀']", 1, -2.0, -1.5, 1, 1)]
    public void The_likeliest_choice_is_told_as_numpy_tells_it(string choices, int right, double first, double second, double acc, double accNorm)
    {
        using var files = new TaskFiles();
        var task = files.Task($"{{\"q\": \"a\", \"v\": {right}}}\n", $"{Choices}doc_to_choice: {choices}");
        var scores = task.Score(task.Items().Single(), [new EvalResponse(first, 1, false), new EvalResponse(second, 1, false)])[0].Scores;
        Assert.That((scores["acc"], scores["acc_norm"]), Is.EqualTo((acc, accNorm)));
    }

    [Test]
    public void Any_of_several_right_choices_counts()
    {
        using var files = new TaskFiles();
        var task = files.Task("""{"q": "a", "v": [0, 2]}""" + "\n", Choices + "doc_to_choice: [x, y, z]\nmetric_list: [{ metric: acc }, { metric: exact_match }]");
        double[] Scores(int best) => [.. task.Score(task.Items().Single(), [.. Enumerable.Range(0, 3).Select(k => new EvalResponse(k == best ? -1 : -2, 1, k == best))])[0].Scores.OrderBy(s => s.Key).Select(s => s.Value)];
        Assert.That(((int[])[0, 1, 2]).Select(Scores), Is.EqualTo((double[][])[[1, 1], [0, 0], [1, 1]]));
    }

    [Test]
    public void A_regex_takes_the_first_match_and_says_where_there_is_none()
    {
        using var files = new TaskFiles();
        var task = files.Task("""{"q": "a", "v": "1"}""" + "\n", Generation + "filter_list: [{ name: f, filter: [{ function: regex, regex_pattern: '[0-9]' }, { function: take_first }] }]\nmetric_list: [{ metric: exact_match }]");
        string? Read(string answer) => (string?)task.Score(task.Items().Single(), [new EvalResponse(0, 0, false) { Texts = [answer] }])[0].Answer![0];
        Assert.That((Read("1 2 3"), Read("none")), Is.EqualTo(("1", "[invalid]")));
    }

    [TestCase("ignore_case: true", 1)]
    [TestCase("ignore_case: True", 1)]
    [TestCase("ignore_case: false", 0)]
    [TestCase("ignore_punctuation: true", 0)]
    public void Case_counts_unless_a_task_says_otherwise(string option, double score)
    {
        using var files = new TaskFiles();
        var task = files.Task("""{"q": "a", "v": "Yes"}""" + "\n", $"{Generation}metric_list: [{{ metric: exact_match, {option} }}]");
        Assert.That(TaskFiles.Scores(task, "exact_match", "yES"), Is.EqualTo(new[] { score }));
    }

    // The harness sorts and takes the item at half the length; what a task says of better goes before the metric's own.
    [Test]
    public void A_median_of_an_even_number_is_the_upper_one()
    {
        using var files = new TaskFiles();
        var task = files.Task(TaskFiles.Lines("\"x\"", "\"y\"", "\"z\"", "\"w\""), "output_type: generate_until\ndoc_to_text: v\ndoc_to_target: v\nmetric_list: [{ metric: exact_match, aggregation: median, higher_is_better: false }]");
        var scores = task.Items().Zip((string[])["x", "y", "-", "-"], (item, answer) => task.Score(item, [new EvalResponse(0, 0, false) { Texts = [answer] }])[0]).ToList();
        var result = task.Aggregate(scores).Single();
        Assert.That((result.Value, result.HigherIsBetter), Is.EqualTo((1.0, false)));
    }

    [Test]
    public void What_a_task_leaves_out_is_the_harness_own()
    {
        using var files = new TaskFiles();
        var rows = """{"q": "a", "v": "1"}""" + "\n";
        EvalRequest.Generate Asked(string fields) => (EvalRequest.Generate)TaskFiles.Requests(files.Task(rows, Generation + fields))[0][0];
        Assert.That(Asked("fewshot_delimiter: '##'").Until, Is.EqualTo((string[])["##"]));
        Assert.That(Asked("generation_kwargs: { temperature: 0.5, top_p: 0.25 }") is { Temperature: 0.5, TopP: 0.25 });
        Assert.That(Asked("generation_kwargs: { do_sample: false, temperature: 0.5, top_p: 0.25 }") is { Temperature: 0, TopP: 1 });
        Assert.That(files.Task(rows, Generation + "validation_split: none").Items().Count(), Is.EqualTo(1), "the test split is evaluated");
    }

    [Test]
    public void In_a_conversation_no_blank_stands_before_a_choice()
    {
        using var files = new TaskFiles();
        string[] Continuations(bool chat) => [.. TaskFiles.Requests(files.Task("""{"q": "a", "v": 0}""" + "\n", Choices + "doc_to_choice: [x, y]", options: new TasksOptions { BootstrapIters = 0, Chat = chat }))[0].Select(r => ((EvalRequest.LogLikelihood)r).Continuation)];
        Assert.That(Continuations(true), Is.EqualTo((string[])["x", "y"]));
        Assert.That(Continuations(false), Is.EqualTo((string[])[" x", " y"]));
    }
}
