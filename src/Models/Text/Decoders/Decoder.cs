// The decoders of tokenizer.json: each maps the list of tokens to another one; what remains at the end is joined.
using System.Text;
using PeftAlign.Models.Text.Patterns;

namespace PeftAlign.Models.Text.Decoders;

/// <summary>One step of decoding.</summary>
internal abstract class Decoder
{
    /// <summary>Maps the tokens.</summary>
    public abstract List<string> Decode(List<string> tokens);
}

/// <summary>Several steps, one after the other.</summary>
internal sealed class SequenceDecoder(IReadOnlyList<Decoder> steps) : Decoder
{
    /// <summary>The steps, in order.</summary>
    public IReadOnlyList<Decoder> Steps => steps;

    public override List<string> Decode(List<string> tokens)
    {
        foreach (var step in steps) tokens = step.Decode(tokens);
        return tokens;
    }
}

/// <summary>ByteLevel: characters of the byte alphabet back to bytes. A token with another character stays as it is.</summary>
internal sealed class ByteLevelDecoder : Decoder
{
    public override List<string> Decode(List<string> tokens)
    {
        return [Encoding.UTF8.GetString(tokens.SelectMany(BytesOf).ToArray())];
    }

    /// <summary>The bytes of one token.</summary>
    public static byte[] BytesOf(string token) =>
        token.All(c => ByteAlphabet.ByteOf(c) >= 0)
            ? [.. token.Select(c => (byte)ByteAlphabet.ByteOf(c))]
            : Encoding.UTF8.GetBytes(token);
}

/// <summary>ByteFallback: runs of tokens &lt;0xNN&gt; to the characters they are; if they are none, U+FFFD for each.</summary>
internal sealed class ByteFallbackDecoder : Decoder
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    public override List<string> Decode(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        var bytes = new List<byte>();
        foreach (var token in tokens)
        {
            if (ByteOf(token) is { } value)
            {
                bytes.Add(value);
                continue;
            }
            Flush(bytes, result);
            result.Add(token);
        }
        Flush(bytes, result);
        return result;
    }

    /// <summary>The byte of a token &lt;0xNN&gt;, or null.</summary>
    public static byte? ByteOf(string token)
    {
        if (token.Length != 6 || !token.StartsWith("<0x", StringComparison.Ordinal) || token[5] != '>') return null;
        var digits = token.AsSpan(3, 2);
        return byte.TryParse(digits, System.Globalization.NumberStyles.AllowHexSpecifier, null, out var value) ? value : null;
    }

    private static void Flush(List<byte> bytes, List<string> result)
    {
        if (bytes.Count == 0) return;
        try
        {
            result.Add(Strict.GetString(bytes.ToArray()));
        }
        catch (DecoderFallbackException)
        {
            result.AddRange(Enumerable.Repeat("\uFFFD", bytes.Count));
        }
        bytes.Clear();
    }
}

/// <summary>Fuse: joins all tokens.</summary>
internal sealed class FuseDecoder : Decoder
{
    public override List<string> Decode(List<string> tokens) => [string.Concat(tokens)];
}

/// <summary>Replace, in every token.</summary>
internal sealed class ReplaceDecoder(Pattern pattern, string content) : Decoder
{
    /// <summary>Whether the pattern is a string.</summary>
    public bool IsLiteral => pattern is LiteralPattern;

    public override List<string> Decode(List<string> tokens) => tokens.ConvertAll(Replace);

    private string Replace(string token)
    {
        if (pattern is LiteralPattern literal)
            return literal.Text.Length == 0 ? token : token.Replace(literal.Text, content, StringComparison.Ordinal);
        var text = new StringBuilder();
        var last = 0;
        var cursor = pattern.Matches(token);
        while (cursor.Next(token, out var start, out var end))
        {
            text.Append(token, last, start - last).Append(content);
            last = end;
        }
        return text.Append(token, last, token.Length - last).ToString();
    }
}

/// <summary>Strip: removes up to so many of one character at each end of every token.</summary>
internal sealed class StripDecoder(string content, int start, int stop) : Decoder
{
    /// <summary>How many spaces it removes at the start, if that is all it does; else null.</summary>
    public int? SpacesAtStart => content == " " && stop == 0 ? start : null;

    public override List<string> Decode(List<string> tokens) => tokens.ConvertAll(token =>
    {
        var (from, to) = (0, token.Length);
        for (var i = 0; i < start && token.AsSpan(from).StartsWith(content); i++) from += content.Length;
        for (var i = 0; i < stop && token.AsSpan(from, to - from).EndsWith(content); i++) to -= content.Length;
        return token[from..to];
    });
}

/// <summary>Metaspace: the replacement back to spaces; in the first token it vanishes, unless none was put before the
/// text.</summary>
internal sealed class MetaspaceDecoder(char replacement, bool dropsFirst) : Decoder
{
    public override List<string> Decode(List<string> tokens)
    {
        var result = tokens.ConvertAll(token => token.Replace(replacement, ' '));
        if (dropsFirst && tokens.Count > 0) result[0] = tokens[0].Replace(replacement.ToString(), "");
        return result;
    }
}

/// <summary>BPEDecoder: the suffix becomes a space, but vanishes in the last token.</summary>
internal sealed class BpeSuffixDecoder(string suffix) : Decoder
{
    public override List<string> Decode(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        for (var i = 0; i < tokens.Count; i++)
        {
            var end = i == tokens.Count - 1 ? "" : " ";
            result.Add(suffix.Length == 0 ? tokens[i] : tokens[i].Replace(suffix, end, StringComparison.Ordinal));
        }
        return result;
    }
}
