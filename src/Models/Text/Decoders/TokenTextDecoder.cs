// Ids to text. The two common decoders (byte-level; sentencepiece's with byte fallback) look up each token's bytes in a table
// made once; any other goes through its steps.
using System.Text;

namespace PeftAlign.Models.Text.Decoders;

/// <summary>Decodes ids for one tokenizer.</summary>
internal abstract class TokenTextDecoder
{
    /// <summary>The text of ids; ids without a token are left out.</summary>
    public abstract string Decode(IEnumerable<int> ids);

    /// <summary>The fastest decoder that does what <paramref name="decoder"/> does.</summary>
    public static TokenTextDecoder For(Decoder? decoder, int size, Func<int, string?> tokenOf)
    {
        if (decoder is ByteLevelDecoder) return new ByteTableDecoder(size, tokenOf, decoder, false, 0);
        if (decoder is SequenceDecoder sequence
            && sequence.Steps is [ReplaceDecoder { IsLiteral: true } replace, ByteFallbackDecoder, FuseDecoder, ..])
        {
            if (sequence.Steps.Count == 3) return new ByteTableDecoder(size, tokenOf, replace, true, 0);
            if (sequence.Steps.Count == 4 && sequence.Steps[3] is StripDecoder { SpacesAtStart: { } spaces })
                return new ByteTableDecoder(size, tokenOf, replace, true, spaces);
        }
        return new StepDecoder(decoder, tokenOf);
    }

    private sealed class StepDecoder(Decoder? decoder, Func<int, string?> tokenOf) : TokenTextDecoder
    {
        public override string Decode(IEnumerable<int> ids)
        {
            var tokens = ids.Select(tokenOf).OfType<string>().ToList();
            return decoder is null ? string.Join(' ', tokens) : string.Concat(decoder.Decode(tokens));
        }
    }
}

/// <summary>Decoding by a table of bytes per id.</summary>
internal sealed class ByteTableDecoder : TokenTextDecoder
{
    private readonly byte[]?[] _bytes;
    private readonly bool[] _isByte;        // tokens <0xNN>, whose runs must be UTF-8
    private readonly int _strip;

    /// <param name="size">Ids are less than this.</param>
    /// <param name="tokenOf">Token by id.</param>
    /// <param name="perToken">What is done to each token: ByteLevel or Replace.</param>
    /// <param name="byteFallback">Whether tokens &lt;0xNN&gt; are bytes.</param>
    /// <param name="strip">Spaces to remove from the start of the text, if they are there.</param>
    public ByteTableDecoder(int size, Func<int, string?> tokenOf, Decoder perToken, bool byteFallback, int strip)
    {
        (_bytes, _isByte, _strip) = (new byte[]?[size], new bool[size], strip);
        for (var id = 0; id < size; id++)
        {
            if (tokenOf(id) is not { } token) continue;
            if (byteFallback && ByteFallbackDecoder.ByteOf(perToken.Decode([token])[0]) is { } value)
                (_bytes[id], _isByte[id]) = ([value], true);
            else _bytes[id] = perToken is ByteLevelDecoder ? ByteLevelDecoder.BytesOf(token)
                : Encoding.UTF8.GetBytes(perToken.Decode([token])[0]);
        }
    }

    public override string Decode(IEnumerable<int> ids)
    {
        var buffer = new byte[256];
        var (count, run) = (0, 0);
        foreach (var id in ids)
        {
            if ((uint)id >= (uint)_bytes.Length || _bytes[id] is not { } bytes) continue;
            if (run > 0 && !_isByte[id]) EndRun(ref buffer, ref count, ref run);
            Reserve(ref buffer, count + bytes.Length);
            bytes.CopyTo(buffer, count);
            count += bytes.Length;
            if (_isByte[id]) run++;
        }
        if (run > 0) EndRun(ref buffer, ref count, ref run);
        var start = 0;
        while (start < _strip && start < count && buffer[start] == ' ') start++;
        return Encoding.UTF8.GetString(buffer, start, count - start);
    }

    // A run of byte tokens that is no UTF-8 becomes one U+FFFD per byte.
    private static void EndRun(ref byte[] buffer, ref int count, ref int run)
    {
        var bytes = run;
        run = 0;
        if (System.Text.Unicode.Utf8.IsValid(buffer.AsSpan(count - bytes, bytes))) return;
        count -= bytes;
        Reserve(ref buffer, count + 3 * bytes);
        for (var i = 0; i < bytes; i++)
        {
            "\uFFFD"u8.CopyTo(buffer.AsSpan(count));
            count += 3;
        }
    }

    private static void Reserve(ref byte[] buffer, int size)
    {
        if (size > buffer.Length) Array.Resize(ref buffer, Math.Max(size, buffer.Length * 2));
    }
}
