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
