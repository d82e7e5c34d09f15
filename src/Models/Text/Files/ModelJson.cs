// Reads the field "model" of tokenizer.json: BPE, Unigram, WordPiece, WordLevel.
using System.Text.Json;
using PeftAlign.Models.Text.Models;

namespace PeftAlign.Models.Text.Files;

/// <summary>The model part of tokenizer.json.</summary>
internal static class ModelJson
{
    /// <summary>Reads a model.</summary>
    public static TokenModel Read(JsonField field)
    {
        var type = field.Text("type", Guess(field));
        return type switch
        {
            "BPE" => ReadBpe(field),
            "Unigram" => ReadUnigram(field),
            "WordPiece" => ReadWordPiece(field),
            "WordLevel" => ReadWordLevel(field),
            _ => throw TokenizerJson.UnknownType(field, type, "BPE, Unigram, WordPiece, WordLevel"),
        };
    }

    // Old files have no type.
    private static string Guess(JsonField field)
    {
        if (field.Find("merges") is not null) return "BPE";
        if (field.Get("vocab").Value.ValueKind == JsonValueKind.Array) return "Unigram";
        return field.Find("max_input_chars_per_word") is not null ? "WordPiece" : "WordLevel";
    }

    private static Vocabulary ReadVocabulary(JsonField field)
    {
        var vocab = field.Get("vocab");
        if (vocab.Value.ValueKind != JsonValueKind.Object) throw vocab.Error("must be an object of tokens and ids");
        return vocab.Guard(() => new Vocabulary([.. Entries(vocab)]));
    }

    /// <summary>Tokens and ids of a JSON object.</summary>
    public static IEnumerable<KeyValuePair<string, int>> Entries(JsonField vocab)
    {
        foreach (var property in vocab.Value.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.Number || !property.Value.TryGetInt64(out var id)
                || id is < 0 or > Vocabulary.MaxId)
                throw new FormatException($"the id of token '{property.Name}' is {property.Value.GetRawText()}, not a whole number from 0 to {Vocabulary.MaxId}");
            yield return KeyValuePair.Create(property.Name, (int)id);
        }
    }

    private static BpeModel ReadBpe(JsonField field)
    {
        if (field.Find("dropout")?.Number() is { } dropout && dropout != 0)
            throw field.Get("dropout").Error($"{dropout} would make every encoding a random one; set it to null");
        var vocabulary = ReadVocabulary(field);
        var prefix = field.Text("continuing_subword_prefix", "");
        var merges = field.Get("merges");
        var pairs = merges.Items().Select(ReadMerge).ToList();
        var table = merges.Guard(() => Merges(vocabulary, pairs, prefix));
        return new BpeModel(vocabulary, table, new BpeOptions
        {
            UnknownId = UnknownId(field, vocabulary),
            ContinuingSubwordPrefix = prefix,
            EndOfWordSuffix = field.Text("end_of_word_suffix", ""),
            FuseUnk = field.Flag("fuse_unk", false),
            ByteFallback = field.Flag("byte_fallback", false),
            IgnoreMerges = field.Flag("ignore_merges", false),
        });
    }

    // "a b" (a token has no space in it) or ["a", "b"].
    private static (string, string) ReadMerge(JsonField merge)
    {
        if (merge.Value.ValueKind == JsonValueKind.String)
        {
            var parts = merge.Text().Split(' ');
            return parts.Length == 2 ? (parts[0], parts[1]) : throw merge.Error($"'{merge.Text()}' is not a pair of tokens");
        }
        var items = merge.Items().Select(item => item.Text()).ToList();
        return items.Count == 2 ? (items[0], items[1]) : throw merge.Error($"has {items.Count} parts, not two");
    }

    /// <summary>The table of merges, in order of rank. Parts and results must be in the vocabulary.</summary>
    public static MergeTable Merges(Vocabulary vocabulary, IReadOnlyList<(string Left, string Right)> pairs, string prefix = "")
    {
        var table = new MergeTable(pairs.Count);
        for (var rank = 0; rank < pairs.Count; rank++)
        {
            var (left, right) = pairs[rank];
            if (!right.StartsWith(prefix, StringComparison.Ordinal) && prefix != "")
                throw new FormatException($"merge {rank}, '{left} {right}': the second part lacks the prefix '{prefix}'");
            table.Add(Known(left), Known(right), rank, Known(left + right[prefix.Length..]));

            int Known(string token) => vocabulary.Id(token) is var id and >= 0 ? id
                : throw new FormatException($"merge {rank}, '{left} {right}': the token '{token}' is not in the vocabulary");
        }
        return table;
    }

    private static UnigramModel ReadUnigram(JsonField field)
    {
        var entries = new List<KeyValuePair<string, int>>();
        var scores = new List<double>();
        foreach (var item in field.Get("vocab").Items())
        {
            var pair = item.Items().ToList();
            if (pair.Count != 2) throw item.Error("must be a token and its score");
            entries.Add(KeyValuePair.Create(pair[0].Text(), entries.Count));
            scores.Add(pair[1].Number());
        }
        int? unknown = field.Find("unk_id")?.Count();
        if (unknown >= entries.Count)
            throw field.Get("unk_id").Error($"{unknown} is not less than the {entries.Count} tokens of the vocabulary");
        var vocabulary = field.Get("vocab").Guard(() => new Vocabulary(entries));
        var byteFallback = field.Flag("byte_fallback", false);
        return new UnigramModel(vocabulary, [.. scores], null, unknown, byteFallback, singlePrecision: false);
    }

    private static WordPieceModel ReadWordPiece(JsonField field)
    {
        var vocabulary = ReadVocabulary(field);
        var token = field.Text("unk_token", "[UNK]");
        var unknown = vocabulary.Id(token);
        if (unknown < 0) throw field.Error($"unk_token '{token}' is not in the vocabulary; add it");
        return new WordPieceModel(
            vocabulary, unknown, field.Text("continuing_subword_prefix", "##"),
            field.Find("max_input_chars_per_word")?.Count() ?? 100);
    }

    private static WordLevelModel ReadWordLevel(JsonField field)
    {
        var vocabulary = ReadVocabulary(field);
        var unknown = vocabulary.Id(field.Text("unk_token", "<unk>"));
        return new WordLevelModel(vocabulary, unknown < 0 ? null : unknown);
    }

    private static int? UnknownId(JsonField field, Vocabulary vocabulary)
    {
        if (field.Find("unk_token") is not { } token) return null;
        return vocabulary.Id(token.Text()) is var id and >= 0 ? id
            : throw token.Error($"'{token.Text()}' is not in the vocabulary; add it or set unk_token to null");
    }
}
