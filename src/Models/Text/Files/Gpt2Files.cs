// GPT-2's two files (a vocabulary in JSON and a list of merges) and RoBERTa's: the same merges, and the vocabulary either in
// the same form or as fairseq's dict.txt, whose lines name GPT-2 ids. OPT has RoBERTa's vocabulary under GPT-2's class.

using System.Text.Json.Nodes;
using PeftAlign.Models.Text.Decoders;
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.PostProcessors;
using PeftAlign.Models.Text.PreTokenizers;

namespace PeftAlign.Models.Text.Files;

/// <summary>Paths of the files of a GPT-2 or RoBERTa tokenizer. Dict: fairseq's dict.txt, or null.</summary>
internal sealed record Gpt2Files(string Vocabulary, string Merges, string? Dict)
{
    /// <summary>The name of fairseq's dictionary.</summary>
    public const string RobertaName = "dict.txt";

    /// <summary>GPT-2's only token with a role, in all three.</summary>
    public const string End = "<|endoftext|>";

    private static readonly string[] VocabularyNames = ["vocab.json", "encoder.json"];
    private static readonly string[] MergesNames = ["merges.txt", "vocab.bpe"];

    /// <summary>The files of a folder, or null.</summary>
    public static Gpt2Files? Find(string folder)
    {
        var vocabulary = First(folder, VocabularyNames);
        var merges = First(folder, MergesNames);
        return vocabulary is null || merges is null ? null : new Gpt2Files(vocabulary, merges, First(folder, [RobertaName]));
    }

