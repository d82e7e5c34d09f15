// A third party's adapter, the template's own code under a peft_type of its own: answers with its folders are of one version of its numbers.

namespace PeftAlign.Experiments.Tests;

public sealed class OutsideAdapterTests
{
    private static string Build(Peftalign user, int version)
    {
        var source = Directory.CreateDirectory(user.File($"version {version}")).FullName;
        var template = Path.Combine(Peftalign.Repository, "src", "Host", "Templates", "adapter", "cs", "NAME", "Plugin.cs.template");
        var code = File.ReadAllText(template).Replace("{{Name}}", "Their.Low").Replace("{{Contract}}", "their_low").Replace("\"LORA\"", "\"THEIR_LOW\"").Replace("resultVersion: 1", $"resultVersion: {version}");
        File.WriteAllText(Path.Combine(source, "Plugin.cs"), code);
        var plugins = Directory.CreateDirectory(user.File($"plugins {version}")).FullName;
        Directory.Move(OutsideBuild.Build(source, "Their.Low"), Path.Combine(plugins, "their.low"));
        return plugins;
    }

    [Test]
    public void Eval_goes_on_with_answers_of_one_result_version_alone()
    {
        using var user = new Peftalign();
        var model = Peftalign.Stories;
        var (first, second) = (Build(user, 1), Build(user, 2));
        var (rows, text) = (user.Write("rows.jsonl", "{\"prompt\": \"Once\", \"completion\": \" upon\"}\n"), user.Write("text.txt", "Once upon a time.\n"));
        Outcome Train(string adapter, string plugins) => Peftalign.Call("train", "sft", "--adapter", adapter, "--model", model, "--data", rows, "--out", user.File(adapter), "--max-steps", "1", "--batch-size", "1", "--plugins", plugins, "--threads", "1");
        Outcome Eval(string adapter, string plugins) => Peftalign.Call("eval", "--model", model, "--adapter", Path.Combine(user.File(adapter), "adapter"), "--benchmarks", "perplexity", "--option", $"path={text}", "--plugins", plugins, "--out", user.File("of " + adapter), "--threads", "1");
        foreach (var adapter in (string[])["their_low", "lora"])
        {
            Assert.That(Train(adapter, first) is { Code: 0 }, adapter);
            for (var time = 1; time <= 2; time++) Assert.That(Eval(adapter, first) is { Code: 0 } end && end.Err.Contains("answered already") == (time == 2), $"{adapter}, {time}");
        }
        Assert.That(Eval("lora", second) is { Code: 0 } own && own.Err.Contains("answered already"));
        var other = Eval("their_low", second);
        Assert.That((other.Code, other.Err.Contains("holds answers of another model or adapter")), Is.EqualTo((2, true)), other.All);
    }
}
