// New entries of a vocabulary: special tokens in tokenizer.json (and in tokenizer_config.json's list, where it has one), vocab_size in
// config.json, rows of the embedding and of a head of its own. What transformers' add_special_tokens and resize_token_embeddings
// leave in a folder, but for the rows' first values (the mean of all rows, and noise of standard deviation 0.02).

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Text;
using PeftAlign.Models.Text.Files;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models;

/// <summary>Special tokens that a model gets.</summary>
/// <param name="Ids">Text and id of each.</param>
/// <param name="Vocabulary">Entries that the model has with them.</param>
public sealed record NewTokens(IReadOnlyList<(string Text, int Id)> Ids, long Vocabulary)
{
    private const string TokenizerFile = "tokenizer.json", ConfigFile = "tokenizer_config.json", ModelFile = "config.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Which ids the tokens get over a folder's tokenizer.</summary>
    /// <param name="folder">A model's folder with tokenizer.json, or with the two files of GPT-2's class.</param>
    /// <param name="tokens">Their texts.</param>
    /// <param name="vocabulary">Entries that the model has.</param>
    /// <exception cref="UserErrorException">The folder has no tokenizer.json, or one that lacks tokens of the configuration.</exception>
    public static NewTokens Of(string folder, IReadOnlyList<string> tokens, long vocabulary)
    {
        if (TokenizerOf(folder) is not { } tokenizer)
            throw new UserErrorException($"{folder}: the method adds the tokens {string.Join(", ", tokens)} to the tokenizer, which needs {TokenizerFile}, or vocab.json with merges.txt of GPT-2's class (not RoBERTa's); save the tokenizer with transformers (save_pretrained of a fast tokenizer) and train from that folder.");
        var known = (ITokenizerDetails)TokenizerLoader.Load(folder);
        var (next, ids) = (Largest(tokenizer) + 1, new List<(string, int)>());
        if (known is ITokenizer { VocabularySize: var size } && size > next) // their ids would go to the new tokens
            throw new UserErrorException($"{folder}: {ConfigFile} (or a file beside it) names the token '{known.IdToToken(next)}', which {TokenizerFile} lacks, and the method adds tokens of its own; save the tokenizer with transformers (save_pretrained of a fast tokenizer), so that {TokenizerFile} has all, and train from that folder.");
        foreach (var token in tokens) ids.Add((token, known.TokenToId(token) ?? next++));
        return new NewTokens(ids, Math.Max(vocabulary, next));
    }

