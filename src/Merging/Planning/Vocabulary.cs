// The result's tokens, and for every model the row of its embedding that each of them takes. Ids: those of the base's (or of the
// chosen model's) tokenizer, then added tokens in the order of their code points, so that equal inputs give equal ids. Rules for
// tokens that a model lacks: mergekit 0.1.5. Format: tokenizer.json of the `tokenizers` library.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Merging;

/// <summary>The tokens of one model: text to id, and the entry of added_tokens where it has one.</summary>
internal sealed record TokenTable(IReadOnlyDictionary<string, long> Ids, IReadOnlyDictionary<string, JsonObject> Added, JsonObject Json)
{
    /// <summary>Reads a folder's tokenizer.json; null where there is none.</summary>
    public static TokenTable? Read(InputModel model)
    {
        var file = Path.Combine(model.Folder, "tokenizer.json");
        if (!File.Exists(file)) return null;
        var json = TokenizerJson.Read(file);
        var (ids, added) = (new Dictionary<string, long>(), new Dictionary<string, JsonObject>());
        var rows = model.Config.VocabularySize;
        if ((json["model"] as JsonObject)?["vocab"] is JsonObject vocab)
            foreach (var (token, id) in vocab) ids[token] = TokenizerJson.Id(file, $"model.vocab['{token}']", id);
        else if ((json["model"] as JsonObject)?["vocab"] is JsonArray pieces)
            for (var k = 0; k < pieces.Count; k++) ids[TokenizerJson.Text(file, $"model.vocab[{k}]", (pieces[k] as JsonArray)?.FirstOrDefault())] = k;
        foreach (var token in json["added_tokens"] as JsonArray ?? [])
        {
            var entry = token as JsonObject ?? [];
            var content = TokenizerJson.Text(file, "content of an added token", entry["content"]);
            (ids[content], added[content]) = (TokenizerJson.Id(file, $"id of the added token '{content}'", entry["id"]), entry);
        }
        return new TokenTable(ids.Where(pair => pair.Value < rows).ToDictionary(), added.Where(pair => ids[pair.Key] < rows).ToDictionary(), json);
    }
}

internal sealed class Vocabulary
{
    private readonly Dictionary<string, long> ids;
    private readonly TokenizerConfig config;
    private readonly Dictionary<InputModel, TokenTable> tables;
    private readonly Func<ModelName, InputModel> open;

    private Vocabulary(Dictionary<string, long> ids, TokenizerConfig config, Dictionary<InputModel, TokenTable> tables, InputModel from, Func<ModelName, InputModel> open) =>
        (this.ids, this.config, this.tables, From, this.open) = (ids, config, tables, from, open);

    /// <summary>The model whose other tokenizer files the result takes.</summary>
    public InputModel From { get; }

    /// <summary>tokenizer.json of the result.</summary>
    public JsonObject Json { get; private init; } = [];

    /// <summary>Token to id.</summary>
    public IReadOnlyDictionary<string, long> Ids => ids;

    /// <summary>Rows of the result's embedding, padding included.</summary>
    public long Count => config.PadToMultipleOf is { } multiple ? (ids.Count + multiple - 1) / multiple * multiple : ids.Count;

    /// <summary>Makes the result's vocabulary.</summary>
    /// <param name="config">Which tokenizer is asked for.</param>
    /// <param name="models">Every model; one without a tokenizer counts as having the leader's.</param>
    /// <param name="leader">The base, or the first model.</param>
    /// <param name="open">Opens models that only the tokenizer names.</param>
    /// <param name="faults">Says where the file is wrong, takes warnings.</param>
    public static Vocabulary Of(TokenizerConfig config, IReadOnlyList<InputModel> models, InputModel leader, Func<ModelName, InputModel> open, MergeFaults faults)
    {
        var from = config.Model is { } name ? open(name) : leader;
        var named = config.Tokens.Values.Where(token => token.Model is not null).Select(token => open(token.Model!));
        var tables = new Dictionary<InputModel, TokenTable>();
        foreach (var model in models.Append(from).Concat(named).Distinct())
            if (TokenTable.Read(model) is { } table) tables[model] = table;
        if (!tables.TryGetValue(from, out var basis)) throw faults.Error(config.At, $"{from.Name} has no tokenizer.json, so the result's vocabulary cannot be made; add the file, or leave the tokenizer out where all models share theirs.");
        foreach (var file in OutputFiles.Stripped.Select(name => Path.Combine(from.Folder, name)).Where(File.Exists)) TokenizerJson.Read(file);
        foreach (var model in models.Where(model => !tables.ContainsKey(model)))
        {
            faults.Warn($"{model.Name} has no tokenizer.json; its tokens are taken to be those of {leader.Name}.");
            tables[model] = tables.GetValueOrDefault(leader, basis);
        }
        if (basis.Ids.Count != Highest(basis.Ids) + 1) throw faults.Error(config.At, $"{from.Name}: the ids of its tokenizer have gaps or go beyond the model's vocab_size; a vocabulary cannot be built on it.");
        var ids = new Dictionary<string, long>(basis.Ids);
        var json = StrippedTokenizer.Of(basis.Json, from.Config.VocabularySize);
        var others = config.Source == "union" ? models.SelectMany(model => tables[model].Ids.Keys) : [];
        foreach (var token in others.Concat(config.Tokens.Keys).Where(token => !ids.ContainsKey(token)).Distinct().ToList().Order(CodePoints.Instance))
            Add(token, ids, json, models.Select(model => tables[model].Added.GetValueOrDefault(token)).FirstOrDefault(entry => entry is not null));
        return new Vocabulary(ids, config, tables, from, open) { Json = json };
    }

