// A base whose vocabulary was resized before an adapter was trained over it: PEFT saves embedding and head of the new size beside the
// adapter, and its users resize the base before they load it. Where both are there, nothing of the resized base is missing.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

internal static class GrownTables
{
    /// <summary>The model with the adapter's tables, where these have more rows than its own; else itself.</summary>
    /// <param name="model">The base.</param>
    /// <param name="tensors">The adapter folder's.</param>
    /// <exception cref="UserErrorException">One table has more rows, and the other is not there in that size.</exception>
    internal static DecoderModel Of(DecoderModel model, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var spec = model.Spec;
        string[] modules = spec.TiedHead ? [spec.Names.Embedding] : [spec.Names.Embedding, spec.Names.Head];
        var tables = modules.Select(module => SavedBase.Names(module).Select(tensors.GetValueOrDefault).FirstOrDefault(table => table is not null && table.dim() == 2 && table.size(1) == spec.EmbeddingWidth)).ToList();
        var rows = tables.Max(table => table?.size(0) ?? 0);
        if (rows <= spec.Vocabulary) return model;
        var lacking = tables.FindIndex(table => table?.size(0) != rows);
        if (lacking >= 0)
            throw new UserErrorException($"The adapter's {modules[1 - lacking]} has {rows} rows, this model's {spec.Vocabulary}, and the adapter's folder has no {modules[lacking]} of {rows} rows: those of the resized base are not known. Give the base of that size: resize_token_embeddings({rows}) and save_pretrained of transformers make it.");
        var bias = model.HeadBias is null ? null : Bias(model, tensors, rows);
        var weights = model.Weights.ToDictionary();
        foreach (var (module, table) in modules.Zip(tables))
            weights[module + ".weight"] = table!.to(model.Weights.GetValueOrDefault(module + ".weight")?.dtype ?? table.dtype).to(model.Device);
        if (bias is not null) weights[spec.Names.Head + ".bias"] = bias.to(model.HeadBias!.dtype).to(model.Device);
        return new DecoderModel(spec with { Vocabulary = rows }, weights, model.Quantized.Where(matrix => !weights.ContainsKey(matrix.Key)).ToDictionary()) { Unquantized = model.Unquantized };
    }

    private static Tensor Bias(DecoderModel model, IReadOnlyDictionary<string, Tensor> tensors, long rows) =>
        SavedBase.BiasNames(model.Spec.Names.Head).Select(tensors.GetValueOrDefault).FirstOrDefault(bias => bias is not null && bias.dim() == 1 && bias.size(0) == rows)
            ?? throw new UserErrorException($"The adapter's tables have {rows} rows, this model's {model.Spec.Vocabulary}, and the adapter's folder has no bias of {model.Spec.Names.Head} with {rows} entries: that of the resized base is not known. Give the base of that size: resize_token_embeddings({rows}) and save_pretrained of transformers make it.");

    /// <summary>Says how many rows a written folder's tables have.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="rows">That many.</param>
    internal static void Say(string folder, long rows)
    {
        var file = Path.Combine(folder, "config.json");
        if (!File.Exists(file)) return;
        var config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        TextPart.In(config)["vocab_size"] = rows;
        AtomicFile.Write(file, config.ToJsonString(new() { WriteIndented = true }) + "\n");
    }
}
