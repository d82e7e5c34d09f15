// Options that no manifest could give: refused where a plugin is built, and where its plugin.json is read.

using PeftAlign.Abstractions;

namespace PeftAlign.Plugins.Tests;

public sealed class HostKeyTests
{
    public sealed class Steps { public int MaxSteps { get; set; } }

    public sealed class Spelled { [OptionAlias("optim")] public string Kind { get; set; } = ""; }

    public sealed class Adapters { public string Adapter { get; set; } = ""; }

    public sealed class Quantizations { public string Quantization { get; set; } = ""; }

    public sealed class Names { public string Name { get; set; } = ""; }

    public sealed class Takes { public int Take { get; set; } }

    public sealed class Runs { public string Run { get; set; } = ""; }

    public sealed class Seeds { public int Seed { get; set; } }

    public sealed class Types { public string Type { get; set; } = ""; }

    public sealed class Smoothing { public double LabelSmoothingFactor { get; set; } }

    private static ProvidedContract Describe(string kind, Type options) => ManifestBuilder.Describe(new Factory(kind, "mine", 1, options, (_, _) => new object()), XmlDocs.None);

    [TestCase("method", typeof(Steps), "max_steps")]
    [TestCase("method", typeof(Spelled), "optim")]
    [TestCase("method", typeof(Adapters), "adapter")]
    [TestCase("adapter", typeof(Quantizations), "quantization")]
    [TestCase("quantization", typeof(Types), "type")]
    [TestCase("benchmark", typeof(Names), "name")]
    [TestCase("reader", typeof(Takes), "take")]
    [TestCase("judge", typeof(Runs), "run")]
    [TestCase("tracker", typeof(Types), "type")]
    public void An_option_that_the_host_would_keep_is_refused(string kind, Type options, string taken) =>
        Assert.That(() => Describe(kind, options), Throws.TypeOf<PluginException>().With.Message.StartsWith($"The {kind} 'mine' has an option '{taken}', but beside a {kind}'s options that key is the host's").And.Message.EndsWith($"to mine_{taken}."));

    [TestCase("benchmark", typeof(Steps))]
    [TestCase("merge", typeof(Names))]
    [TestCase("reader", typeof(Names))]
    [TestCase("method", typeof(Smoothing))]
    [TestCase("judge", typeof(Seeds))]
    public void The_same_name_is_free_where_the_host_does_not_read_it(string kind, Type options) =>
        Assert.That(Describe(kind, options).Options.Options, Has.Count.EqualTo(1));

    [Test]
    public void A_plugin_json_with_such_an_option_is_no_usable_plugin()
    {
        using var workshop = new Workshop();
        var folder = workshop.Install("Sample.Words");
        Workshop.Rewrite(folder, manifest =>
        {
            var words = manifest.Provides[0];
            return manifest with { Provides = [words with { Options = new OptionsSchema([.. words.Options.Options.Select(o => o.Name == "most" ? o with { Name = "take" } : o)]) }, .. manifest.Provides.Skip(1)] };
        });
        var failure = workshop.Scan().Failures.Single();
        Assert.That(failure.Message, Does.StartWith($"Plugin sample.words in {folder} cannot be used: The reader 'words' has an option 'take'").And.Contain("Rename"));
    }
}