    /// <summary>The rows of one tensor for the given inputs.</summary>
    /// <param name="models">All models of the slice, among which rows are looked for.</param>
    /// <param name="inputs">Whose tensors will be asked for, the base last.</param>
    /// <param name="origin">The slice's base_model, or the file's; null where neither names one.</param>
    public VocabularyRows Rows(IReadOnlyList<InputModel> models, IReadOnlyList<InputModel> inputs, InputModel? origin)
    {
        var tokens = ids.OrderBy(pair => pair.Value).Select(pair => pair.Key).ToArray();
        long Own(InputModel model, string token) => tables[model].Ids.GetValueOrDefault(token, -1);
        var order = inputs.Concat(models.Where(model => !inputs.Contains(model))).ToArray();
        var (own, shared) = (new long[inputs.Count][], new List<IReadOnlyList<(int Model, long Row)>?>());
        foreach (var token in tokens) shared.Add(Default(token, order, models, origin, Own));
        for (var k = 0; k < inputs.Count; k++)
            own[k] = [.. tokens.Select(token => config.Tokens.GetValueOrDefault(token)?.Force == true ? -1 : Own(inputs[k], token))];
        return new VocabularyRows(own, shared, order, Count);
    }

    // What a model takes that lacks the token: rows whose mean it is; none for zeros; null where no model lacks it.
    private IReadOnlyList<(int, long)>? Default(string token, InputModel[] order, IReadOnlyList<InputModel> models, InputModel? origin, Func<InputModel, string, long> own)
    {
        var having = models.Where(model => own(model, token) >= 0).ToList();
        var given = config.Tokens.GetValueOrDefault(token);
        if (having.Count == models.Count && given?.Force != true) return null; // nobody needs the source, wherever it lies
        if (given is { Zero: false, Model: null }) throw WithoutSource(token, models.First(model => own(model, token) < 0));
        if (given is not null) return Given(token, given, order, own);
        if (origin is not null && having.Contains(origin)) return [(Array.IndexOf(order, origin), own(origin, token))];
        return [.. having.Select(model => (Array.IndexOf(order, model), own(model, token)))];
    }

    private IReadOnlyList<(int, long)> Given(string token, TokenConfig given, InputModel[] order, Func<InputModel, string, long> own)
    {
        if (given.Zero) return [];
        var model = open(given.Model!);
        var row = given.Id ?? own(model, given.Token ?? token);
        if (row < 0 || row >= model.Config.VocabularySize) throw new UserErrorException($"tokenizer.tokens: {model.Name} has no row for '{given.Token ?? token}'{(given.Id is { } id ? $" (id {id})" : "")}.");
        var place = Array.IndexOf(order, model);
        return place >= 0 ? [(place, row)] : throw new UserErrorException($"tokenizer.tokens: {model.Name} gives the row of '{token}' but is not part of this merge; add it with weight 0 or name another model.");
    }

    private static UserErrorException WithoutSource(string token, InputModel lacking) =>
        new($"tokenizer.tokens: {lacking.Name} lacks the token '{token}', for which no source is given; give {{kind: zero}}, a model or a token of one, or leave the token out.");

    private static void Add(string token, Dictionary<string, long> ids, JsonObject json, JsonObject? entry)
    {
        var added = entry?.DeepClone().AsObject() ?? new JsonObject { ["content"] = token, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = true, ["special"] = false };
        added["id"] = ids[token] = ids.Count;
        (json["added_tokens"] ??= new JsonArray()).AsArray().Add(added);
    }

    private static long Highest(IReadOnlyDictionary<string, long> ids) => ids.Count == 0 ? -1 : ids.Values.Max();

    private sealed class CodePoints : IComparer<string>
    {
        public static readonly CodePoints Instance = new();

        // The order of UTF-8 bytes is that of code points.
        public int Compare(string? a, string? b) => System.Text.Encoding.UTF8.GetBytes(a!).AsSpan().SequenceCompareTo(System.Text.Encoding.UTF8.GetBytes(b!));
    }
}
