// One LoRA from several, by PEFT's add_weighted_adapter: linear mixes A and B apart (cheap, with cross terms), cat stands them side
// by side (exact), the svd family truncates the sum of the products. ties (Yadav et al. 2023), dare (Yu et al. 2024) and
// magnitude_prune prune first: on A and on B apart, or with _svd on the products.

using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Lora;

internal static class LoraCombination
{
    private const string Svd = "_svd";

    internal static IReadOnlyList<string> Types { get; } =
        ["linear", "cat", "svd", "ties", "dare_linear", "dare_ties", "magnitude_prune", "ties_svd", "dare_linear_svd", "dare_ties_svd", "magnitude_prune_svd"];

    internal static AdapterFiles Combine(IReadOnlyList<(AdapterFiles Files, double Weight)> inputs, AdapterCombination how)
    {
        Check(how);
        using var off = torch.no_grad();
        var adapters = inputs.Select((input, k) => Input.Of(input.Files, input.Weight, k)).ToList();
        var tensors = new Dictionary<string, Tensor>();
        var ranks = new Dictionary<string, long>();
        // One rank for all modules, as in PEFT: pruned sums are of full rank even where the inputs' pairs are narrow.
        how = how with { Rank = how.Rank ?? adapters.Max(a => a.Rank) };
        foreach (var module in adapters.SelectMany(a => a.Pairs.Keys).Distinct().Order(StringComparer.Ordinal))
        {
            how.Cancellation.ThrowIfCancellationRequested();
            using var scope = torch.NewDisposeScope();
            var pairs = adapters.Where(a => a.Pairs.ContainsKey(module)).Select(a => a.Pairs[module]).ToList();
            ThrowUnlessAlike(module, pairs);
            var (a, b) = Pair(pairs, how, module);
            if (!IsFinite(a) || !IsFinite(b)) throw Overflows(module, pairs);
            ranks[module] = a.size(0);
            tensors[pairs[0].NameOfA] = a.contiguous().MoveToOuterDisposeScope();
            tensors[pairs[0].NameOfB] = b.contiguous().MoveToOuterDisposeScope();
        }
        foreach (var (place, table) in Tables(adapters)) tensors[LoraNames.Table(place, ranks.ContainsKey(place.Module))] = table.Values;
        return new AdapterFiles(Config(inputs[0].Files.Config, ranks), tensors);
    }

    // PEFT loads them into the one base that all adapters are over.
    private static Dictionary<(string Module, string Part), Table> Tables(IReadOnlyList<Input> adapters)
    {
        var tables = new Dictionary<(string Module, string Part), Table>();
        foreach (var (place, table) in adapters.SelectMany(a => a.Tables))
        {
            if (!IsFinite(table.Values)) throw HoldsNoNumbers(Shown(place), table.Adapter);
            if (tables.TryAdd(place, table) || (tables[place] is var first && first.Values.equal(table.Values))) continue;
            var apart = first.Values.shape.SequenceEqual(table.Values.shape) ? "other values" : $"[{string.Join(", ", first.Values.shape)}] and [{string.Join(", ", table.Values.shape)}]";
            throw new UserErrorException($"{Shown(place)}: the adapters {first.Adapter} and {table.Adapter} bring different tables of the base ({apart}); combine adapters of one base, or merge each into its own.");
        }
        return tables;

        static string Shown((string Module, string Part) place) => place.Part == "weight" ? place.Module : $"{place.Module}.{place.Part}";
    }

    private static void ThrowUnlessAlike(string module, IReadOnlyList<Part> pairs)
    {
        var first = pairs[0];
        foreach (var part in pairs)
        {
            if (!IsFinite(part.A) || !IsFinite(part.B)) throw HoldsNoNumbers(module, part.Adapter);
            if (part.A.size(1) == first.A.size(1) && part.B.size(0) == first.B.size(0)) continue;
            throw new UserErrorException($"{module}: adapter {first.Adapter} changes a weight of {first.B.size(0)} by {first.A.size(1)} and adapter {part.Adapter} one of {part.B.size(0)} by {part.A.size(1)}; combine adapters of one base.");
        }
    }

    private static bool IsFinite(Tensor tensor) => tensor.isfinite().all().item<bool>();

    private static UserErrorException HoldsNoNumbers(string module, int adapter) =>
        new($"{module}: adapter {adapter} holds NaN or infinity and cannot be combined; leave it out, or save it again.");

    private static UserErrorException Overflows(string module, IReadOnlyList<Part> pairs) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{module}: the sum of the adapters {string.Join(", ", pairs.Select(p => p.Adapter))} with the weights {string.Join(", ", pairs.Select(p => p.Weight))} is beyond float32's range (3.4e38); take smaller weights."));

