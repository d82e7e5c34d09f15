// What a model folder, or one weights file, holds: facts from its configuration and from the headers of its weights. No
// tensor is made, so libtorch stays closed, unless every number is to be read, or a tied head lies beside its embedding.

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;

namespace PeftAlign.Host.Inspection;

internal sealed class ModelInspection : IDisposable
{
    private static readonly string[] TokenizerFiles = ["tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe", "vocab.txt", "spiece.model"];
    private static readonly string[] HeadNames = ["lm_head.weight", "embed_out.weight"];
    private static readonly string[] EmbeddingNames = ["embed_tokens.weight", "wte.weight", "embed_in.weight"];

    private readonly string path;
    private readonly ModelConfig? config;
    private readonly CheckpointFolder weights;
    private readonly WeightCounts counts;
    private readonly string[] tokenizer;
    private readonly string? template;
    private readonly string? head;
    private readonly string? embedding;
    private bool headDiffers;
    private Verification? verification;

    private ModelInspection(string path)
    {
        this.path = path;
        var isFolder = Directory.Exists(path);
        if (isFolder && !File.Exists(Path.Combine(path, "config.json")) && File.Exists(Path.Combine(path, "adapter_config.json")))
            throw new UserError(path, "is an adapter, not a model", "peftalign adapter info says what it holds");
        config = isFolder ? ModelConfig.Open(path) : null;
        weights = CheckpointFolder.Open(path);
        counts = WeightCounts.Of(weights.Tensors);
        tokenizer = isFolder ? [.. TokenizerFiles.Where(name => File.Exists(Path.Combine(path, name)))] : [];
        template = isFolder ? TemplateOf(path) : null;
        head = HeadNames.FirstOrDefault(weights.Contains);
        embedding = weights.Names.FirstOrDefault(name => EmbeddingNames.Any(end => name == end || name.EndsWith("." + end, StringComparison.Ordinal)));
        headDiffers = HoldsBoth && !weights.AreAlike(embedding!, head!, sample: true);
    }

    /// <summary>Reads headers and configuration.</summary>
    /// <exception cref="Abstractions.UserErrorException">A file is missing or broken.</exception>
    public static ModelInspection Of(string path) => new(path);

    public IReadOnlyList<string> Warnings => headDiffers ? [.. weights.Warnings, TiedHead.Warning(path, embedding!, head!)] : weights.Warnings;

    /// <summary>False once a number that is none was found.</summary>
    public bool IsSound => verification is null or { NonFinite.Count: 0 };

