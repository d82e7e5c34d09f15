// What is kept of a conversation whose system message the model's template did not take: the turns that went to the model.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;
using PeftAlign.Models.Templates;

namespace PeftAlign.Eval.Tests;

public sealed class SystemlessTests
{
    private const string Turns = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";

    private static readonly ChatTurn[] Asked = [new("system", "Be kind."), new("user", "Once upon a time")];

    [TestCase("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + Turns, "user")]
    [TestCase(Turns, "system user")]
    public void A_sample_has_the_turns_that_were_sent(string template, string roles)
    {
        EvalRequest[] requests = [new EvalRequest.LogLikelihood("", " there") { Messages = Asked }, new EvalRequest.Generate("") { Messages = Asked, MaxNewTokens = 2 }];
        var model = Models.Stories with { ChatTemplate = new ChatTemplate("t", template) };
        using var runner = new RequestRunner(() => model, null, null, CancellationToken.None);
        var item = new EvalItem("0", []);
        var responses = runner.Answer([runner.Encode(new Asked(item, 0, requests))])[0];
        Assert.That(responses.Select(r => r.WithoutSystem), Is.All.EqualTo(roles == "user"));
        // As records keep them: the samples are written without the model where all was answered before.
        var kept = responses.Select(r => RequestJson.Response(JsonNode.Parse(RequestJson.Of(r).ToJsonString())!)).ToList();
        var folder = Directory.CreateTempSubdirectory("peftalign-systemless-").FullName;
        try
        {
            ResultFiles.Write(folder, [new Evaluated(new BenchmarkInfo("one", 1), [new EvaluatedItem(item, requests, kept, [new ItemScore("0", new Dictionary<string, double> { ["acc"] = 1 })])], [new MetricResult("acc", 1, null, 1, true)])], []);
            var sample = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "samples_one.jsonl")))!;
            foreach (var k in (int[])[0, 1])
                Assert.That(string.Join(' ', sample["arguments"]![$"gen_args_{k}"]!["arg_0"]!.AsArray().Select(m => (string)m!["role"]!)), Is.EqualTo(roles));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
