// Encodes and decodes for ByteTokenizer: splits a text at its special tokens, the rest is bytes.
using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Text;

internal sealed class ByteEncoder : ITokenizer
{
    private static readonly (string Text, int Id)[] Specials =
        [("<s>", ByteTokenizer.Bos), ("</s>", ByteTokenizer.Eos), ("<pad>", ByteTokenizer.Pad)];

    public int VocabularySize => ByteTokenizer.Pad + 1;

    public SpecialTokenIds SpecialTokens { get; } = new(
        ByteTokenizer.Bos, ByteTokenizer.Eos, null, ByteTokenizer.Pad,
        new HashSet<int> { ByteTokenizer.Bos, ByteTokenizer.Eos, ByteTokenizer.Pad });

    public IReadOnlyList<int> EncodeToIds(string text, bool addSpecialTokens = true)
    {
        var ids = new List<int>(text.Length + 1);
        if (addSpecialTokens) ids.Add(ByteTokenizer.Bos);
        var start = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '<' || SpecialAt(text, i) is not { } special) continue;
            AddBytes(ids, text.AsSpan(start, i - start));
            ids.Add(special.Id);
            start = i + special.Text.Length;
            i = start - 1;
        }
        AddBytes(ids, text.AsSpan(start));
        return ids;
    }

    public int CountTokens(string text, bool addSpecialTokens = true) => EncodeToIds(text, addSpecialTokens).Count;

    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = false)
    {
        var bytes = new List<byte>();
        foreach (var id in ids)
        {
            if (id is >= 0 and < 256) bytes.Add((byte)id);
            else if (!skipSpecialTokens && id is >= ByteTokenizer.Bos and <= ByteTokenizer.Pad)
                bytes.AddRange(Encoding.ASCII.GetBytes(Specials[id - ByteTokenizer.Bos].Text));
        }
        return Encoding.UTF8.GetString(bytes.ToArray());
    }

    private static (string Text, int Id)? SpecialAt(string text, int index)
    {
        foreach (var special in Specials)
            if (string.CompareOrdinal(text, index, special.Text, 0, special.Text.Length) == 0) return special;
        return null;
    }

    private static void AddBytes(List<int> ids, ReadOnlySpan<char> text)
    {
        foreach (var b in Encoding.UTF8.GetBytes(text.ToArray())) ids.Add(b);
    }
}
