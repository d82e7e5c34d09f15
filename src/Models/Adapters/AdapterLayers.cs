// Adapters over one another: what each changes is added to what those below it give. Low-rank ones can be written as one.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Adapters;

/// <summary>Several adapters of one base, from the lowest to the uppermost.</summary>
public static class AdapterLayers
{
    /// <summary>Their changes by module, as a forward pass takes them.</summary>
    /// <param name="layers">Each adapter's sites.</param>
    public static IReadOnlyDictionary<string, Delta> Deltas(params IEnumerable<IReadOnlyList<AdapterSite>> layers) =>
        layers.SelectMany(sites => sites).GroupBy(site => site.Module).ToDictionary(module => module.Key, module => module.Count() == 1 ? module.Single().Delta : new Stack([.. module.Select(site => site.Delta)]));

    /// <summary>
    /// The modules as frozen adapters leave them. A new adapter over these begins what it trains whole (modules_to_save, biases, tokens'
    /// rows) here, since that stands in the place of theirs; products that they add are added beside it still, and are not inside.
    /// </summary>
    /// <param name="model">The base's modules.</param>
    /// <param name="layers">Each adapter's sites.</param>
    public static ModelOutline Outline(ModelOutline model, params IEnumerable<IReadOnlyList<AdapterSite>> layers)
    {
        var changes = Deltas(layers);
        return model with { Modules = [.. model.Modules.Select(module => changes.TryGetValue(module.Name, out var delta) ? Under(module, delta) : module)] };
    }

    private static ModuleOutline Under(ModuleOutline module, Delta delta) => module with
    {
        Tensor = name => WithRows(delta.Instead(name) ?? module.Tensor(name), name == "weight" ? [.. Decoders.Deltas.Parts(delta).OfType<TokenRows>()] : []),
        Unquantized = () => delta.Instead("weight") is null ? module.Unquantized() : null,
    };

    // In float32, as the rows were trained.
    private static Tensor? WithRows(Tensor? weight, TokenRows[] trained)
    {
        if (weight is null || trained.Length == 0) return weight;
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var own = weight.to(torch.float32).clone();
        foreach (var rows in trained) own.index_copy_(0, torch.tensor(rows.Tokens.ToArray(), device: own.device), rows.Values.detach().to(torch.float32, own.device));
        return own.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The exact sum of LoRA adapters as one PEFT folder: A's rows side by side, B's columns with their scales inside, so that
    /// lora_alpha = r; a module that an adapter leaves alone has zeros there. Null where a part is no plain LoRA of a linear layer.
    /// </summary>
    /// <param name="model">The base's modules.</param>
    /// <param name="config">adapter_config.json of one of them, for what they share.</param>
    /// <param name="layers">Each adapter's sites.</param>
    public static AdapterFiles? Concatenated(ModelOutline model, JsonObject config, IReadOnlyList<IReadOnlyList<AdapterSite>> layers)
    {
        var kinds = model.Modules.ToDictionary(m => m.Name, m => m.Kind);
        var modules = layers.SelectMany(sites => sites).GroupBy(site => site.Module).ToDictionary(m => m.Key, m => m.Select(site => site.Delta).ToList());
        if (modules.Any(m => kinds[m.Key] != ModuleKind.Linear || m.Value.Exists(d => d is not LowRank { Magnitude: null, Bias: null, Start: null }))) return null;
        var parts = modules.ToDictionary(m => m.Key, m => m.Value.Cast<LowRank>().ToList());
        var rank = parts.Values.Max(p => p.Sum(low => low.A.size(0)));
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (module, lows) in parts)
        {
            tensors[$"base_model.model.{module}.lora_A.weight"] = Padded(torch.cat([.. lows.Select(low => low.A.detach())]), 0, rank);
            tensors[$"base_model.model.{module}.lora_B.weight"] = Padded(torch.cat([.. lows.Select(low => low.B.detach() * low.Scale)], 1), 1, rank);
        }
        var joined = config.DeepClone().AsObject();
        (joined["r"], joined["lora_alpha"], joined["use_rslora"], joined["use_dora"]) = (rank, rank, false, false);
        (joined["rank_pattern"], joined["alpha_pattern"], joined["exclude_modules"], joined["layers_to_transform"], joined["layers_pattern"]) = (new JsonObject(), new JsonObject(), null, null, null);
        (joined["lora_dropout"], joined["init_lora_weights"], joined["modules_to_save"], joined["bias"]) = (0.0, true, null, "none");
        joined["target_modules"] = new JsonArray([.. parts.Keys.Order(StringComparer.Ordinal).Select(name => (JsonNode)name)]);
        return new AdapterFiles(joined, tensors);
    }

    private static Tensor Padded(Tensor tensor, int dim, long size)
    {
        if (tensor.size(dim) == size) return tensor.contiguous();
        var shape = tensor.shape;
        shape[dim] = size - shape[dim];
        return torch.cat([tensor, torch.zeros(shape, tensor.dtype, tensor.device)], dim);
    }
}