    /// <summary>Reads every tensor to its end.</summary>
    public void Verify(Output output, CancellationToken cancel)
    {
        var (clock, lastSaid, read) = (Stopwatch.StartNew(), 0.0, 0L);
        var found = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var tensor in weights.Tensors)
        {
            cancel.ThrowIfCancellationRequested();
            if (weights.CountNonFinite(tensor.Name) is > 0 and var count) found.Add(tensor.Name, count);
            read += tensor.Bytes;
            if (clock.Elapsed.TotalSeconds - lastSaid < 10) continue;
            lastSaid = clock.Elapsed.TotalSeconds;
            output.Remark($"read {Sizes.Bytes(read)} of {Sizes.Bytes(counts.Bytes)}");
        }
        if (HoldsBoth && !headDiffers && !weights.AreAlike(embedding!, head!))
        {
            headDiffers = true;
            output.Warn(TiedHead.Warning(path, embedding!, head!));
        }
        verification = new Verification(found, clock.Elapsed.TotalSeconds);
    }

    /// <summary>The file that the model's chat template comes from, in the loader's order; null where there is none.</summary>
    private static string? TemplateOf(string folder)
    {
        if (File.Exists(Path.Combine(folder, ChatTemplateLoader.FileName))) return ChatTemplateLoader.FileName;
        string[] files = ["tokenizer_config.json", "chat_template.json"];
        return files.FirstOrDefault(name => File.Exists(Path.Combine(folder, name)) && HasTemplate(Path.Combine(folder, name)));
    }

    private static bool HasTemplate(string file) =>
        StrictJson.Object(file).TryGetProperty("chat_template", out var template) && template.ValueKind is JsonValueKind.String or JsonValueKind.Array;

    private bool HoldsBoth => config?.TieWordEmbeddings == true && head is not null && embedding is not null;

    private string HeadLine => config!.TieWordEmbeddings switch
    {
        false => "of its own",
        true when headDiffers => "of its own: the file holds another one than the embedding, to which config.json ties it",
        true when HoldsBoth => $"tied to the embedding; the file holds a copy{(verification is null ? ", by a sample of both" : "")}",
        true when head is not null => "tied to the embedding, which the file holds as the head",
        _ => "tied to the embedding",
    };

    public JsonNode Document()
    {
        var document = new JsonObject { ["path"] = path };
        if (config is not null) AddConfig(document, config);
        document["parameters"] = counts.Parameters;
        document["tensors"] = weights.Tensors.Count;
        document["bytes"] = counts.Bytes;
        document["files"] = new JsonArray([.. counts.Files.Select(f => (JsonNode)Path.GetFileName(f))]);
        var types = new JsonObject();
        foreach (var type in counts.ByType) types[type.Type] = new JsonObject { ["tensors"] = type.Tensors, ["elements"] = type.Elements, ["bytes"] = type.Bytes };
        document["dtypes"] = types;
        if (config is not null)
        {
            document["tokenizer"] = new JsonArray([.. tokenizer.Select(name => (JsonNode)name)]);
            document["chat_template"] = template;
        }
        document["warnings"] = new JsonArray([.. Warnings.Select(warning => (JsonNode)warning)]);
        if (verification is null) return document;
        var bad = new JsonObject();
        foreach (var (name, count) in verification.NonFinite) bad[name] = count;
        document["verified"] = new JsonObject { ["seconds"] = Math.Round(verification.Seconds, 3), ["non_finite"] = bad };
        return document;
    }

    private void AddConfig(JsonObject document, ModelConfig model)
    {
        document["model_type"] = model.ModelType;
        document["architectures"] = new JsonArray([.. model.Architectures.Select(name => (JsonNode)name)]);
        document["hidden_size"] = model.HiddenSize;
        document["layers"] = model.LayerCount;
        document["heads"] = model.HeadCount;
        document["key_value_heads"] = model.KeyValueHeadCount;
        document["head_dim"] = model.HeadDim;
        document["vocab_size"] = model.VocabularySize;
        document["max_positions"] = model.MaxPositions;
        document["sliding_window"] = model.SlidingWindow;
        document["rope_type"] = TurnsPositions(model) ? model.Rope.Type : null;
        document["dtype"] = model.DType?.ToString().ToLowerInvariant();
        document["tie_word_embeddings"] = model.TieWordEmbeddings;
        document["head_stored"] = head is not null;
        document["head_tied"] = model.TieWordEmbeddings && !headDiffers;
        document["quantization"] = QuantizationOf(model);
    }

    public IEnumerable<string> Lines()
    {
        if (config is not null)
        {
            yield return $"model        {config.ModelType} ({string.Join(", ", config.Architectures.DefaultIfEmpty("no architecture named"))})";
            yield return $"shape        {config.LayerCount} layers, hidden {config.HiddenSize}, {config.HeadCount} heads of {config.HeadDim}, {config.KeyValueHeadCount} for keys and values";
            yield return $"vocabulary   {config.VocabularySize} tokens";
            yield return $"positions    {string.Join(", ", Positions(config))}";
        }
        var files = counts.Files.Count == 1 ? "1 file" : $"{counts.Files.Count} files";
        yield return $"parameters   {Sizes.Count(counts.Parameters)} in {weights.Tensors.Count} tensors, {Sizes.Bytes(counts.Bytes)} in {files}";
        foreach (var type in counts.ByType) yield return $"  {type.Type,-10} {type.Tensors} tensors, {Sizes.Count(type.Elements)} elements, {Sizes.Bytes(type.Bytes)}";
        if (config is not null)
        {
            yield return $"output head  {HeadLine}";
            if (QuantizationOf(config) is { } method) yield return $"quantised    {method}";
            yield return $"tokenizer    {(tokenizer.Length > 0 ? string.Join(", ", tokenizer) : "none found")}";
            yield return $"template     {template ?? "none found"}";
        }
        if (verification is null) yield break;
        var verdict = IsSound ? "all numbers finite" : $"{verification.NonFinite.Count} with NaN or infinity:";
        yield return $"verified     {weights.Tensors.Count} tensors read in {verification.Seconds.ToString("0.0", CultureInfo.InvariantCulture)} s, {verdict}";
        foreach (var (name, count) in verification.NonFinite) yield return $"  {name}: {count}";
    }

    private static IEnumerable<string> Positions(ModelConfig config)
    {
        yield return config.MaxPositions?.ToString(CultureInfo.InvariantCulture) ?? "not limited";
        if (TurnsPositions(config)) yield return $"rope {config.Rope.Type}";
        if (config.SlidingWindow is { } window) yield return $"window {window}";
    }

    private static bool TurnsPositions(ModelConfig model) => model.Has("rope_parameters") || model.Has("rope_scaling") || model.Has("rope_theta") || model.ModelType is "llama" or "gpt_neox" or "gptj" or "phi" or "falcon";

    private static string? QuantizationOf(ModelConfig model)
    {
        if (!model.IsQuantized) return null;
        var settings = model.Json.GetProperty("quantization_config");
        return settings.ValueKind == JsonValueKind.Object && settings.TryGetProperty("quant_method", out var method) ? method.ToString() : "method not named";
    }

    public void Dispose() => weights.Dispose();

    private sealed record Verification(SortedDictionary<string, long> NonFinite, double Seconds);
}
