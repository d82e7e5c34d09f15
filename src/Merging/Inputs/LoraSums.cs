// Weighted sums of LoRA adapters of one base as one adapter: sum of w s B A is [w1 s1 B1 ... wn sn Bn] [A1; ...; An], of the ranks' sum
// and scale 1. Exact, since no product is formed; for strategies that are linear in the task vectors.

using System.Text.Json.Nodes;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

internal static class LoraSums
{
    // Weights whose sum is nearer to 0 are not divided by it; mergekit's bound.
    private const double SmallestDivisor = 1e-8;

    // Decimal weights that are meant to sum to 1 differ from it by rounding alone.
    private const double RoundingOfSum = 1e-12;

    /// <summary>The weight of each adapter where a strategy with these parameters is such a sum, else null.</summary>
    /// <param name="strategy">Its name.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="count">How many adapters.</param>
    public static double[]? Weights(string strategy, JsonObject parameters, int count)
    {
        if (strategy is not ("linear" or "task_arithmetic") || parameters["weight"] is not { } given || !parameters.All(p => Programmed.IsPlain(p.Value))) return null;
        double[] weights = given is JsonArray list ? [.. list.Select(w => (double)w!)] : [.. Enumerable.Repeat((double)given, count)];
        var sum = weights.Sum();
        if (weights.Length != count) return null;
        var normalized = (bool?)parameters["normalize"] ?? strategy == "linear";
        if (normalized && Math.Abs(sum) < SmallestDivisor) return null;
        // An average whose weights do not sum to 1 scales the base too.
        if (strategy == "linear" && !normalized && Math.Abs(sum - 1) > RoundingOfSum) return null;
        var factor = ((double?)parameters["lambda"] ?? 1) / (normalized ? sum : 1);
        return [.. weights.Select(weight => weight * factor)];
    }

    /// <summary>Writes the sum in PEFT's format and returns its rank; null, with nothing written, where the adapters differ in modules or ranks, hold more than LoRA pairs, or changed the base as they began.</summary>
    /// <param name="model">The base's folder.</param>
    /// <param name="adapters">The adapters' folders.</param>
    /// <param name="weights">A weight for each.</param>
    /// <param name="folder">Where to write.</param>
    /// <param name="architectures">What reads a base in 4 bits.</param>
    public static int? Write(string model, IReadOnlyList<string> adapters, double[] weights, string folder, ModelArchitectures? architectures = null)
    {
        if (!adapters.All(LoraWeights.Reads)) return null;
        using var scope = torch.NewDisposeScope();
        using var checkpoint = CheckpointFolder.Open(model);
        var opened = new List<LoraWeights>();
        try
        {
            var config = ModelConfig.Open(model);
            BasePrefix.Restore(checkpoint, config.ModelType);
            var decoded = config.IsQuantized ? new DecodedWeights(checkpoint, config, architectures ?? ModelArchitectures.BuiltIn) : null;
            foreach (var adapter in adapters) opened.Add(LoraWeights.Open(adapter, checkpoint.Tensors.Select(tensor => decoded?.Find(tensor.Name) ?? tensor), config.ModelType));
            var modules = opened[0].Modules.Order(StringComparer.Ordinal).ToList();
            if (opened.Any(one => one.HasOtherTensors || !one.Modules.ToHashSet().SetEquals(modules))) return null;
            var ranks = opened.Select(one => modules.Select(module => one.RankOf(module)).Distinct().ToList()).ToList();
            if (ranks.Any(distinct => distinct.Count != 1)) return null;
            var rank = ranks.Sum(distinct => distinct[0]);
            Save(folder, model, rank, modules, opened, weights);
            TrainedWith.Join(folder, adapters);
            return rank;
        }
        finally
        {
            foreach (var one in opened) one.Dispose();
        }
    }

    private static void Save(string folder, string model, int rank, List<string> modules, List<LoraWeights> adapters, double[] weights)
    {
        var tensors = new Dictionary<string, Tensor>();
        foreach (var module in modules)
        {
            var pairs = adapters.Select((adapter, k) => (Matrices: adapter.Pair(module), Factor: weights[k] * adapter.Scale(module))).ToList();
            var (a, b) = adapters[0].Names(module);
            tensors[a] = torch.cat([.. pairs.Select(pair => pair.Matrices.A)]);
            tensors[b] = torch.cat([.. pairs.Select(pair => pair.Matrices.B * pair.Factor)], 1);
        }
        var targets = modules.Select(module => module[(module.LastIndexOf('.') + 1)..]).Distinct().Order(StringComparer.Ordinal).ToList();
        AdapterFolder.Write(folder, new Dictionary<string, object?>
        {
            ["peft_type"] = "LORA",
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = model,
            ["r"] = rank,
            ["lora_alpha"] = rank,
            ["lora_dropout"] = 0.0,
            ["target_modules"] = targets,
            ["bias"] = "none",
            ["fan_in_fan_out"] = adapters[0].IsTransposed,
            ["use_rslora"] = false,
            ["modules_to_save"] = null,
        }, tensors);
    }
}
