// The bytes tokenizer: ids are bytes, special tokens are recognised, decoding gives the text back, and what it writes loads.
using PeftAlign.Abstractions;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class ByteTokenizerTests
{
    [Test]
    public void Ids_are_bytes_behind_a_begin_token() =>
        Assert.That(ByteTokenizer.Create().EncodeToIds("aé"), Is.EqualTo(new[] { 256, 0x61, 0xC3, 0xA9 }));

    [Test]
    public void Special_tokens_in_the_text_become_one_id() =>
        Assert.That(ByteTokenizer.Create().EncodeToIds("<s>a</s><s", false), Is.EqualTo(new[] { 256, 0x61, 257, 0x3C, 0x73 }));

    [Test]
    public void Roles_are_known()
    {
        var ids = ByteTokenizer.Create().SpecialTokens;
        Assert.That((ids.Bos, ids.Eos, ids.Unk, ids.Pad), Is.EqualTo(((int?)256, (int?)257, (int?)null, (int?)258)));
        Assert.That(ids.All, Is.EquivalentTo(new[] { 256, 257, 258 }));
        Assert.That(ByteTokenizer.Create().VocabularySize, Is.EqualTo(259));
    }

    [Test]
    public void Every_byte_has_its_id()
    {
        var details = (ITokenizerDetails)ByteTokenizer.Create();
        for (var b = 0; b < 256; b++) Assert.That(details.TokenToId(details.IdToToken(b)!), Is.EqualTo(b));
    }

    [TestCase("")]
    [TestCase("plain")]
    [TestCase("né😀\n\0 x")]
    public void Decoding_gives_the_text_back(string text)
    {
        var tokenizer = ByteTokenizer.Create();
        Assert.That(tokenizer.Decode(tokenizer.EncodeToIds(text), skipSpecialTokens: true), Is.EqualTo(text));
        Assert.That(tokenizer.CountTokens(text), Is.EqualTo(tokenizer.EncodeToIds(text).Count));
    }

    [Test]
    public void Half_a_surrogate_pair_counts_as_a_replacement_character() =>
        Assert.That(ByteTokenizer.Create().EncodeToIds("a\uD83D", false), Is.EqualTo(new[] { 0x61, 0xEF, 0xBF, 0xBD }));

    [Test]
    public void Saved_files_load_as_the_same_tokenizer()
    {
        using var folder = new TemporaryFolder();
        ByteTokenizer.Save(folder.Path);
        var (made, loaded) = (ByteTokenizer.Create(), TokenizerLoader.Load(folder.Path));
        foreach (var text in (string[])["", "a b", "<s>né</s>😀<pad>", "\r\n\t"])
        {
            Assert.That(loaded.EncodeToIds(text), Is.EqualTo(made.EncodeToIds(text)));
            Assert.That(loaded.Decode(loaded.EncodeToIds(text)), Is.EqualTo(made.Decode(made.EncodeToIds(text))));
        }
        Assert.That(loaded.SpecialTokens.Eos, Is.EqualTo(ByteTokenizer.Eos));
        Assert.That(loaded.SpecialTokens.Pad, Is.EqualTo(ByteTokenizer.Pad));
        Assert.That(Directory.GetFiles(folder.Path).Select(Path.GetFileName),
            Is.EquivalentTo(new[] { "tokenizer.json", "tokenizer_config.json" }));
    }

    [Test]
    public void Streaming_never_gives_half_a_character()
    {
        var tokenizer = ByteTokenizer.Create();
        var stream = ((ITokenizerDetails)tokenizer).CreateStream();
        var chunks = tokenizer.EncodeToIds("é😀x", false).Select(stream.Step).ToList();
        Assert.That(chunks, Is.EqualTo(new[] { null, "é", null, null, null, "😀", "x" }));
        Assert.That(stream.Step(0xF0), Is.Null);
        Assert.That(stream.Flush(), Is.EqualTo("\uFFFD"));
    }
}
