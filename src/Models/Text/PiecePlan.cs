// How a text becomes ids when nobody asks for offsets. Where words are written in the byte alphabet for a BPE model, that step
// is left out: the model takes the words as they are.
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.Patterns;
using PeftAlign.Models.Text.PreTokenizers;

namespace PeftAlign.Models.Text;

/// <summary>The steps from pieces to tokens, for one tokenizer.</summary>
internal sealed class PiecePlan
{
    private readonly TokenModel _model;
    private readonly List<PreTokenizer> _steps = [];
    private readonly BpeModel? _bytes;              // takes words that are not written in the byte alphabet
    private readonly ByteLevelPreTokenizer? _prefix;
    private readonly PieceScanner? _scanner;

    private PiecePlan(TokenizerParts parts)
    {
        _model = parts.Model;
        Flatten(parts.PreTokenizer);
        NeedsOrigins = _steps.Index().Any(step =>
            step.Item is MetaspacePreTokenizer { Scheme: PrependScheme.First }
                && (step.Index > 0 || parts.Normalizer is not null));
        if (_model is not BpeModel { HasByteAlphabet: true } bpe || _steps.LastOrDefault() is not ByteLevelPreTokenizer last)
            return;
        _bytes = bpe;
        _steps.RemoveAt(_steps.Count - 1);
        if (last.AddPrefixSpace) _prefix = last;
        if (last.UseRegex) _scanner = new Gpt2Scanner();
        else if (_prefix is null && _steps.LastOrDefault() is SplitPreTokenizer { Scanner: { } scanner })
        {
            _scanner = scanner;
            _steps.RemoveAt(_steps.Count - 1);
        }
    }

    /// <summary>Whether a step asks where pieces begin in the original.</summary>
    public bool NeedsOrigins { get; }

    /// <summary>The plan of a tokenizer.</summary>
    public static PiecePlan For(TokenizerParts parts) => new(parts);

    /// <summary>Appends the tokens of all pieces; their offsets mean nothing.</summary>
    public void Tokenize(PreTokenized text, TokenList tokens, ModelScratch scratch, TextPool pool)
    {
        foreach (var step in _steps) step.Apply(text, pool);
        _prefix?.ApplyPrefix(text, pool);
        foreach (var piece in text.Pieces)
        {
            var chars = text.Text.Chars[piece.Start..piece.End];
            if (piece.Id >= 0) tokens.Add(piece.Id, 0, 0);
            else if (_bytes is null) _model.Tokenize(chars, tokens, scratch);
            else if (_scanner is null) _bytes.TokenizeBytes(chars, tokens, scratch);
            else TokenizeWords(chars, tokens, scratch);
        }
    }

    private void TokenizeWords(ReadOnlySpan<char> text, TokenList tokens, ModelScratch scratch)
    {
        for (var start = 0; start < text.Length;)
        {
            var end = _scanner!.Next(text, start);
            _bytes!.TokenizeBytes(text[start..end], tokens, scratch);
            start = end;
        }
    }

    private void Flatten(PreTokenizer? step)
    {
        if (step is SequencePreTokenizer sequence)
            foreach (var part in sequence.Steps) Flatten(part);
        else if (step is not null) _steps.Add(step);
    }
}
