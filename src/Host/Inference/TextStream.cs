// Text of tokens as they come, never half a character; special tokens are left out.

using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Inference;

internal sealed class TextStream(ITokenizer tokenizer, Action<string> write)
{
    private readonly ITokenStream stream = ((ITokenizerDetails)tokenizer).CreateStream(skipSpecialTokens: true);
    private readonly StringBuilder all = new();

    /// <summary>All that was written.</summary>
    internal string Text => all.ToString();

    internal void Add(int id) => Give(stream.Step(id));

    /// <summary>What was held back.</summary>
    internal void End() => Give(stream.Flush());

    private void Give(string? piece)
    {
        if (string.IsNullOrEmpty(piece)) return;
        all.Append(piece);
        write(piece);
    }
}