    /// <summary>The files beside a vocabulary or dict.txt.</summary>
    public static Gpt2Files Beside(string path)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var isDict = Path.GetFileName(path) == RobertaName;
        var vocabulary = isDict ? First(folder, VocabularyNames) : path;
        var merges = First(folder, MergesNames);
        if (vocabulary is null) throw new TokenizerException($"{path}: needs {string.Join(" or ", VocabularyNames)} beside it");
        if (merges is null) throw new TokenizerException($"{path}: needs {string.Join(" or ", MergesNames)} beside it");
        return new Gpt2Files(vocabulary, merges, isDict ? path : null);
    }

    /// <summary>Reads the tokenizer. The classes of the `transformers` library for these files, with their defaults.</summary>
    /// <param name="config">What lies beside them.</param>
    /// <param name="className">The folder's class; another than GPT-2's counts by its vocabulary.</param>
    public TokenizerParts Read(TokenizerConfig config, string className)
    {
        var entries = ReadVocabulary();
        var merges = ReadMerges();
        if (Dict is not null) entries = RobertaVocabulary(entries);
        var vocabulary = Guard(Vocabulary, () => new Vocabulary([.. entries]));
        var isRoberta = IsRoberta(className, name => vocabulary.Id(name) >= 0);
        var model = Guard(Merges, () => new BpeModel(vocabulary, ModelJson.Merges(vocabulary, merges), new BpeOptions
        {
            UnknownId = isRoberta ? null : vocabulary.Id(End) is var id and >= 0 ? id : null,
        }));
        var space = config.AddPrefixSpace ?? false;
        return new TokenizerParts
        {
            Model = model,
            PreTokenizer = new ByteLevelPreTokenizer(space, useRegex: true),
            PostProcessor = isRoberta
                ? new SequencePostProcessor([new ByteLevelPostProcessor(true, space),
                    new AroundPostProcessor(("<s>", vocabulary.Id("<s>")), ("</s>", vocabulary.Id("</s>")), isRoberta: true)])
                : new ByteLevelPostProcessor(trimOffsets: false, space),
            Decoder = new ByteLevelDecoder(),
            AddedTokens = [.. Specials(vocabulary, isRoberta)],
            Roles = isRoberta ? new TokenRoles("<s>", "</s>", "<unk>", "<pad>")
                : new TokenRoles(End, End, End),
        };
    }

    /// <summary>With begin and end token around a text where the configuration asks for them (OPT's add_bos_token) and nothing else does.</summary>
    /// <param name="parts">With all roles and added tokens.</param>
    /// <param name="config">What lies beside the files.</param>
    public static TokenizerParts Framed(TokenizerParts parts, TokenizerConfig config)
    {
        if (parts.PostProcessor is not ByteLevelPostProcessor) return parts;
        var frame = Gpt2Frame.Of(config, parts.Roles.Bos, parts.Roles.Eos, token => parts.AddedTokens.FirstOrDefault(added => added.Content == token)?.Id ?? parts.Model.Vocabulary.Id(token));
        return frame is null ? parts : parts with { PostProcessor = frame.Processor() };
    }

    /// <summary>GPT-2's tokenizer as tokenizer.json, for what needs that file; null where the files are RoBERTa's.</summary>
    /// <param name="config">What lies beside them.</param>
    /// <param name="className">As for reading: OPT's vocabulary is RoBERTa's, its tokenizer GPT-2's.</param>
    public JsonObject? ToJson(TokenizerConfig config, string className)
    {
        var (entries, merges) = (ReadVocabulary(), ReadMerges());
        var ids = new Dictionary<string, int>(entries);
        if (IsRoberta(className, ids.ContainsKey)) return null;
        JsonObject ByteLevel(bool trim) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = config.AddPrefixSpace ?? false, ["trim_offsets"] = trim, ["use_regex"] = true };
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. entries.Where(entry => entry.Key == End).Select(entry => Special(entry.Value, End))]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = ByteLevel(true),
            ["post_processor"] = Gpt2Frame.Of(config, config.Roles.Bos ?? End, config.Roles.Eos ?? End, token => ids.GetValueOrDefault(token, -1))?.ToJson() ?? ByteLevel(false),
            ["decoder"] = ByteLevel(true),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = ids.ContainsKey(End) ? End : null,
                ["continuing_subword_prefix"] = "",
                ["end_of_word_suffix"] = "",
                ["fuse_unk"] = false,
                ["vocab"] = new JsonObject(entries.Select(entry => KeyValuePair.Create<string, JsonNode?>(entry.Key, entry.Value))),
                ["merges"] = new JsonArray([.. merges.Select(merge => new JsonArray(merge.Item1, merge.Item2))]),
            },
        };
    }

    /// <summary>A token with a role, as added_tokens lists it.</summary>
    public static JsonObject Special(int id, string content) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };

    private bool IsRoberta(string className, Func<string, bool> has) =>
        Dict is not null || (className != "GPT2Tokenizer" && ((string[])["<s>", "</s>", "<mask>"]).All(has));

    private static IEnumerable<AddedToken> Specials(Vocabulary vocabulary, bool isRoberta)
    {
        foreach (var name in isRoberta ? (string[])["<s>", "<pad>", "</s>", "<unk>", "<mask>"] : [End])
            if (vocabulary.Id(name) is var id and >= 0)
                yield return new AddedToken(id, name) { Special = true };
    }

    private List<KeyValuePair<string, int>> ReadVocabulary()
    {
        var root = JsonField.Read(Vocabulary, out var document);
        using (document) return root.Guard(() => ModelJson.Entries(root).ToList());
    }

    // Lines "left right"; a first line "#version" is a comment.
    private List<(string, string)> ReadMerges()
    {
        var merges = new List<(string, string)>();
        var number = 0;
        foreach (var line in Lines(Merges))
        {
            number++;
            if (line == "" || (number == 1 && line.StartsWith("#version", StringComparison.Ordinal))) continue;
            var parts = line.Split(' ');
            if (parts.Length != 2) throw new TokenizerException($"{Merges}: line {number}: '{line}' is not a pair of tokens");
            merges.Add((parts[0], parts[1]));
        }
        return merges;
    }

    // <s> <pad> </s> <unk>, then the lines of dict.txt (a GPT-2 id, or a filler word), then <mask>.
    private List<KeyValuePair<string, int>> RobertaVocabulary(List<KeyValuePair<string, int>> gpt2)
    {
        var tokens = gpt2.ToDictionary(entry => entry.Value, entry => entry.Key);
        var words = new List<string> { "<s>", "<pad>", "</s>", "<unk>" };
        var number = 0;
        foreach (var line in Lines(Dict!))
        {
            number++;
            if (line == "") continue;
            var word = line.Split(' ')[0];
            if (!int.TryParse(word, System.Globalization.CultureInfo.InvariantCulture, out var id)) words.Add(word);
            else if (tokens.TryGetValue(id, out var token)) words.Add(token);
            else throw new TokenizerException($"{Dict}: line {number}: the id {id} is not in {Vocabulary}");
        }
        words.Add("<mask>");
        return [.. words.Index().Select(word => KeyValuePair.Create(word.Item, word.Index))];
    }

    private static IEnumerable<string> Lines(string path)
    {
        var text = System.Text.Encoding.UTF8.GetString(JsonField.ReadBytes(path, 1L << 28));
        return text.Split('\n').Select(line => line.TrimEnd('\r'));
    }

    private static T Guard<T>(string file, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (Exception e) when (e is FormatException or TokenizerException)
        {
            throw new TokenizerException($"{file}: {e.Message}", e);
        }
    }

    private static string? First(string folder, string[] names) =>
        names.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
}
