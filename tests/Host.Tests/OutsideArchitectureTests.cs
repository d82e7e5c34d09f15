// An architecture that a plugin brings: the plugin is really built and loaded, and its model has transformers' numbers.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Tests.Tokenize;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Host.Tests;

public class OutsideArchitectureTests
{
    private static readonly string Tests = Path.GetDirectoryName(typeof(OutsideArchitectureTests).Assembly.Location)!;

    private static Outcome Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(args).GetAwaiter().GetResult();
        return new Outcome(code, results.ToString(), remarks.ToString());
    }

    [Test]
    public void A_plugins_architecture_has_the_reference_numbers_and_without_it_the_model_is_refused()
    {
        using var scope = torch.NewDisposeScope();
        using var cli = new Cli();
        var model = JudgeCommandTests.Model("starcoder2");
        using var golden = SafetensorsFile.Open(Path.Combine(model, "golden.safetensors"));
        var (ids, logits) = (golden.Tensor("input_ids"), golden.Tensor("logits"));
        var rows = Enumerable.Range(0, (int)ids.size(0)).Select(b => ids.select(0, b).data<long>().ToArray()).ToList();
        var input = cli.Rows(rows.Select(row => new JsonObject
        {
            ["prompt_ids"] = new JsonArray([.. row[..1].Select(id => (JsonNode)id)]),
            ["completion_ids"] = new JsonArray([.. row[1..].Select(id => (JsonNode)id)]),
        }));
        string[] score = ["score", "--model", model, "--in", input, "--per-token", "--threads", "1"];

        var refused = Run(score);
        Assert.That((refused.Code, refused.Out), Is.EqualTo((2, "")));
        Assert.That(refused.Err, Does.Contain($"'starcoder2' is not known; known are {string.Join(", ", ModelArchitectures.BuiltIn.Names)}"));

        var plugins = Directory.CreateDirectory(cli.Path("plugins")).FullName;
        Directory.CreateSymbolicLink(Path.Combine(plugins, "sample.starcoder2"), Path.GetFullPath(Path.Combine(Tests, "..", "..", "Sample.Starcoder2", Path.GetFileName(Tests))));
        var outcome = Run([.. score, "--plugins", plugins]);
        Assert.That((outcome.Code, outcome.Err), Is.EqualTo((0, "")));
        for (var b = 0; b < rows.Count; b++)
        {
            var logProbs = logits.select(0, b).log_softmax(-1);
            var expected = rows[b].Skip(1).Select((id, t) => logProbs[t, id].item<float>()).ToArray();
            Assert.That(outcome.Rows[b].GetProperty("logprobs").EnumerateArray().Select(v => v.GetDouble()).ToArray(), Is.EqualTo(expected.Select(v => (double)v)).Within(1e-4), $"row {b}");
        }

        Directory.CreateSymbolicLink(Path.Combine(plugins, "merge.linear"), Path.GetFullPath(Path.Combine(Tests, "..", "..", "Merge.Linear", Path.GetFileName(Tests))));
        var yaml = cli.Path("mean.yaml");
        File.WriteAllText(yaml, $"merge_method: linear\ndtype: float32\nmodels:\n- {{model: {model}, parameters: {{weight: 1.0}}}}\n");
        var probe = cli.Rows([new JsonObject { ["ids"] = new JsonArray([.. rows[0].Select(id => (JsonNode)id)]) }]);
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, TextWriter.Null, remarks).RunAsync(["merge", yaml, "--out", cli.Path("merged"), "--certificate", "--probe", probe, "--threads", "1", "--plugins", plugins]).GetAwaiter().GetResult();
        Assert.That((code, remarks.ToString()), Is.EqualTo((0, "")));
        var drift = JsonNode.Parse(File.ReadAllText(Path.Combine(cli.Path("merged"), "certificate.json")))!["drift"]!["parents"]![0]!;
        Assert.That(((int?)drift["tokens"], (double?)drift["top1_agreement"]), Is.EqualTo((rows[0].Length - 1, 1.0)), "the certificate loads the plugin's architecture too");
    }
}
