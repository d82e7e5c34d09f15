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
