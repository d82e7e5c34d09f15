// The same method from a plugin that is built outside the tree, by its own project, against the built product: it trains to the
// same bytes as the product's own.

namespace PeftAlign.Experiments.Tests;

public sealed class OutsidePluginTests
{
    [Test]
    public void The_same_method_from_a_plugin_built_outside_the_tree_gives_the_same_bytes()
    {
        using var user = new Peftalign();
        user.Finish(user.Write("short.yaml", Manifests.Short), "--only", "train/tiny/*");
        using var other = new Peftalign();
        var plugin = Build(other.File("Their.Sft"));
        var text = Manifests.Short.Replace("name: short", $"name: short\nplugins: [peft.lora, eval, data, {{ path: '{plugin}' }}]").Replace("type: sft", "type: their-sft");
        other.Finish(other.Write("theirs.yaml", text), "--only", "train/tiny/*");
        string Metrics(Peftalign run) => File.ReadAllText(Path.Combine(run.Job("train/tiny/world/teach/s3"), "metrics.jsonl"));
        Assert.That(Metrics(other), Is.EqualTo(Metrics(user)));
    }

    // The loss of docs/plugins.md, as it stands there, is DPO's: the same numbers as the product's own.
    [Test]
    public void A_loss_ported_in_under_thirty_lines_trains_as_the_products_own()
    {
        var code = File.ReadAllText(Path.Combine(Peftalign.Repository, "docs", "plugins.md")).Split("```csharp\n// A loss")[1].Split("```")[0];
        Assert.That(code.Split('\n'), Has.Length.LessThan(30));
        using var user = new Peftalign();
        var source = Directory.CreateDirectory(user.File("Their.Loss")).FullName;
        File.WriteAllText(Path.Combine(source, "Loss.cs"), "// A loss" + code);
        var plugin = OutsideBuild.Build(source, "Their.Loss");
        string Manifest(string name, string method) => Manifests.Tiny + $$"""
            name: {{name}}
            seeds: [1]
            plugins: [methods.dpo, peft.lora, data, { path: '{{plugin}}' }]
            datasets:
              world: { reader: synthetic, rows: 40, split: train }
            adapters:
              small: { type: lora, rank: 4, alpha: 8, targets: all-linear }
            methods:
              prefer: { type: {{method}}, adapter: small, beta: 0.2, learning_rate: 5.0e-3, batch_size: 8, max_steps: 4 }
            train:
              - { models: [tiny], datasets: [world], methods: [prefer] }
            """;
        user.Finish(user.Write("theirs.yaml", Manifest("theirs", "margin")), "--only", "train/*");
        var theirs = Losses(user);
        using var other = new Peftalign();
        other.Finish(other.Write("ours.yaml", Manifest("ours", "dpo")), "--only", "train/*");
        Assert.That(theirs, Has.Count.EqualTo(4));
        foreach (var (mine, yours) in theirs.Zip(Losses(other))) Assert.That(mine, Is.EqualTo(yours).Within(1e-5));
    }

    private static List<double> Losses(Peftalign run) =>
        [.. File.ReadLines(Path.Combine(run.Job("train/tiny/world/prefer/s1"), "metrics.jsonl")).Select(line => (double)System.Text.Json.Nodes.JsonNode.Parse(line)!["loss"]!)];

    // The product's sources under another name, with nothing of this tree above them.
    private static string Build(string folder)
    {
        Directory.CreateDirectory(folder);
        var source = Path.Combine(Peftalign.Repository, "plugins", "Methods.Sft");
        foreach (var file in Directory.GetFiles(source, "*.cs"))
            File.WriteAllText(Path.Combine(folder, Path.GetFileName(file)), File.ReadAllText(file).Replace("\"sft\", resultVersion", "\"their-sft\", resultVersion").Replace("PeftAlign.Methods.Sft", "Their.Sft"));
        return OutsideBuild.Build(folder, "Their.Sft");
    }
}
