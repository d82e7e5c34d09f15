// Learning a tokenizer: the merges are those of tokenizers' BpeTrainer, which its golden file holds, and what is written loads and gives
// every text back.
using System.Text.Json.Nodes;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class BpeTrainingTests
{
    private static readonly JsonNode Golden = JsonNode.Parse(File.ReadAllText(Checkout.Fixture("bpe", "golden.json")))!;

    private static string[] Texts => [.. Golden["texts"]!.AsArray().Select(text => (string)text!)];

    private static JsonNode Learned(TemporaryFolder folder, IEnumerable<string> texts, int size, out int made)
    {
        var training = new BpeTraining();
        foreach (var text in texts) training.Add(text);
        made = training.Save(folder.Path, size);
        return JsonNode.Parse(File.ReadAllText(Path.Combine(folder.Path, "tokenizer.json")))!["model"]!;
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(2)]
    public void Vocabulary_and_merges_are_those_of_tokenizers(int which)
    {
        using var folder = new TemporaryFolder();
        var expected = Golden["made"]![which]!;
        var model = Learned(folder, Texts, (int)expected["size"]!, out var made);
        Assert.That(made, Is.EqualTo(expected["vocab"]!.AsObject().Count));
        Assert.That(model["vocab"]!.AsObject().ToDictionary(e => e.Key, e => (int)e.Value!), Is.EquivalentTo(expected["vocab"]!.AsObject().ToDictionary(e => e.Key, e => (int)e.Value!)));
        Assert.That(model["merges"]!.AsArray().Select(m => m!.ToJsonString()), Is.EqualTo(expected["merges"]!.AsArray().Select(m => m!.ToJsonString())));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        foreach (var (text, ids) in Texts.Zip(expected["ids"]!.AsArray()))
            Assert.That(tokenizer.EncodeToIds(text), Is.EqualTo(ids!.AsArray().Select(id => (int)id!)), text);
    }

    [Test]
    public void Order_of_texts_changes_no_byte_and_every_text_comes_back()
    {
        using var folder = new TemporaryFolder();
        using var other = new TemporaryFolder();
        Learned(folder, Texts, 400, out _);
        Learned(other, Texts.Reverse(), 400, out _);
        foreach (var name in (string[])["tokenizer.json", "tokenizer_config.json"])
            Assert.That(File.ReadAllBytes(Path.Combine(other.Path, name)), Is.EqualTo(File.ReadAllBytes(Path.Combine(folder.Path, name))));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        var ids = tokenizer.SpecialTokens;
        Assert.That((ids.Bos, ids.Eos, ids.Pad, tokenizer.VocabularySize), Is.EqualTo(((int?)0, (int?)1, (int?)2, 400)));
        foreach (var text in Texts.Append("né😀\n\0 x").Append("unseen: žluťoučký kůň"))
            Assert.That(tokenizer.Decode(tokenizer.EncodeToIds(text), skipSpecialTokens: true), Is.EqualTo(text));
    }

    [Test]
    public void Texts_without_pairs_give_the_bytes_alone_and_less_is_refused()
    {
        using var folder = new TemporaryFolder();
        Learned(folder, ["a", "b"], 300, out var made);
        Assert.That(made, Is.EqualTo(BpeTraining.Smallest));
        Assert.That(() => new BpeTraining().Save(folder.Path, BpeTraining.Smallest - 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => Learned(folder, Texts, 400, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
    }

    private static void Learned(TemporaryFolder folder, IEnumerable<string> texts, int size, CancellationToken cancel)
    {
        var training = new BpeTraining();
        foreach (var text in texts) training.Add(text);
        training.Save(folder.Path, size, cancel);
    }
}
