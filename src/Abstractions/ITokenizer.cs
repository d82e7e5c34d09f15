// What the product and its plugins need from a tokenizer: text to ids and back. Verbs follow Microsoft.ML.Tokenizers.
// ITokenizer is the small contract that every tokenizer meets; ITokenizerDetails (found with `is`) adds what only some
// callers need: tokens, offsets, pairs, masks, the vocabulary and streaming. All offsets are Unicode code points.
namespace PeftAlign.Abstractions;

/// <summary>Turns text into token ids and ids into text. Implementations are safe for use by several threads at once.</summary>
public interface ITokenizer
{
    /// <summary>One more than the largest id that can occur: the fewest rows that an embedding needs.</summary>
    int VocabularySize { get; }

    /// <summary>Ids of the tokens with a role (begin, end, unknown, padding), as the tokenizer's files declare them.</summary>
    SpecialTokenIds SpecialTokens { get; }

    /// <summary>The ids of <paramref name="text"/>. Special tokens written in the text are recognised where the tokenizer's
    /// format does so (tokenizer.json does, a bare tokenizer.model does not). The whole text is encoded; truncation and padding
    /// that the tokenizer's file asks for are applied by <see cref="ITokenizerDetails.Encode"/> only.</summary>
    /// <param name="text">Any text; a lone surrogate counts as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether what the format puts around a text (for instance a begin token) is added.</param>
    IReadOnlyList<int> EncodeToIds(string text, bool addSpecialTokens = true);

    /// <summary>The number of ids that <see cref="EncodeToIds"/> returns for the same arguments.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="addSpecialTokens">As for <see cref="EncodeToIds"/>.</param>
    int CountTokens(string text, bool addSpecialTokens = true);

    /// <summary>The text of <paramref name="ids"/>. Bytes that are no UTF-8 become U+FFFD. Ids without a token are left
    /// out.</summary>
    /// <param name="ids">Token ids, in order.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out of the text.</param>
    string Decode(IEnumerable<int> ids, bool skipSpecialTokens = false);
}

/// <summary>What a tokenizer can tell beyond ids. Optional: ask with <c>tokenizer is ITokenizerDetails</c>.</summary>
public interface ITokenizerDetails
{
    /// <summary>Encodes one text, or a pair of texts, with tokens, offsets and masks.</summary>
    /// <param name="text">The text.</param>
    /// <param name="pair">The second text of a pair, or null.</param>
    /// <param name="options">How; null takes the defaults of <see cref="EncodeOptions"/>.</param>
    EncodedText Encode(string text, string? pair = null, EncodeOptions? options = null);

    /// <summary>Encodes many texts or pairs; where padding is on, to the longest of them.</summary>
    /// <param name="inputs">Texts, each with the second text of its pair or null.</param>
    /// <param name="options">As for <see cref="Encode"/>.</param>
    IReadOnlyList<EncodedText> EncodeBatch(IReadOnlyList<(string Text, string? Pair)> inputs, EncodeOptions? options = null);

    /// <summary>The token of an id as the vocabulary writes it, or null.</summary>
    /// <param name="id">Any number.</param>
    string? IdToToken(int id);

    /// <summary>The id of a token as the vocabulary writes it, or null.</summary>
    /// <param name="token">The token.</param>
    int? TokenToId(string token);

    /// <summary>A decoder that takes one id at a time, as a generator makes them.</summary>
    /// <param name="skipSpecialTokens">Whether special tokens are left out of the text.</param>
    ITokenStream CreateStream(bool skipSpecialTokens = false);
}

/// <summary>Streaming decode: what it has returned so far, joined, is the decoded text up to the first character that is not
/// complete yet.</summary>
public interface ITokenStream
{
    /// <summary>Takes the next id and returns the text that is certain with it, never half a character; null where there is none.</summary>
    /// <param name="id">The next token id.</param>
    string? Step(int id);

    /// <summary>Ends the stream and returns the text that <see cref="Step"/> still held back (incomplete bytes as U+FFFD), or
    /// null.</summary>
    string? Flush();
}

