// What a plan says of an evaluation whose answers are as long as the model's generation_config.json says, not as the task does.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class AnswerLengthForecastTests
{
    private static readonly string Stories = Peftalign.Stories;

    [Test]
    public void A_forecast_counts_the_length_that_the_models_own_file_names()
    {
        using var user = new Peftalign();
        Directory.CreateDirectory(user.File("model"));
        foreach (var file in (string[])["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) File.Copy(Path.Combine(Stories, file), user.File($"model/{file}"));
        user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 40).Select(k => $$"""{"q": "Once upon a time {{k}}", "a": "b"}""" + "\n")));
        JsonNode Forecast(string generation, string kwargs)
        {
            user.Write("model/generation_config.json", generation);
            user.Write("task.yaml", $"task: t\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ test: rows.jsonl }} }}\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\ngeneration_kwargs: {{ {kwargs} }}\n");
            var plan = user.Write("plan.yaml", """
                peftalign: 1
                models: { tiny: { path: model } }
                evaluate: [{ of: untouched, with: [{ type: tasks, path: task.yaml }] }]
                """);
            return JsonNode.Parse(Peftalign.Call("run", plan, "--out", user.Run, "--dry-run", "--json").Out)!["forecast"]!;
        }
        var (shorter, longer) = (Forecast("{}", "max_gen_toks: 20"), Forecast("{}", "max_gen_toks: 300"));
        Assert.That((double)longer["flops"]!, Is.GreaterThan(2 * (double)shorter["flops"]!));
        Assert.That((double)longer["peak_memory_bytes"]!, Is.GreaterThan((double)shorter["peak_memory_bytes"]!));
        Assert.That(Forecast("""{"max_new_tokens": 300}""", "max_gen_toks: 20").ToJsonString(), Is.EqualTo(longer.ToJsonString()));
        Assert.That(Forecast("""{"max_new_tokens": 300}""", "max_gen_toks: 20, until: ''").ToJsonString(), Is.EqualTo(Forecast("{}", "max_gen_toks: 1").ToJsonString()), "an empty stop text ends an answer after one token");
    }
}
