// LoRA's tensors: every A has its B, and both have the rank that the configuration gives them.

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

public sealed partial class AdapterFolder
{
    private const string Prefix = "base_model.model.";

    /// <summary>Names of the two halves, and which dimension of each is the rank.</summary>
    private static readonly (string A, string B, int RankOfA, int RankOfB)[] Halves =
        [(".lora_A.weight", ".lora_B.weight", 0, 1), (".lora_embedding_A", ".lora_embedding_B", 0, 1)];

    /// <summary>Keys of PEFT's LoRA configuration that change what an adapter computes, in ways that are not computed here: absent, null, false or empty is all that is read.</summary>
    public static IReadOnlyList<string> UnreadLoraKeys { get; } =
        ["lora_bias", "alora_invocation_tokens", "target_parameters", "use_qalora", "layer_replication", "use_bdlora", "arrow_config", "kasa_config", "velora_config", "monteclora_config"];

    /// <summary>The first of <see cref="UnreadLoraKeys"/> that this adapter sets; null where it sets none.</summary>
    public string? UnreadLoraKey => UnreadLoraKeys.FirstOrDefault(key => Config.TryGetProperty(key, out var value)
        && !(value.ValueKind is JsonValueKind.Null or JsonValueKind.False || (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0)));

    /// <summary>Modules that have a LoRA pair, without "base_model.model.".</summary>
    public IReadOnlyList<string> LoraModules =>
        [.. Names.SelectMany(name => Halves.Where(h => name.EndsWith(h.A, StringComparison.Ordinal)).Select(h => ModuleOf(name, h.A))).Distinct()];

    /// <summary>The rank of one module: rank_pattern where an entry matches, else r.</summary>
    public int RankOf(string module)
    {
        if (reader.Child("rank_pattern") is not { } patterns) return Rank;
        foreach (var entry in patterns.Json.EnumerateObject())
            if (ModulePattern.Key(entry.Name, ConfigPath)(module)) return patterns.Size(entry.Name) ?? throw patterns.Wrong(entry.Name, "null", "a rank");
        return Rank;
    }

    private string ConfigPath => System.IO.Path.Combine(Path, ConfigFile);

    private static string ModuleOf(string name, string half) =>
        (name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name)[..^half.Length];

    private void CheckPairs()
    {
        _ = Rank;
        if (reader.Number("lora_alpha") is null && reader.Has("lora_alpha")) throw Wrong("lora_alpha", "a number");
        if (Names.Count == 0) throw Fault.In(Path, "the adapter's weights hold no tensors.");
        foreach (var stored in Tensors)
            foreach (var half in Halves)
            {
                if (stored.Name.EndsWith(half.A, StringComparison.Ordinal)) CheckHalf(stored, half.A, half.B, half.RankOfA);
                if (stored.Name.EndsWith(half.B, StringComparison.Ordinal)) CheckHalf(stored, half.B, half.A, half.RankOfB);
            }
    }

    private void WarnOfLonePattern()
    {
        if (IsSet("layers_pattern") && !IsSet("layers_to_transform"))
            warnings.Add($"{ConfigPath}: layers_pattern is {Config.GetProperty("layers_pattern").GetRawText()}, and layers_to_transform names no block; the pattern says nothing and is passed over (PEFT refuses the folder: set layers_pattern to null for it).");

        bool IsSet(string key) => Config.TryGetProperty(key, out var value) && value.ValueKind switch
        {
            JsonValueKind.Null => false,
            JsonValueKind.Array => value.GetArrayLength() > 0,
            JsonValueKind.String => value.GetString() is not "",
            _ => true,
        };
    }

    private void CheckHalf(StoredTensor stored, string half, string other, int rankDimension)
    {
        var partner = stored.Name[..^half.Length] + other;
        if (!Contains(partner)) throw Fault.In(stored.File, stored.Name, $"its other half {Fault.Quote(partner)} is missing; the adapter is incomplete, save it again.");
        var rank = RankOf(ModuleOf(stored.Name, half));
        // Convolutions have more dimensions behind the first two.
        if (stored.Shape.Count < 2 || stored.Shape[rankDimension] != rank)
            throw Fault.In(stored.File, stored.Name, $"its shape is {Fault.Shape(stored.Shape)}, but {ConfigFile} gives rank r = {rank} (dimension {rankDimension}); the two are of different adapters.");
    }

    /// <summary>
    /// Compares a LoRA adapter with the model that it is to be put on. Targets without tensors become warnings.
    /// </summary>
    /// <param name="modules">Weight shapes [out, in], an embedding's [vocabulary, dimension], by the model's module name, as transformers names it.</param>
    /// <exception cref="UserErrorException">A tensor's module is not in the model, shapes differ, or target_modules match nothing.</exception>
    public void CheckAgainst(IReadOnlyDictionary<string, long[]> modules)
    {
        CheckTargets(modules.Keys);
        var foreign = LoraModules.Where(m => !modules.ContainsKey(m)).ToList();
        if (foreign.Count > 0)
            throw Fault.In(Path, $"{foreign.Count} of {LoraModules.Count} adapted modules are not in the model: {Fault.Some(foreign)}; the adapter was trained on another architecture.");
        foreach (var stored in Tensors)
            foreach (var (a, b, _, _) in Halves)
            {
                if (stored.Name.EndsWith(a, StringComparison.Ordinal)) CheckSide(stored, ModuleOf(stored.Name, a), modules, 1, "takes");
                if (stored.Name.EndsWith(b, StringComparison.Ordinal)) CheckSide(stored, ModuleOf(stored.Name, b), modules, 0, "gives");
            }
    }

    private void CheckSide(StoredTensor stored, string module, IReadOnlyDictionary<string, long[]> modules, int dimension, string verb)
    {
        // An embedding's weight is [vocabulary, dimension]: it takes the first and gives the second.
        var swapped = stored.Name.Contains(".lora_embedding_", StringComparison.Ordinal);
        var expected = modules[module][swapped ? 1 - dimension : dimension];
        if (stored.Shape[dimension] != expected)
            throw Fault.In(stored.File, stored.Name, $"its shape is {Fault.Shape(stored.Shape)}, but the model's {Fault.Quote(module)} {verb} {expected} values; the adapter is of another model.");
    }

    private void CheckTargets(IEnumerable<string> modules)
    {
        var adapted = LoraModules;
        if (reader.Find("target_modules") is not { } targets || targets.ValueKind is not (JsonValueKind.String or JsonValueKind.Array)) return;
        if (Texts("target_modules") is not { } list)
        {
            if (Text("target_modules") is var text && text is "all-linear") return;
            var pattern = ModulePattern.Whole(text!, ConfigPath);
            if (!modules.Any(pattern)) throw Wrong("target_modules", "a pattern that matches a module of the model");
            return;
        }
        var hits = list.ToDictionary(t => t, t => modules.Any(m => ModulePattern.IsTarget(m, t)));
        if (list.Count > 0 && !hits.ContainsValue(true)) throw Wrong("target_modules", "a list of which at least one names a module of the model");
        var bare = list.Where(t => hits[t] && !adapted.Any(m => ModulePattern.IsTarget(m, t))).ToList();
        if (bare.Count > 0) warnings.Add($"{ConfigPath}: target_modules names {Fault.Some(bare)}, for which the weights hold no tensors; these modules stay as they are in the model.");
        var unknown = list.Where(t => !hits[t]).ToList();
        if (unknown.Count > 0) warnings.Add($"{ConfigPath}: target_modules names {Fault.Some(unknown)}, which no module of the model is called.");
    }
}
