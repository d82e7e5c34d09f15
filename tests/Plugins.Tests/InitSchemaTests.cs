// What plugin.json says of an architecture: its InitOptions, so that `init` in a manifest knows them; wrong ones end the build.

using PeftAlign.Abstractions;

namespace PeftAlign.Plugins.Tests;

public sealed class InitSchemaTests
{
    public sealed class Nothing;

    public sealed class Something { public int Rank { get; set; } }

    private sealed class Shape(params InitOption[] options) : IModelArchitecture
    {
        public string ClassName => "MineForCausalLM";

        public IReadOnlyList<InitOption> InitOptions { get; } = options;

        public DecoderSpec Describe(ArchitectureConfig config) => throw new NotSupportedException();
    }

    private static ProvidedContract Describe(params InitOption[] options) =>
        ManifestBuilder.Describe(new Factory("architecture", "mine", 1, typeof(Nothing), (_, _) => new Shape(options)), XmlDocs.None);

    [Test]
    public void An_architectures_options_are_its_keys_of_config_json()
    {
        var options = Describe(new("vocab_size", "integer", null, "[2,)", "Ids."), new("epsilon", "number", "1e-5", "(0,1]", "Added."), new("biased", "boolean", "true", "", "Biases."), new("act", "string", "\"gelu\"", "", "Shape.")).Options.Options;
        Assert.That(options.Select(o => $"{o.Name} {o.Type} {o.Default?.ToJsonString()} {o.RangeText}"),
            Is.EqualTo((string[])["vocab_size long?  at least 2", "epsilon double 1e-5 more than 0 and at most 1", "biased bool true ", "act string \"gelu\" "]));
        Assert.That(options[0].Docs, Is.EqualTo("Ids."));
    }

    [TestCase("whole", "1", "", "the type 'whole'; write integer")]
    [TestCase("integer", "1", "[1,8)", "the range '[1,8)'; write an interval")]
    [TestCase("integer", "1", "[8,1]", "the range '[8,1]'")]
    [TestCase("integer", "1", "1 to 8", "the range '1 to 8'")]
    [TestCase("string", "gelu", "", "the default 'gelu'; write JSON")]
    [TestCase("integer", "0", "[1,)", "option 'size'")]
    [TestCase("integer", "\"x\"", "", "option 'size'")]
    public void A_wrong_one_is_refused_with_its_value(string type, string standard, string range, string said) =>
        Assert.That(() => Describe(new InitOption("size", type, standard, range, "")), Throws.TypeOf<PluginException>().With.Message.Contains("mine").And.Message.Contains(said));

    [Test]
    public void Options_of_a_class_two_of_a_name_and_a_factory_that_fails_are_refused()
    {
        Assert.That(() => Describe(new("a", "integer", "1", "", ""), new("a", "integer", "2", "", "")), Throws.TypeOf<PluginException>().With.Message.Contains("two options named 'a'"));
        Assert.That(() => ManifestBuilder.Describe(new Factory("architecture", "mine", 1, typeof(Something), (_, _) => new Shape()), XmlDocs.None),
            Throws.TypeOf<PluginException>().With.Message.Contains("an option 'rank'").And.Message.Contains("InitOptions"));
        Assert.That(() => ManifestBuilder.Describe(new Factory("architecture", "mine", 1, typeof(Nothing), (context, _) => context.GetService(typeof(string)) ?? throw new InvalidOperationException("no service")), XmlDocs.None),
            Throws.TypeOf<PluginException>().With.Message.Contains("no service").And.Message.Contains("let its factory need none"));
    }
}