    /// <summary>The tokenizer with the tokens.</summary>
    /// <param name="folder">The model's folder.</param>
    public ITokenizer Tokenizer(string folder)
    {
        var scratch = Directory.CreateTempSubdirectory("peftalign-tokens-").FullName;
        try
        {
            ModelFolder.CopyCompanions(folder, scratch, null);
            WriteTokenizer(scratch);
            return TokenizerLoader.Load(scratch);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    /// <summary>The model with rows for the tokens; its other weights are the given model's own tensors.</summary>
    /// <param name="model">The model, which is not used any more.</param>
    /// <param name="seed">Of the rows' noise.</param>
    public DecoderModel Grown(DecoderModel model, ulong seed)
    {
        using var off = torch.no_grad();
        var spec = model.Spec with { Vocabulary = Vocabulary };
        string[] tables = [model.Spec.Names.Embedding + ".weight", .. model.Spec.TiedHead ? (string[])[] : [model.Spec.Names.Head + ".weight"]];
        var bias = model.Spec.Names.Head + ".bias";
        return new DecoderModel(spec, model.Weights.ToDictionary(w => w.Key, w => tables.Contains(w.Key) ? Grown(w.Key, w.Value, seed) : w.Key == bias ? Grown(w.Value) : w.Value));
    }

    /// <summary>Adds the tokens to the files of a folder that holds a copy of the model's.</summary>
    /// <param name="folder">The folder that is being written.</param>
    public void Write(string folder)
    {
        WriteTokenizer(folder);
        var config = Read(folder, ModelFile);
        TextPart.In(config)["vocab_size"] = Vocabulary;
        Write(folder, ModelFile, config);
    }

    // New entries of a bias are its mean; transformers draws them around it, with 1e-9 of its standard deviation.
    private Tensor Grown(Tensor bias)
    {
        using var scope = torch.NewDisposeScope();
        return torch.cat([bias, bias.mean().expand(Vocabulary - bias.size(0))]).DetachFromDisposeScope();
    }

    private Tensor Grown(string name, Tensor rows, ulong seed)
    {
        using var scope = torch.NewDisposeScope();
        var mean = rows.mean([0]); // (d)
        var grown = torch.cat([rows, mean.unsqueeze(0).expand(Vocabulary - rows.size(0), -1)]).contiguous();
        foreach (var (text, id) in Ids)
            grown.select(0, id).copy_(mean + new CounterStream(seed, "new_token", $"{name}/{text}").Normal([rows.size(1)], 0, 0.02).to(rows.dtype, rows.device));
        return grown.DetachFromDisposeScope();
    }

    private void WriteTokenizer(string folder)
    {
        var isNew = !File.Exists(Path.Combine(folder, TokenizerFile));
        var json = TokenizerOf(folder)!;
        var added = json["added_tokens"] as JsonArray ?? [];
        foreach (var (text, id) in Ids.Where(t => added.All(a => (string?)a!["content"] != t.Text))) added.Add(Gpt2Files.Special(id, text));
        if (json["added_tokens"] is null) json["added_tokens"] = added;
        Write(folder, TokenizerFile, json);
        if (isNew) WriteRoles(folder, json);
        if (!File.Exists(Path.Combine(folder, ConfigFile)) || Read(folder, ConfigFile) is not { } config || config["added_tokens_decoder"] is not JsonObject decoder) return;
        foreach (var (text, id) in Ids)
        {
            var entry = Gpt2Files.Special(id, text);
            entry.Remove("id");
            decoder[$"{id}"] = entry;
        }
        Write(folder, ConfigFile, config);
    }

    // tokenizer.json, or what it says where the folder has the two files of which it is made.
    private static JsonObject? TokenizerOf(string folder)
    {
        if (File.Exists(Path.Combine(folder, TokenizerFile))) return Read(folder, TokenizerFile);
        var config = TokenizerConfig.Read(folder);
        return TokenizerLoader.Gpt2Of(folder)?.ToJson(config, TokenizerClass.Name(config, folder));
    }

    // The two files' class knows which token ends a text; beside a tokenizer.json the configuration says it.
    private static void WriteRoles(string folder, JsonObject tokenizer)
    {
        var config = File.Exists(Path.Combine(folder, ConfigFile)) ? Read(folder, ConfigFile) : new JsonObject { ["tokenizer_class"] = "GPT2Tokenizer" };
        if (tokenizer["model"]!["vocab"]![Gpt2Files.End] is not null)
            foreach (var role in (string[])["bos_token", "eos_token", "unk_token"])
                if (config[role] is null) config[role] = Gpt2Files.End;
        Write(folder, ConfigFile, config);
    }

    private static int Largest(JsonObject tokenizer)
    {
        var ids = (tokenizer["added_tokens"] as JsonArray ?? []).Select(a => (int)a!["id"]!);
        return ids.Concat(tokenizer["model"]?["vocab"] switch
        {
            JsonObject named => named.Select(v => (int)v.Value!),
            JsonArray listed => [listed.Count - 1],
            _ => [],
        }).DefaultIfEmpty(-1).Max();
    }

    private static JsonObject Read(string folder, string file) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, file)))!.AsObject();

    private static void Write(string folder, string file, JsonObject json) => AtomicFile.Write(Path.Combine(folder, file), json.ToJsonString(Indented) + "\n");
}
