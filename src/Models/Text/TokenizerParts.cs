// What a tokenizer is made of; readers of the file formats fill it in.
using PeftAlign.Abstractions;
using PeftAlign.Models.Text.Decoders;
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.PostProcessors;
using PeftAlign.Models.Text.PreTokenizers;

namespace PeftAlign.Models.Text;

/// <summary>The parts of a tokenizer in the order in which a text passes them. Null: that step does nothing.</summary>
internal sealed record TokenizerParts
{
    public required TokenModel Model { get; init; }
    public Normalizer? Normalizer { get; init; }
    public PreTokenizer? PreTokenizer { get; init; }
    public PostProcessor? PostProcessor { get; init; }

    /// <summary>Null: tokens are joined by a space.</summary>
    public Decoder? Decoder { get; init; }

    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];
    public TruncationOptions? Truncation { get; init; }
    public PaddingOptions? Padding { get; init; }
    public TokenRoles Roles { get; init; } = new();

    /// <summary>Whether special tokens in a text are ordinary text, unless a call says otherwise.</summary>
    public bool SpecialTokensAsText { get; init; }

    /// <summary>Whether decoding ends with <see cref="SpaceCleanUp"/>.</summary>
    public bool CleansUp { get; init; }

    /// <summary>Further ids that are special, beside the special ones of the added tokens.</summary>
    public IReadOnlyList<int> SpecialIds { get; init; } = [];
}

/// <summary>Tokens with a role, as configuration files name them; null: not said.</summary>
internal sealed record TokenRoles(string? Bos = null, string? Eos = null, string? Unk = null, string? Pad = null)
{
    /// <summary>These roles, and where one is not said that of <paramref name="other"/>.</summary>
    public TokenRoles Or(TokenRoles other) => new(Bos ?? other.Bos, Eos ?? other.Eos, Unk ?? other.Unk, Pad ?? other.Pad);

    /// <summary>The tokens that are said.</summary>
    public IEnumerable<string> Tokens => new[] { Bos, Eos, Unk, Pad }.OfType<string>().Distinct();
}
