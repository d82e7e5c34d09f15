// The padding token of a reward model that is written is the tokenizer's, else its end token, whatever the configuration says: TRL's
// RewardTrainer sets the model's to that. It has a row of the embedding: transformers builds no model around another.

using System.Text.Json.Nodes;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Classifiers;

public sealed class RewardPadTokenTests
{
    // config.json's pad_token_id; pad_token of tokenizer_config.json, which tokenizer.json lacks or has.
    [TestCase(null, "[PAD]", 2)]
    [TestCase(512, "[PAD]", 2)]
    [TestCase(512, "<unk>", 0)]
    [TestCase(3, "[PAD]", 2)]
    [TestCase(3, "<unk>", 0)]
    [TestCase(3, null, 2)]
    [TestCase(null, "<unk>", 0)]
    [TestCase(null, null, 2)]
    public void An_id_without_a_row_is_passed_over(int? configured, string? named, int expected)
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-pad-").FullName;
        try
        {
            File.Copy(Checkout.Fixture("stories260K", "tokenizer.json"), Path.Combine(folder, "tokenizer.json"));
            Change("config.json", "pad_token_id", configured);
            Change("tokenizer_config.json", "pad_token", named);
            Assert.That(RewardFolder.PadToken(folder, TokenizerLoader.Load(folder), 512), Is.EqualTo(expected));
            Assert.That(RewardFolder.PadToken(folder, null, 512), configured is 3 ? Is.EqualTo(3) : Is.Null, "no tokenizer");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        void Change(string name, string key, JsonNode? value)
        {
            var json = JsonNode.Parse(File.ReadAllText(Checkout.Fixture("stories260K", name)))!;
            json[key] = value;
            File.WriteAllText(Path.Combine(folder, name), json.ToJsonString());
        }
    }
}
