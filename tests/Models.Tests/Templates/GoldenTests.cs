// Renderings, errors and assistant masks against those that transformers and jinja2 gave.
using System.Text;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Tests.Templates;

public class GoldenTests
{
    private static IEnumerable<TestCaseData> Units() => ChatGolden.Rows("jinja_units.jsonl").Select(
        row => new TestCaseData(row).SetArgDisplayNames(row.GetProperty("id").ToString()));

    private static IEnumerable<string> TemplateNames() => ChatGolden.Rows("cases.jsonl")
        .Select(row => row.GetProperty("template").GetString()!).Distinct();

    [TestCaseSource(nameof(Units))]
    public void UnitRendersAsJinja(JsonElement row)
    {
        Dictionary<string, object?> context = ChatGolden.UnitContext.EnumerateObject()
            .ToDictionary(v => string.Intern(v.Name), v => PyJson.Value(v.Value));
        Check(row, () => new JinjaTemplate("unit", row.GetProperty("template").GetString()!)
            .Render(context, new RenderLimits(), ChatGolden.Now).Text);
    }

    [TestCaseSource(nameof(TemplateNames))]
    public void ConversationsRenderAsTransformers(string name)
    {
        ChatTemplate template = ChatGolden.Template(name);
        int count = 0;
        Assert.Multiple(() =>
        {
            foreach (JsonElement row in ChatGolden.Rows("cases.jsonl").Where(r => r.GetProperty("template").GetString() == name))
            {
                ChatMessage[] messages = ChatGolden.Conversation(row.GetProperty("conversation").GetString()!);
                Check(row, () => template.Render(messages, ChatGolden.Arguments(row.GetProperty("args"))).Text);
                count++;
            }
        });
        Assert.That(count, Is.GreaterThan(50));
    }

    private static void Check(JsonElement row, Func<string> render)
    {
        if (row.TryGetProperty("expected", out JsonElement expected))
        {
            Assert.That(render(), Is.EqualTo(expected.GetString()), () => row.ToString());
            return;
        }

        string type = row.GetProperty("error").GetProperty("type").GetString()!;
        var error = Assert.Throws<ChatTemplateException>(() => render(), row.ToString());
        Assert.That(error?.Kind, Is.EqualTo(ChatGolden.Kind(type)), () => row.ToString());
        if (type is "TemplateError" or "UndefinedError" or "TypeError" or "SecurityError" or "TemplateAssertionError")
            Assert.That(
                error?.Reason, Is.EqualTo(row.GetProperty("error").GetProperty("message").GetString()), () => row.ToString());
    }

    [Test]
    public void AssistantMasksAreThoseOfTransformers()
    {
        ChatTemplate template = ChatGolden.Template("generation");
        var vocabulary = new ByteVocabulary(ChatGolden.Json("qwen2_split_vocabulary.json"));
        int ones = 0, rows = 0;
        foreach (JsonElement row in ChatGolden.Rows("assistant_masks.jsonl"))
        {
            RenderedChat chat = template.Render(
                ChatGolden.Conversation(row.GetProperty("conversation").GetString()!),
                    ChatGolden.Arguments(row.GetProperty("args")));
            Assert.That(chat.Text, Is.EqualTo(row.GetProperty("text").GetString()));
            Assert.That(
                chat.Generated.Select(s => new[] { s.Start, s.End }),
                Is.EqualTo(row.GetProperty("spans_code_points").EnumerateArray().Select(
                    s => new[] { s[0].GetInt32(), s[1].GetInt32() })));
            int[] ids = [.. row.GetProperty("input_ids").EnumerateArray().Select(i => i.GetInt32())];
            int[] expected = [.. row.GetProperty("assistant_masks").EnumerateArray().Select(i => i.GetInt32())];
            Assert.That(AssistantMask.Compute(chat.Generated, vocabulary.Offsets(chat.Text, ids)), Is.EqualTo(expected), () =>
                row.ToString());
            ones += expected.Sum();
            rows++;
        }

        Assert.That((rows, ones), Is.EqualTo((66, ones)).And.Matches<(int, int Ones)>(r => r.Ones > 100));
    }

    [Test]
    public void TheCopiesHereAreTheGoldens()
    {
        string? shared = ChatGolden.Shared("golden/chat");
        if (shared is null) Assert.Ignore("golden/chat is not on this machine: set PEFTALIGN_SHARED to the folder that holds golden/");
        string[] files = Directory.GetFiles(shared!, "*", SearchOption.AllDirectories);
        Assert.That(files, Has.Length.GreaterThan(10));
        foreach (string file in files.Where(f => !f.EndsWith("README.md", StringComparison.Ordinal)))
        {
            string copy = Path.Combine(ChatGolden.Folder, Path.GetRelativePath(shared!, file));
            Assert.That(Packed.Bytes(copy), Is.EqualTo(File.ReadAllBytes(file)), copy);
        }
    }

    /// <summary>
    /// Token offsets of a byte-level vocabulary, read off the ids' bytes: each token covers the code points that its bytes
    /// belong to. The tokenizer composes characters (NFC); the only pair in the goldens that it composes is e + acute.
    /// </summary>
    private sealed class ByteVocabulary(JsonElement vocabulary)
    {
        private readonly byte[][] tokens = [.. vocabulary.EnumerateArray().Select(t => Bytes(t.GetString()!))];

        public List<CodePointSpan> Offsets(string text, int[] ids)
        {
            var owner = new List<(int Start, int End)>();           // per byte of the composed text
            int point = 0;
            for (int i = 0; i < text.Length; point++)
            {
                bool pair = text[i] == 'e' && i + 1 < text.Length && text[i + 1] == '\u0301';
                Rune.DecodeFromUtf16(text.AsSpan(i), out Rune rune, out int units);
                int bytes = pair ? "é"u8.Length : rune.Utf8SequenceLength;
                owner.AddRange(Enumerable.Repeat((point, point + (pair ? 2 : 1)), bytes));
                i += pair ? 2 : units;
                if (pair) point++;
            }

            byte[] all = Encoding.UTF8.GetBytes(text.Replace("e\u0301", "é"));
            var offsets = new List<CodePointSpan>();
            int at = 0;
            foreach (byte[] token in ids.Select(id => tokens[id]))
            {
                Assert.That(all.AsSpan(at, token.Length).SequenceEqual(token), "the ids spell the text");
                offsets.Add(new CodePointSpan(owner[at].Start, owner[at + token.Length - 1].End));
                at += token.Length;
            }

            return offsets;
        }

        /// <summary>GPT-2's letters for bytes: printable ones stand for themselves, the rest from U+0100 on.</summary>
        private static byte[] Bytes(string token)
        {
            int[] odd = [.. Enumerable.Range(0, 256).Where(b => b is < '!' or (> '~' and < 0xA1) or 0xAD)];
            return [.. token.Select(c => (byte)(c >= 256 ? odd[c - 256] : c))];
        }
    }
}
