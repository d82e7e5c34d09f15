// Answers of a task's rows that are no text, and labels that are no choice: as lm-evaluation-harness 0.4.13 counts them.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class TaskAnswerTests
{
    private const string Generation = "output_type: generate_until\ndoc_to_text: q\nmetric_list: [{ metric: exact_match }]\n";

    [TestCase("true", "v", "True")]
    [TestCase("1", "v", "1")]
    [TestCase("1.0", "v", "1.0")]
    [TestCase("null", "v", "None")]
    [TestCase("null", "'{{v}}'", "None")]
    [TestCase("""{"a": 1}""", "v", "{'a': 1}")]
    [TestCase("""["x", 1]""", "v", "1")]
    [TestCase("""["x", true]""", "v", "True")]
    [TestCase("0", "'[1, \"b\"]'", "1")]
    [TestCase("0", "true", "True")]
    public void What_Python_prints_of_an_answer_is_the_right_text(string value, string target, string right)
    {
        using var files = new TaskFiles();
        var task = files.Task($"{{\"q\": \"a\", \"v\": {value}}}\n", $"{Generation}doc_to_target: {target}");
        Assert.That(TaskFiles.Scores(task, "exact_match", right), Is.EqualTo(new double[] { 1 }));
        Assert.That(TaskFiles.Scores(task, "exact_match", right + "x"), Is.EqualTo(new double[] { 0 }));
    }

    // The harness compares them with numpy, where a text equals no number.
    [TestCase("""[1, 2]""", "v", "1", 0)]
    [TestCase("0", "'[1, 2]'", "1", 0)]
    [TestCase("""["x", null, 1]""", "v", "1", 0)]
    [TestCase("""["x", null, 1]""", "v", "x", 1)]
    [TestCase("""["1", "2"]""", "v", "2", 1)]
    [TestCase("""[]""", "v", "[]", 1)]
    public void A_list_of_answers_holds_texts(string value, string target, string answer, double score)
    {
        using var files = new TaskFiles();
        Assert.That(TaskFiles.Scores(files.Task($"{{\"q\": \"a\", \"v\": {value}}}\n", $"{Generation}doc_to_target: {target}"), "exact_match", answer), Is.EqualTo(new[] { score }));
    }

    [Test]
    public void The_first_row_says_whether_answers_are_lists()
    {
        using var files = new TaskFiles();
        var lists = files.Task("""[{"q": "a", "v": ["x", "y"]}, {"q": "b", "v": "cat"}, {"q": "b", "v": "cat"}]""", Generation + "doc_to_target: v");
        Assert.That(TaskFiles.Scores(lists, "exact_match", "y", "cat", "a"), Is.EqualTo(new double[] { 1, 0, 1 }));
        var texts = files.Task("""[{"q": "a", "v": "cat"}, {"q": "b", "v": ["x", "y"]}, {"q": "b", "v": ["x", "y"]}]""", Generation + "doc_to_target: v");
        Assert.That(TaskFiles.Scores(texts, "exact_match", "cat", "x", "['x', 'y']"), Is.EqualTo(new double[] { 1, 0, 1 }));
        var broken = files.Task("""[{"q": "a", "v": ["x"]}, {"q": "b", "v": null}]""", Generation + "doc_to_target: v");
        Assert.That(() => TaskFiles.Scores(broken, "exact_match", "x", "y"), Throws.TypeOf<UserErrorException>().With.Message.Contains("the answer None, and the first row a list"));
    }

    [Test]
    public void A_place_among_the_choices_is_counted_as_Python_counts()
    {
        using var files = new TaskFiles();
        var task = files.Task(TaskFiles.Lines("-1", "1"), "output_type: generate_until\ndoc_to_text: q\ndoc_to_choice: [x, y, z]\ndoc_to_target: v\nmetric_list: [{ metric: exact_match }]");
        Assert.That(TaskFiles.Scores(task, "exact_match", "z", "y"), Is.EqualTo(new double[] { 1, 1 }));
        var outside = files.Task(TaskFiles.Lines("3"), "output_type: generate_until\ndoc_to_text: q\ndoc_to_choice: [x, y, z]\ndoc_to_target: v\nmetric_list: [{ metric: exact_match }]");
        Assert.That(() => TaskFiles.Scores(outside, "exact_match", "z"), Throws.TypeOf<UserErrorException>().With.Message.Contains("the answer 3 of 3 choices"));
    }

    [Test]
    public void An_answer_that_cannot_be_read_is_named_with_filter_and_item()
    {
        using var files = new TaskFiles();
        var task = files.Task(TaskFiles.Lines("1", "2"), Generation + "doc_to_target: v\nfilter_list: [{ name: second, filter: [{ function: regex, regex_pattern: '[0-9]', group_select: 1 }, { function: take_first }] }]");
        Assert.That(() => TaskFiles.Scores(task, "exact_match", "1 1", "2"), Throws.TypeOf<UserErrorException>().With.Message.Contains("filter 'second', item 1: group_select is 1; the text has 1 matches"));
    }

    // The first choice is the likeliest; only the last is greedy.
    private static double[] Chosen(IBenchmark task, string metric) =>
        [.. task.Items().Select(item => task.Score(item, [new EvalResponse(-1, 1, false), new EvalResponse(-2, 1, true)])[0].Scores[metric])];

    [TestCase("true false", "0 1", "1 0")]
    [TestCase("0 7 -1", "1 0 0", "0 0 1")]
    [TestCase("0 4294967296", "1 0", "0 0")]
    [TestCase("\"x\" \"none\"", "1 0", "0 0")]
    [TestCase("[0,7] [7]", "1 0", "0 0")]
    public void Labels_are_places_booleans_or_choices_and_others_are_never_right(string values, string acc, string exact)
    {
        using var files = new TaskFiles();
        var task = files.Task(TaskFiles.Lines(values.Split(' ')), "output_type: multiple_choice\ndoc_to_text: 'q'\ndoc_to_choice: [x, y]\ndoc_to_target: v\nmetric_list: [{ metric: acc }, { metric: exact_match }]");
        Assert.That((string.Join(' ', Chosen(task, "acc")), string.Join(' ', Chosen(task, "exact_match"))), Is.EqualTo((acc, exact)));
    }

    [Test]
    public void The_first_label_that_is_no_choice_is_told()
    {
        using var files = new TaskFiles();
        const string Fields = "output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [x, y]\ndoc_to_target: v\nmetric_list: [{ metric: ";
        var said = new List<string>();
        var told = files.Task(TaskFiles.Lines("0", "7", "8"), Fields + "acc }]", warn: said.Add);
        Chosen(told, "acc");
        Assert.That(said, Is.EqualTo(new[] { "task t: item 1 has the answer 7, which is none of its 2 choices; it counts as wrong, and so do others like it" }));
        foreach (var metric in (string[])["f1", "brier_score"])
            Assert.That(() => Chosen(files.Task(TaskFiles.Lines("7"), Fields + metric + " }]"), metric), Throws.TypeOf<UserErrorException>().With.Message.Contains("the answer 7, which is none of its 2 choices"));
        foreach (var none in (string[])["null", "0.5"])
            Assert.That(() => Chosen(files.Task(TaskFiles.Lines(none), Fields + "acc }]"), "acc"), Throws.TypeOf<UserErrorException>().With.Message.Contains($"the answer {none}, which is none"));
    }

    [TestCase("v,w\n1,a\n0,b\n,c\n", 2, "item 0 has the answer 1.0, which is none of its 2 choices (the column 'v' holds 1.0 because it is empty in item 2); mend the row.")]
    [TestCase("v,w\n1,a\n0,b\n,c\n", 0, "item 0 has the answer 1.0, which is none of its 2 choices (the column 'v' holds 1.0 because it is empty in item 2); mend the row.")]
    [TestCase("v,w\n1.5,a\n0,b\n,c\n", 0, "item 0 has the answer 1.5, which is none of its 2 choices; mend the row.")]
    [TestCase("v,w\n1,a\n0.5,b\n,c\n", 0, "item 0 has the answer 1.0, which is none of its 2 choices; mend the row.")]
    [TestCase("v,w\nx,a\ny,b\n,c\n", 0, "item 2 has the answer null, which is none of its 2 choices; mend the row.")]
    public void A_label_that_cannot_be_counted_is_refused_before_a_model_is_asked(string rows, int limit, string error)
    {
        using var files = new TaskFiles();
        var task = files.Task(rows, "output_type: multiple_choice\ndoc_to_text: w\ndoc_to_choice: [x, y]\ndoc_to_target: v\nmetric_list: [{ metric: acc }]", "csv", new TasksOptions { Limit = limit });
        Assert.That(() => task.Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.EndsWith(error));
    }

    [TestCase("lowercase", "İ Σ ΑΣ ẞ", "i\u0307 σ ας ß")]
    [TestCase("uppercase", "Straße ﬁ ŉ", "STRASSE FI ʼN")]
    public void Cases_change_as_Python_changes_them(string filter, string said, string read)
    {
        using var files = new TaskFiles();
        var task = files.Task("{\"q\": \"a\"}\n", $"{Generation}doc_to_target: q\nfilter_list: [{{ name: f, filter: [{{ function: {filter} }}, {{ function: take_first }}] }}]");
        var score = task.Score(task.Items().Single(), [new EvalResponse(0, 0, false) { Texts = [said] }])[0];
        Assert.That((string)score.Answer![0]!, Is.EqualTo(read));
    }

    // str.strip() takes the four information separators for white space, and no space of width 0.
    [TestCase(" \u001c\u001f\u00a0x  y\u3000\n", "x  y", TestName = "White_space_is_what_Python_strips(separators)")]
    [TestCase("\u200bx\t", "\u200bx", TestName = "White_space_is_what_Python_strips(a space of width 0)")]
    [TestCase(" \n", "", TestName = "White_space_is_what_Python_strips(all)")]
    public void White_space_is_what_Python_strips(string said, string read)
    {
        using var files = new TaskFiles();
        var task = files.Task("{\"q\": \"a\"}\n", $"{Generation}doc_to_target: q\nfilter_list: [{{ name: f, filter: [{{ function: remove_whitespace }}, {{ function: take_first }}] }}]");
        var score = task.Score(task.Items().Single(), [new EvalResponse(0, 0, false) { Texts = [said] }])[0];
        Assert.That((string)score.Answer![0]!, Is.EqualTo(read));
    }

    private const string Mapped = "{ function: map, mapping_dict: { the: x, t: y }, default_value: else }", First = "{ function: take_first }";

    // What take_first gave is a text, and the harness goes on with its characters: polemo2 maps the letter that its first one left.
    [TestCase($"{Mapped}, {First}", "the", "x")]
    [TestCase($"{First}, {Mapped}, {First}", "the", "y")]
    [TestCase($"{First}, {Mapped}, {First}", "", "else")]
    [TestCase($"{First}, {First}", "🙂 t", "🙂")]
    [TestCase($"{First}, {{ function: uppercase }}, {{ function: lowercase }}, {First}", "ßa", "ss")]
    public void A_step_after_take_first_reads_the_first_character(string steps, string said, string read)
    {
        using var files = new TaskFiles();
        var task = files.Task("{\"q\": \"a\"}\n", $"{Generation}doc_to_target: q\nfilter_list: [{{ name: f, filter: [{steps}] }}]");
        var score = task.Score(task.Items().Single(), [new EvalResponse(0, 0, false) { Texts = [said] }])[0];
        Assert.That((string)score.Answer![0]!, Is.EqualTo(read));
    }

    [Test]
    public void A_filter_with_a_step_after_its_last_take_first_is_refused()
    {
        using var files = new TaskFiles();
        Assert.That(() => files.Task("{\"q\": \"a\"}\n", $"{Generation}doc_to_target: q\nfilter_list: [{{ name: f, filter: [{First}, {Mapped}] }}]").Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.EndsWith("filter 'f' has a step after its last take_first, which lm-evaluation-harness applies to each character by itself; put take_first last."));
    }

    // What PyYAML's FullLoader made of the same keys: those that are no texts are never found.
    [TestCase("1: x, b: x", "1", "else")]
    [TestCase("'1': x, b: x", "1", "x")]
    [TestCase("!!str 1: x, b: x", "1", "x")]
    [TestCase("yes: x, b: x", "yes", "else")]
    [TestCase("\"yes\": x, b: x", "yes", "x")]
    [TestCase("y: x, b: x", "y", "x")]
    [TestCase("1_0: x, b: x", "1_0", "else")]
    [TestCase("1.5: x, b: x", "1.5", "else")]
    [TestCase("1e5: x, b: x", "1e5", "x")]
    [TestCase("2020-01-02: x, b: x", "2020-01-02", "else")]
    [TestCase("1:30: x, b: x", "1:30", "else")]
    [TestCase("~: x, b: x", "~", "else")]
    [TestCase("0o7: x, b: x", "0o7", "x")]
    public void Keys_of_a_map_that_are_no_texts_are_never_found(string keys, string said, string read)
    {
        using var files = new TaskFiles();
        var warnings = new List<string>();
        var task = files.Task("{\"q\": \"a\"}\n", $"{Generation}doc_to_target: q\nfilter_list: [{{ name: f, filter: [{{ function: map, mapping_dict: {{ {keys} }}, default_value: else }}, {{ function: take_first }}] }}]", warn: warnings.Add);
        var score = task.Score(task.Items().Single(), [new EvalResponse(0, 0, false) { Texts = [said] }])[0];
        Assert.That((string)score.Answer![0]!, Is.EqualTo(read));
        Assert.That(warnings, read == "x" ? Is.Empty : Is.EqualTo(new[] { $"{files.YamlFile}:9: the key {said} of mapping_dict is no text to YAML and equals no answer, as in lm-evaluation-harness; write '{said}' in quotes for the text" }));
    }

    [TestCase("generate_until\ndoc_to_target: '{{[\"b\", v]}}'\nmetric_list: [{ metric: exact_match }, { metric: chrf }]", "metric chrf with several right answers; give one answer for each row")]
    [TestCase("multiple_choice\ndoc_to_choice: [x, y, z]\ndoc_to_target: v\nmetric_list: [{ metric: f1 }]", "metric f1 is of two classes, and the rows have 3 different answers; take it out, or use mcc or acc")]
    public void What_a_metric_cannot_count_is_refused_before_a_model_is_asked(string fields, string error)
    {
        using var files = new TaskFiles();
        Assert.That(() => files.Task(TaskFiles.Lines("0", "1", "2"), "doc_to_text: q\noutput_type: " + fields).Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.Contains(error));
        Assert.That(() => files.Task(TaskFiles.Lines("0", "1", "0"), "doc_to_text: q\noutput_type: " + fields.Replace("chrf", "exact_match").Replace("[{ metric: exact_match }, { metric: exact_match }]", "[{ metric: exact_match }]")).Items().ToList(), Throws.Nothing);
    }

    [Test]
    public void An_example_without_an_answer_is_its_question()
    {
        using var files = new TaskFiles();
        var task = files.Task("""[{"q": "a", "v": true}, {"q": "b", "v": false}, {"q": "c", "v": null}]""", "output_type: multiple_choice\ndoc_to_text: '{{q}}'\ndoc_to_choice: [x, y]\ndoc_to_target: v\nfewshot_split: test\nfewshot_config: { sampler: first_n }\nnum_fewshot: 2\nmetric_list: [{ metric: acc }]", options: new TasksOptions { Limit = 2 });
        Assert.That(TaskFiles.Requests(task).Select(r => ((EvalRequest.LogLikelihood)r[0]).Context), Is.EqualTo(new[] { "b x\n\nca", "a y\n\ncb" }));
    }
}