    private static void Check(AdapterCombination how)
    {
        if (!Types.Contains(how.Type)) throw new UserErrorException($"The combination '{how.Type}' is none of {string.Join(", ", Types)}.");
        var prunes = how.Type is not ("linear" or "cat" or "svd");
        if (prunes && how.Density is not (> 0 and <= 1)) throw new UserErrorException($"The combination {how.Type} needs a density over 0 and at most 1, the share of entries that it keeps.");
        if (!prunes && how.Density is not null) throw new UserErrorException($"The combination {how.Type} keeps every entry; leave density out.");
        if (how.Rank is not null && !how.Type.EndsWith("svd", StringComparison.Ordinal)) throw new UserErrorException($"The combination {how.Type} does not truncate; leave rank out, or take a type that ends in svd.");
        if (how.Clamp is not null && !how.Type.EndsWith("svd", StringComparison.Ordinal)) throw new UserErrorException($"The combination {how.Type} does not truncate; leave the clamp out, or take a type that ends in svd.");
        if (how.Clamp is not (null or > 0.5 and <= 1)) throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"The clamp {how.Clamp} is no quantile over 0.5 and at most 1; give one, as 0.99, or leave it out."));
        if (how.SignByFrequency && !how.Type.Contains("ties", StringComparison.Ordinal)) throw new UserErrorException($"The combination {how.Type} elects no sign; leave it out.");
    }

    private static (Tensor A, Tensor B) Pair(IReadOnlyList<Part> pairs, AdapterCombination how, string module)
    {
        if (how.Type == "cat") return (torch.cat(pairs.Select(p => p.A * (p.Weight * p.Scale)).ToList(), 0), torch.cat(pairs.Select(p => p.B).ToList(), 1));
        if (how.Type.EndsWith("svd", StringComparison.Ordinal))
        {
            var products = pairs.Select(p => p.B.mm(p.A) * p.Scale).ToList();
            var type = how.Type.EndsWith(Svd, StringComparison.Ordinal) ? how.Type[..^Svd.Length] : "linear";
            var sum = Mixed(products, pairs.Select(p => p.Weight).ToList(), type, how, module + "/delta");
            if (!IsFinite(sum)) throw Overflows(module, pairs); // LAPACK would write to the terminal
            var (u, s, vh) = torch.linalg.svd(sum, fullMatrices: false);
            var rank = Math.Min(how.Rank!.Value, s.size(0));
            var (a, b) = (vh.narrow(0, 0, rank), u.narrow(1, 0, rank) * s.narrow(0, 0, rank));
            if (how.Clamp is not { } quantile) return (a, b);
            var most = Quantile(torch.cat([b.reshape(-1), a.reshape(-1)]), quantile);
            return (a.clamp(-most, most), b.clamp(-most, most));
        }
        if (pairs.Select(p => p.A.size(0)).Distinct().Count() > 1)
            throw new UserErrorException($"{module}: the adapters' ranks are {string.Join(" and ", pairs.Select(p => p.A.size(0)).Distinct())}; {how.Type} needs equal ranks. Take cat, or a type that ends in svd.");
        // The sign stands on A alone: on both it would vanish from the product.
        var roots = pairs.Select(p => Math.Sqrt(Math.Abs(p.Weight * p.Scale))).ToList();
        var signed = pairs.Select((p, k) => p.Weight * p.Scale >= 0 ? roots[k] : -roots[k]).ToList();
        return (Mixed(pairs.Select(p => p.A).ToList(), signed, how.Type, how, module + "/A"), Mixed(pairs.Select(p => p.B).ToList(), roots, how.Type, how, module + "/B"));
    }

    private static Tensor Mixed(List<Tensor> tensors, List<double> weights, string type, AdapterCombination how, string name)
    {
        var kept = type == "linear" || how.Density == 1 ? tensors : tensors.Select((t, k) => type.StartsWith("dare", StringComparison.Ordinal)
            ? t * new CounterStream(how.Seed, "dare", $"{name}/{k}").Bernoulli(t.shape, how.Density!.Value, t.dtype, t.device) / how.Density.Value
            : Largest(t, how.Density!.Value)).ToList();
        var stacked = torch.stack(kept); // (inputs, ...)
        var weighted = torch.stack(kept.Select((t, k) => t * weights[k]).ToList());
        if (!type.Contains("ties", StringComparison.Ordinal)) return weighted.sum(dim: 0L);
        var votes = (how.SignByFrequency ? stacked.sign() : stacked).sum(dim: 0L);
        var agree = stacked.sign().eq(torch.where(votes.ge(0), torch.ones_like(votes), -torch.ones_like(votes))).to(stacked.dtype);
        return (weighted * agree).sum(dim: 0L) / agree.sum(dim: 0L).clamp(min: 1);
    }

    private static Tensor Largest(Tensor tensor, double density)
    {
        var flat = tensor.reshape(-1);
        var places = flat.abs().topk((int)(density * flat.size(0))).indexes;
        return torch.zeros_like(flat).index_copy_(0, places, flat.index_select(0, places)).view(tensor.shape);
    }

    // As torch.quantile, whose place between two entries is a float32.
    private static float Quantile(Tensor values, double quantile)
    {
        var place = (float)quantile * (values.size(0) - 1);
        var (low, high) = ((long)MathF.Floor(place), (long)MathF.Ceiling(place));
        var (below, above) = (values.kthvalue(low + 1).values.item<float>(), values.kthvalue(high + 1).values.item<float>());
        return below + (place - low) * (above - below);
    }

    // Every module by its whole name: the inputs' own rules may choose different ones.
    private static JsonObject Config(JsonObject first, Dictionary<string, long> ranks)
    {
        var rank = ranks.Values.Max();
        var others = ranks.Where(r => r.Value != rank).Select(r => KeyValuePair.Create(Regex.Escape(r.Key), r.Value)).ToList();
        return new JsonObject
        {
            ["peft_type"] = LoraAdapter.Type,
            ["task_type"] = first["task_type"]?.DeepClone(),
            ["base_model_name_or_path"] = first["base_model_name_or_path"]?.DeepClone(),
            ["inference_mode"] = true,
            ["r"] = rank,
            ["lora_alpha"] = rank,
            ["lora_dropout"] = 0.0,
            ["target_modules"] = LoraSettings.Texts(ranks.Keys.Order(StringComparer.Ordinal)),
            ["rank_pattern"] = new JsonObject(others.Select(o => KeyValuePair.Create(o.Key, (JsonNode?)o.Value))),
            ["alpha_pattern"] = new JsonObject(others.Select(o => KeyValuePair.Create(o.Key, (JsonNode?)o.Value))),
            ["bias"] = "none",
            ["fan_in_fan_out"] = first["fan_in_fan_out"]?.DeepClone() ?? false,
            ["init_lora_weights"] = true,
            ["use_rslora"] = false,
            ["use_dora"] = false,
            ["modules_to_save"] = null,
        };
    }

    private sealed record Part(string NameOfA, Tensor A, string NameOfB, Tensor B, double Scale, double Weight, int Adapter);

    private sealed record Table(Tensor Values, int Adapter);

    /// <param name="Pairs">By module.</param>
    /// <param name="Rank">The largest that the configuration names, of a module that is there or not.</param>
    /// <param name="Tables">The base's own embedding and head, its bias too, which PEFT writes beside the pairs.</param>
    private sealed record Input(Dictionary<string, Part> Pairs, int Rank, Dictionary<(string Module, string Part), Table> Tables)
    {
        internal static Input Of(AdapterFiles files, double weight, int number)
        {
            var settings = LoraSettings.Of(files.Config, null);
            if (settings.UseDora || settings.Bias != "none" || settings.Saved.Count > 0 || settings.Tokens.Count > 0 || LoraStart.MovesTheBase(settings.Init))
                throw new UserErrorException($"Adapter {number + 1} is more than products B A (use_dora, bias, modules_to_save, trainable tokens or an unconverted start); such adapters cannot be combined. Merge it into the base instead.");
            var pairs = new Dictionary<string, Part>();
            foreach (var (name, a) in files.Tensors)
            {
                if (LoraNames.ModuleOfA(name) is not var (module, other)) continue;
                if (!files.Tensors.TryGetValue(other, out var b)) throw new UserErrorException($"Adapter {number + 1} has '{name}' but lacks '{other}'; it is incomplete, save it again.");
                pairs[module] = new Part(name, a.to(torch.float32), other, b.to(torch.float32), settings.ScaleOf(module), weight, number + 1);
            }
            var tables = new Dictionary<(string Module, string Part), Table>();
            foreach (var (name, values) in files.Tensors)
                if (LoraNames.TableOf(name) is { } place && values.dim() == (place.Part == "weight" ? 2 : 1)) tables.TryAdd(place, new Table(values, number + 1));
            if (2 * pairs.Count + tables.Count != files.Tensors.Count) throw new UserErrorException($"Adapter {number + 1} has {files.Tensors.Count} tensors, of which {2 * pairs.Count} are pairs of LoRA and {tables.Count} the base's embedding and head; it cannot be combined.");
            return new Input(pairs, settings.LargestRank, tables);
        }
    }
}
