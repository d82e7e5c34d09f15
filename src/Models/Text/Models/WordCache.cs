// Remembers the tokens of short words: texts repeat their words, and a look-up is much faster than merging.
using System.Runtime.InteropServices;

namespace PeftAlign.Models.Text.Models;

/// <summary>Open-addressing table from a word to its tokens. When it is full it starts anew, so its memory is bounded.</summary>
internal sealed class WordCache
{
    /// <summary>Longer words are not kept.</summary>
    public const int MaxWord = 48;

    private const int Slots = 1 << 16, MaxWords = Slots / 2, MaxChars = 1 << 20, MaxTokens = 1 << 19;

    private struct Slot
    {
        public uint Hash;           // 0: free
        public int Chars, Tokens;
        public byte Length, Count;
    }

    private Slot[] _slots = [];
    private char[] _chars = [];
    private TokenList.Token[] _tokens = [];
    private int _words, _charsUsed, _tokensUsed;

    /// <summary>The hash of a word; never 0.</summary>
    public static uint Hash(ReadOnlySpan<char> word)
    {
        var bytes = MemoryMarshal.AsBytes(word);
        var hash = 0x9E3779B97F4A7C15UL ^ (ulong)bytes.Length;
        while (bytes.Length >= 8)
        {
            hash = Mix(hash ^ MemoryMarshal.Read<ulong>(bytes));
            bytes = bytes[8..];
        }
        if (bytes.Length >= 4)
        {
            hash = Mix(hash ^ MemoryMarshal.Read<uint>(bytes));
            bytes = bytes[4..];
        }
        if (bytes.Length >= 2) hash = Mix(hash ^ MemoryMarshal.Read<ushort>(bytes));
        return (uint)(hash >> 32) | 1;
    }

    /// <summary>Appends the tokens of a known word; false where the word is not known.</summary>
    public bool TryGet(ReadOnlySpan<char> word, uint hash, TokenList tokens, int shift)
    {
        if (_slots.Length == 0) return false;
        for (var i = hash >> 16; ; i++)
        {
            ref readonly var slot = ref _slots[i & (Slots - 1)];
            if (slot.Hash == 0) return false;
            if (slot.Hash != hash || !word.SequenceEqual(_chars.AsSpan(slot.Chars, slot.Length))) continue;
            tokens.Add(_tokens.AsSpan(slot.Tokens, slot.Count), shift);
            return true;
        }
    }

    /// <summary>Keeps a word of at most <see cref="MaxWord"/> units with its tokens, whose offsets start at <paramref
    /// name="shift"/>.</summary>
    public void Add(ReadOnlySpan<char> word, uint hash, ReadOnlySpan<TokenList.Token> tokens, int shift)
    {
        if (tokens.Length > byte.MaxValue) return;
        Prepare(word.Length, tokens.Length);
        var i = hash >> 16;
        while (_slots[i & (Slots - 1)].Hash != 0) i++;
        _slots[i & (Slots - 1)] = new Slot
        {
            Hash = hash,
            Chars = _charsUsed,
            Tokens = _tokensUsed,
            Length = (byte)word.Length,
            Count = (byte)tokens.Length,
        };
        word.CopyTo(_chars.AsSpan(_charsUsed));
        foreach (var (id, start, end) in tokens) _tokens[_tokensUsed++] = new TokenList.Token(id, start - shift, end - shift);
        _charsUsed += word.Length;
        _words++;
    }

    private void Prepare(int chars, int tokens)
    {
        if (_slots.Length == 0) _slots = new Slot[Slots];
        if (_words >= MaxWords || _charsUsed + chars > MaxChars || _tokensUsed + tokens > MaxTokens)
        {
            Array.Clear(_slots);
            (_words, _charsUsed, _tokensUsed) = (0, 0, 0);
        }
        if (_charsUsed + chars > _chars.Length) Array.Resize(ref _chars, Math.Max(4096, _chars.Length * 2));
        if (_tokensUsed + tokens > _tokens.Length) Array.Resize(ref _tokens, Math.Max(4096, _tokens.Length * 2));
    }

    private static ulong Mix(ulong value)
    {
        value *= 0xD6E8FEB86659FD93UL;
        return value ^ value >> 32;
    }
}
