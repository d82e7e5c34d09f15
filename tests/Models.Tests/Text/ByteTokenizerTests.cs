// The bytes tokenizer: ids are bytes, special tokens are recognised, decoding gives the text back.
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

    [TestCase("")]
    [TestCase("plain")]
    [TestCase("né😀\n\0 x")]
    public void Decoding_gives_the_text_back(string text)
    {
        var tokenizer = ByteTokenizer.Create();
        Assert.That(tokenizer.Decode(tokenizer.EncodeToIds(text), skipSpecialTokens: true), Is.EqualTo(text));
        Assert.That(tokenizer.CountTokens(text), Is.EqualTo(tokenizer.EncodeToIds(text).Count));
    }
}
