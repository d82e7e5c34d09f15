// Mistakes that mergekit's golden errors do not have: empty names, tokens without a source, damaged tokenizer files, and places for the
// result that are links, read-only copies or taken by somebody else meanwhile.

using PeftAlign.Abstractions;

namespace PeftAlign.Merging.Tests;

[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public class MistakeTests
{
    private static string Copy(string name)
    {
        var (from, folder) = (Workshop.Golden("models", name), Workshop.Scratch(name));
        foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return folder;
    }

    private static MergePlan Plan(string yaml) => Merger.Plan(yaml, "test.yaml", Workshop.Strategies.Find, path => Path.Combine(Workshop.Golden("models"), path));

    [TestCase("models: [{model: a, parameters: {weight: 1}}, {model: , parameters: {weight: 1}}]", "an entry needs a model")]
    [TestCase("models: [{model: '', parameters: {weight: 1}}]", "'' is no model")]
    [TestCase("models: [{model: \"a\\0\", parameters: {weight: 1}}]", "'a\\0' is no model")]
    [TestCase("models: [{model: a+, parameters: {weight: 1}}]", "'a+' has nothing on a side of its +")]
    [TestCase("models: [{model: a, parameters: {weight: 1}}]\ntokenizer_source: ''", "'' is no model")]
    [TestCase("models: [{model: a, parameters: {weight: 1}}]\nbase_model: ' '", "' ' is no model")]
    [TestCase("models: [{model: a, parameters: {weight: 1}}]\ntokenizer: {source: base, tokens: [x]}", "tokens must be a mapping")]
    [TestCase("models: [{model: a, parameters: {weight: 1}}]\ntokenizer: {source: base, tokens: {x: {force: true}}}", "the token x is forced and has no source")]
    [TestCase("models: [{model: a, parameters: {weight: 1}}]\ntokenizer: {source: base, tokens: {x: {source: ''}}}", "'' is no model")]
    public void IsRefusedWhereItStands(string rest, string words) =>
        Assert.That(() => Plan($"merge_method: linear\n{rest}\n").Dispose(), Throws.InstanceOf<UserErrorException>().With.Message.Contains(words));

    [TestCase("base_model: a\ngate_mode: hidden\nexperts: [{source_model: a, positive_prompts: [x]}]\n", "gate_mode belongs to mergekit-moe")]
    [TestCase("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n---\nmodels: []\n", "put it into a file of its own")]
    public void AnotherToolsConfigurationIsNamed(string yaml, string words) =>
        Assert.That(() => Plan(yaml).Dispose(), Throws.InstanceOf<UserErrorException>().With.Message.Contains(words));

    [Test]
    public void ATokenThatAModelLacksNeedsASource()
    {
        static string Yaml(string token) => $"merge_method: linear\nbase_model: tok-base\nmodels: [{{model: tok-base, parameters: {{weight: 1}}}}, {{model: tok-x, parameters: {{weight: 1}}}}]\ntokenizer: {{source: union, tokens: {{'{token}': {{}}}}}}\n";
        Assert.That(() => Plan(Yaml("nowhere")).Dispose(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("tok-base lacks the token 'nowhere', for which no source is given"));
        Assert.That(() => Plan(Yaml("<pad>")).Dispose(), Throws.Nothing, "all have it");
    }

    [TestCase("tokenizer.json", "", "cannot be read as JSON")]
    [TestCase("tokenizer.json", "{\"model\": {", "cannot be read as JSON")]
    [TestCase("tokenizer.json", "{\"model\": 1, \"model\": 2}", "cannot be read as JSON")]
    [TestCase("tokenizer.json", "[]", "holds no JSON object")]
    [TestCase("tokenizer.json", "{\"model\": {\"vocab\": {\"a\": \"0\"}}}", "model.vocab['a'] is \"0\"; it must be a whole number from 0")]
    [TestCase("tokenizer.json", "{\"model\": {\"vocab\": [\"a\"]}}", "model.vocab[0] is null; it must be a text")]
    [TestCase("tokenizer.json", "{\"added_tokens\": [{\"content\": \"x\"}]}", "id of the added token 'x' is null")]
    [TestCase("tokenizer.json", "{\"added_tokens\": [{\"id\": 3}]}", "content of an added token is null; it must be a text")]
    [TestCase("tokenizer_config.json", "{", "cannot be read as JSON")]
    [TestCase("special_tokens_map.json", "[1]", "holds no JSON object")]
    [TestCase("added_tokens.json", "x", "cannot be read as JSON")]
    public void ADamagedTokenizerIsFoundWhilePlanning(string file, string text, string words)
    {
        var model = Copy("tok-base");
        File.WriteAllText(Path.Combine(model, file), text);
        var yaml = $"merge_method: linear\nbase_model: {model}\ntokenizer_source: union\nmodels: [{{model: {model}, parameters: {{weight: 1}}}}, {{model: tok-x, parameters: {{weight: 1}}}}]\n";
        Assert.That(() => Plan(yaml).Dispose(), Throws.InstanceOf<UserErrorException>().With.Message.Contains(Path.Combine(model, file)).And.Message.Contains(words));
    }

    [Test]
    public void WhatComesFromAReadOnlyFolderCanBeWritten()
    {
        var model = Copy("tok-base");
        foreach (var file in Directory.GetFiles(model)) File.SetUnixFileMode(file, UnixFileMode.UserRead);
        var target = Path.Combine(Workshop.Scratch(), "out");
        using var plan = Plan($"merge_method: linear\nbase_model: {model}\ntokenizer_source: union\nmodels: [{{model: {model}, parameters: {{weight: 1}}}}, {{model: tok-x, parameters: {{weight: 1}}}}]\n");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        foreach (var file in Directory.GetFiles(target)) Assert.That(File.GetUnixFileMode(file) & UnixFileMode.UserWrite, Is.Not.Zero, file);
    }

    [Test]
    public void ALinkLeadsToWhereTheResultGoes()
    {
        var folder = Workshop.Scratch();
        var (place, link) = (Path.Combine(folder, "place"), Path.Combine(folder, "link"));
        Directory.CreateDirectory(place);
        Directory.CreateSymbolicLink(link, place);
        using var plan = Plan("merge_method: passthrough\nmodels: [{model: a}]\n");
        new MergeRunner(plan, new MergeOptions()).Write(link);
        Assert.That(new DirectoryInfo(link).LinkTarget, Is.EqualTo(place));
        Assert.That(File.Exists(Path.Combine(place, "model.safetensors")));
    }

    [Test]
    public void WhatComesToBeThereMeanwhileStaysAndSoDoesTheWork()
    {
        var folder = Workshop.Scratch();
        var target = Path.Combine(folder, "out");
        using var plan = Plan("merge_method: passthrough\nmodels: [{model: a}]\n");
        var runner = new MergeRunner(plan, new MergeOptions());
        var error = Assert.Throws<UserErrorException>(() => runner.Write(target, _ => File.WriteAllText(Path.Combine(Directory.CreateDirectory(target).FullName, "mine"), "mine")))!;
        var kept = Directory.GetDirectories(folder).Single(path => path != target);
        Assert.That(error.Message, Does.Contain(target).And.Contain(kept));
        Assert.That((File.ReadAllText(Path.Combine(target, "mine")), File.Exists(Path.Combine(kept, "model.safetensors"))), Is.EqualTo(("mine", true)));
    }
}
