// What mergekit refuses or lets through and we refuse or warn of: each of the golden errors, with the words that help, and nothing written.

using PeftAlign.Abstractions;

namespace PeftAlign.Merging.Tests;

public class RefusalTests
{
    // The word that the message must have; a warning where it begins with "warn:".
    private static readonly Dictionary<string, string[]> Words = new()
    {
        ["ties-without-base"] = ["base_model is required by ties"],
        ["unknown-method"] = ["tiez", "ties"],
        ["slerp-without-t"] = ["parameter t"],
        ["slerp-three-models"] = ["exactly 2"],
        ["slerp-without-base"] = ["base_model is required"],
        ["slerp-filters-leave-a-gap"] = ["parameter t", "model.embed_tokens.weight"],
        ["empty-gradient"] = ["empty list"],
        ["t-is-text"] = ["t must be a finite number", "'half'"],
        ["vocabulary-differs"] = ["vocabularies differ", "22", "25", "tokenizer_source"],
        ["intermediate-size-differs"] = ["shapes differ", "20", "24"],
        ["layer-count-differs"] = ["layer counts differ"],
        ["architecture-differs"] = ["architectures differ", "llama", "mistral"],
        ["tensor-missing-in-one"] = ["model.layers.1.mlp.up_proj.weight", "models/a-lacks-tensor"],
        ["models-and-slices"] = ["exactly one of models, slices and modules"],
        ["neither-models-nor-slices"] = ["exactly one of models, slices and modules"],
        ["both-tokenizer-forms"] = ["tokenizer_source and tokenizer"],
        ["linear-without-weight"] = ["weight", "models/b"],
        ["linear-base-not-listed"] = ["weight", "models/base", "base_model names it"],
        ["weight-is-text"] = ["weight must be", "'much'"],
        ["slice-lengths-differ"] = ["one length"],
        ["layer-range-past-the-end"] = ["past the end", "4 layers"],
        ["layer-range-reversed"] = ["holds no layers"],
        ["layer-range-negative"] = ["holds no layers"],
        ["layer-range-empty"] = ["holds no layers"],
        ["nuslerp-three-models"] = ["exactly 2"],
        ["nuslerp-base-is-one-of-two"] = ["must be a third model"],
        ["della-epsilon-too-large"] = ["density 0.9", "epsilon 0.15"],
        ["model-stock-one-model"] = ["at least 2"],
        ["arcee-three-models"] = ["exactly 2"],
        ["passthrough-two-sources"] = ["exactly 1"],
        ["model-listed-twice"] = ["listed twice"],
        ["dtype-unknown"] = ["bf16", "Did you mean 'bfloat16'"],
        ["out-dtype-unknown"] = ["float13"],
        ["model-does-not-exist"] = ["nowhere"],
        ["two-pluses"] = ["more than one +"],
        ["chat-template-nonsense"] = ["nonsense"],
        ["tokenizer-none-to-use"] = ["tokenizer.json"],
        ["key-misspelt"] = ["parametres", "Did you mean 'parameters'"],
        ["parameter-misspelt"] = ["densty", "Did you mean 'density'"],
        ["parameter-of-another-method"] = ["linear has no parameter 'density'"],
        ["density-above-1"] = ["density is 1.5", "at most 1"],
        ["density-negative"] = ["density is -0.5", "at least 0"],
        ["linear-weights-cancel"] = ["sum to 0"],
        ["nan-in-weights"] = ["models/a-nan", "NaN"],
        ["filter-matches-nothing"] = ["warn:", "the filter 'attention' matches no tensor"],
        ["layer-of-another-base"] = ["layer counts differ"],
        ["weight-is-infinite"] = ["finite"],
        ["not-yaml"] = ["not YAML"],
        ["not-a-mapping"] = ["must be a mapping"],
        ["empty-file"] = [""],
        ["key-twice"] = ["given twice"],
        ["tab-indented"] = [":3:"],
        ["two-documents"] = [""],
        ["python-object"] = ["tag"],
    };

    private static IEnumerable<string> Cases => Words.Keys;

    [Test]
    public void EveryGoldenErrorIsHere() =>
        Assert.That(Workshop.Json(Workshop.Golden("errors.json")).EnumerateArray().Select(c => c.GetProperty("name").GetString()), Is.EquivalentTo(Words.Keys));

    [TestCaseSource(nameof(Cases))]
    public void IsRefusedWithWords(string name)
    {
        var (yaml, words) = (Workshop.Golden("errors", name + ".yml"), Words[name]);
        var folder = Workshop.Scratch("refused");
        var target = Path.Combine(folder, "out");
        if (words[0] == "warn:")
        {
            using var plan = Workshop.Plan(yaml, Workshop.Golden());
            Assert.That(string.Join("\n", plan.Warnings), Does.Contain(words[1]));
            return;
        }
        var error = Assert.Throws<UserErrorException>(() =>
        {
            using var plan = Workshop.Plan(yaml, Workshop.Golden());
            new MergeRunner(plan, new MergeOptions()).Write(target);
        })!;
        TestContext.Out.WriteLine(error.Message);
        foreach (var word in words) Assert.That(error.Message, Does.Contain(word));
        Assert.That(Directory.EnumerateFileSystemEntries(folder), Is.Empty, "nothing may be written");
    }
}