/// <summary>Ids of the tokens with a role; null where the tokenizer has none.</summary>
/// <param name="Bos">Begin of a text.</param>
/// <param name="Eos">End of a text.</param>
/// <param name="Unk">Stands for what the vocabulary cannot write.</param>
/// <param name="Pad">Fills rows of a batch to one length.</param>
/// <param name="All">The ids of all special tokens, those with a role and others.</param>
public sealed record SpecialTokenIds(int? Bos, int? Eos, int? Unk, int? Pad, IReadOnlySet<int> All);

/// <summary>Options of <see cref="ITokenizerDetails.Encode"/>.</summary>
public sealed record EncodeOptions
{
    /// <summary>Whether what the format puts around a text is added. Default true.</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <summary>Whether special tokens written in the text are ordinary text; null takes what the tokenizer's configuration says
    /// (split_special_tokens; without it they are recognised).</summary>
    public bool? SpecialTokensAsText { get; init; }

    /// <summary>How long results are cut; null takes what the tokenizer's file says.</summary>
    public TruncationOptions? Truncation { get; init; }

    /// <summary>How results are filled up; null takes what the tokenizer's file says.</summary>
    public PaddingOptions? Padding { get; init; }
}

/// <summary>Cuts results to a length. Names and meaning as in tokenizer.json (field <c>truncation</c>).</summary>
/// <param name="MaxLength">Ids of a result, special tokens included; <see cref="int.MaxValue"/> never cuts.</param>
/// <param name="Stride">Ids that an overflowing part shares with the one before; less than what fits beside the special
/// tokens.</param>
/// <param name="Strategy">longest_first, only_first or only_second.</param>
/// <param name="FromLeft">Whether the start is cut off rather than the end.</param>
public sealed record TruncationOptions(int MaxLength, int Stride = 0, string Strategy = "longest_first", bool FromLeft = false)
{
    /// <summary>Never cuts, whatever the tokenizer's file says.</summary>
    public static TruncationOptions Off { get; } = new(int.MaxValue);
}

/// <summary>Fills results up with a padding token. Names and meaning as in tokenizer.json (field <c>padding</c>).</summary>
/// <param name="PadId">Id of the padding token.</param>
/// <param name="PadToken">The padding token.</param>
/// <param name="PadTypeId">Type id of a padding position.</param>
/// <param name="Length">Length of every result; null takes the longest of the batch.</param>
/// <param name="MultipleOf">The length is rounded up to a multiple of this; null or 0 does not round.</param>
/// <param name="OnLeft">Whether padding goes before the tokens.</param>
public sealed record PaddingOptions(
    int PadId = 0, string PadToken = "[PAD]", int PadTypeId = 0, int? Length = null, int? MultipleOf = null, bool OnLeft = false)
{
    /// <summary>Never pads, whatever the tokenizer's file says.</summary>
    public static PaddingOptions Off { get; } = new(Length: 0);
}

/// <summary>One encoded text. All lists have one entry per token.</summary>
public sealed record EncodedText
{
    /// <summary>Token ids.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>Tokens as the vocabulary writes them.</summary>
    public required IReadOnlyList<string> Tokens { get; init; }

    /// <summary>Where each token comes from: code points [start, end) of its text; (0, 0) for an added token.</summary>
    public required IReadOnlyList<(int Start, int End)> Offsets { get; init; }

    /// <summary>Number of the word (piece before the subword model) of each token; null for special tokens.</summary>
    public required IReadOnlyList<int?> WordIds { get; init; }

    /// <summary>Type ids: which part of a template each token belongs to.</summary>
    public required IReadOnlyList<int> TypeIds { get; init; }

    /// <summary>1 for a token that the template added, else 0.</summary>
    public required IReadOnlyList<int> SpecialTokensMask { get; init; }

    /// <summary>0 for padding, else 1.</summary>
    public required IReadOnlyList<int> AttentionMask { get; init; }

    /// <summary>The parts that truncation cut off, each a result of its own.</summary>
    public IReadOnlyList<EncodedText> Overflowing { get; init; } = [];
}
