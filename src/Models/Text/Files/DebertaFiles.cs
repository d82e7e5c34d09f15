// DeBERTa-v2 and v3 as published: spm.model alone, with the layout of their tokenizer class around it.
using PeftAlign.Models.Text.PostProcessors;
using PeftAlign.Models.Text.SentencePiece;

namespace PeftAlign.Models.Text.Files;

/// <summary>A DeBERTa tokenizer out of its sentencepiece model.</summary>
internal static class DebertaFiles
{
    /// <summary>[CLS] A [SEP], [CLS] A [SEP] B [SEP]; [MASK] takes the first id behind the vocabulary where it has
    /// none.</summary>
    public static TokenizerParts Read(SentencePieceFile file)
    {
        var parts = SentencePieceTokenizer.Convert(file, SentencePieceLayout.Deberta, addBos: false, addEos: false);
        var added = parts.AddedTokens.ToDictionary(token => token.Content);
        foreach (var name in (string[])["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
        {
            var id = parts.Model.Vocabulary.Id(name);
            if (id < 0 && name != "[MASK]")
                throw new TokenizerException($"the sentencepiece model has no piece '{name}', which DeBERTa needs");
            added[name] = new AddedToken(id < 0 ? parts.Model.Vocabulary.Size : id, name) { Special = true };
        }
        return parts with
        {
            AddedTokens = [.. added.Values.OrderBy(token => token.Id)],
            PostProcessor = new AroundPostProcessor(("[CLS]", added["[CLS]"].Id), ("[SEP]", added["[SEP]"].Id), isRoberta: false),
            Roles = new TokenRoles("[CLS]", "[SEP]", "[UNK]", "[PAD]"),
        };
    }
}
