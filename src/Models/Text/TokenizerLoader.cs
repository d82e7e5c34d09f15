// Finds out what a tokenizer's folder or file is and reads it.
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Text.Files;
using PeftAlign.Models.Text.SentencePiece;

namespace PeftAlign.Models.Text;

/// <summary>Loads tokenizers: tokenizer.json; sentencepiece's tokenizer.model; GPT-2's vocab.json or encoder.json with merges.txt
/// or vocab.bpe; RoBERTa's dict.txt beside the latter. What is returned is an <see cref="ITokenizerDetails"/> too.</summary>
public static class TokenizerLoader
{
    private static readonly string[] SentencePieceNames =
    [
        "tokenizer.model", "spiece.model", "spm.model", "sentencepiece.bpe.model", "sentencepiece.model", "tokenizer.model.v3",
        "tokenizer.model.v1",
    ];

    /// <summary>Loads the tokenizer of a folder or a file. A folder's tokenizer_config.json, special_tokens_map.json and
    /// added_tokens.json count (tokens that only they name get the next ids); of a file only the roles that tokenizer_config.json beside a tokenizer.json gives.</summary>
    /// <param name="path">A model's folder, or one file: tokenizer.json, a sentencepiece model, a GPT-2 vocabulary with its
    /// merges beside it, or RoBERTa's dict.txt with GPT-2's two files beside it.</param>
    /// <exception cref="TokenizerException">Nothing usable is there; the message names file, field and reason.</exception>
    public static ITokenizer Load(string path)
    {
        if (!Path.Exists(path))
            throw new TokenizerException($"{path}: no such file or folder; give a model folder or a tokenizer file");
        try
        {
            return Directory.Exists(path) ? LoadFolder(path) : new PipelineTokenizer(ReadFile(path));
        }
        catch (InvalidOperationException e)
        {
            // What System.Text.Json says of an escape that stands for half a character.
            throw new TokenizerException($"{path}: a text in the file is not valid Unicode: {e.Message}", e);
        }
    }

    private static PipelineTokenizer LoadFolder(string folder)
    {
        var config = TokenizerConfig.Read(folder);
        var json = Path.Combine(folder, "tokenizer.json");
        if (File.Exists(json)) return new PipelineTokenizer(config.Apply(TokenizerClass.Apply(TokenizerJson.Read(json), config, folder)));
        foreach (var name in SentencePieceNames)
        {
            var model = Path.Combine(folder, name);
            if (File.Exists(model)) return new PipelineTokenizer(ReadSentencePiece(model, config));
        }
        if (Gpt2Of(folder) is { } files)
            return new PipelineTokenizer(Gpt2Files.Framed(config.Apply(files.Read(config, TokenizerClass.Name(config, folder))), config));
        throw new TokenizerException(
            $"{folder}: no tokenizer there; looked for tokenizer.json, {string.Join(", ", SentencePieceNames[..4])}, "
            + "and vocab.json or encoder.json with merges.txt or vocab.bpe");
    }

    /// <summary>GPT-2's or RoBERTa's files where a folder's tokenizer is made of them; null where another file comes before them.</summary>
    internal static Gpt2Files? Gpt2Of(string folder) =>
        SentencePieceNames.Prepend("tokenizer.json").Any(name => File.Exists(Path.Combine(folder, name))) ? null : Gpt2Files.Find(folder);

    private static TokenizerParts ReadFile(string path)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (Path.GetFileName(path) == Gpt2Files.RobertaName) return Gpt2Files.Beside(path).Read(TokenizerConfig.None, "");
        if (!path.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
            return SentencePieceTokenizer.Native(SentencePieceFile.Read(path));
        var root = JsonField.Read(path, out var document);
        using (document)
        {
            if (TokenizerJson.IsTokenizer(root)) return TokenizerConfig.Read(folder).ApplyRoles(TokenizerJson.Read(root));
            var isVocabulary = root.Value.ValueKind == JsonValueKind.Object
                && root.Value.EnumerateObject().FirstOrDefault().Value.ValueKind == JsonValueKind.Number;
            // What is neither is most likely a broken tokenizer.json: say what it lacks.
            return isVocabulary ? Gpt2Files.Beside(path).Read(TokenizerConfig.None, "") : TokenizerJson.Read(root);
        }
    }

    // A bare model file is what sentencepiece makes of it. A model whose folder names a class of tokenizer is what that class
    // makes of it; a class that is not known here may number or split otherwise, so it is refused.
    private static TokenizerParts ReadSentencePiece(string path, TokenizerConfig config)
    {
        var file = SentencePieceFile.Read(path);
        var (addBos, addEos) = (config.AddBos ?? false, config.AddEos ?? false);
        switch (config.ClassName)
        {
            case null: return config.Apply(SentencePieceTokenizer.Native(file, addBos, addEos));
            case var name when name.StartsWith("Deberta", StringComparison.Ordinal): return config.Apply(DebertaFiles.Read(file));
            case var name when file.IsBpe && name.StartsWith("Gemma", StringComparison.Ordinal):
                return config.Apply(SentencePieceTokenizer.Convert(file, SentencePieceLayout.NoPrefix, config.AddBos ?? true, addEos));
            case var name when file.IsBpe && name.Contains("Llama", StringComparison.Ordinal):
                var layout = config.AddPrefixSpace == false ? SentencePieceLayout.NoPrefix
                    : config.Legacy ?? true ? SentencePieceLayout.Legacy : SentencePieceLayout.NonLegacy;
                return config.Apply(SentencePieceTokenizer.Convert(file, layout, config.AddBos ?? true, addEos));
            case var name:
                throw new TokenizerException(
                    $"{path}: tokenizer_config.json says tokenizer_class '{name}', whose ids a sentencepiece model alone does not "
                    + "give; put the model's tokenizer.json into the folder");
        }
    }
}
