// A LoRA adapter in PEFT's format as a change of weights: W + scale * B A, with rank_pattern, alpha_pattern, rsLoRA, DoRA, and what the
// folder holds beside the pairs. What cannot be added to a weight exactly as PEFT does is refused.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

internal sealed class LoraWeights : IDisposable
{
    private const string Prefix = "base_model.model.";

    private readonly AdapterFolder adapter;
    private readonly LoraExtras? extras;
    private readonly HashSet<string> modules, transposed;
    private readonly Func<string, string> named;

    private LoraWeights(AdapterFolder adapter, Func<string, string> named, Func<string, bool> isTransposed, LoraExtras? extras)
    {
        (this.adapter, this.named, this.extras, modules) = (adapter, named, extras, [.. adapter.LoraModules]);
        transposed = [.. modules.Where(isTransposed)];
    }

    public string Folder => adapter.Path;

    /// <summary>Modules with a LoRA pair.</summary>
    public IReadOnlyCollection<string> Modules => modules;

    /// <summary>Whether weights are stored (in, out), as GPT-2's.</summary>
    public bool IsTransposed => transposed.Count > 0;

    /// <summary>Whether it holds more than LoRA pairs: whole tensors, lengths of rows (DoRA), or rows of trained tokens.</summary>
    public bool HasOtherTensors => adapter.Names.Any(name => !LoraExtras.IsOfPair(name));

    /// <summary>The rank of a module's pair.</summary>
    public int RankOf(string module) => adapter.RankOf(module);

    /// <summary>Whether an adapter is of a kind that is added to weights here.</summary>
    /// <param name="folder">The adapter's.</param>
    /// <exception cref="UserErrorException">It is no adapter's folder.</exception>
    public static bool Reads(string folder)
    {
        using var adapter = AdapterFolder.Open(folder);
        return Obstacle(adapter) is null;
    }

    /// <summary>Opens an adapter and compares it with a model's weights.</summary>
    /// <param name="folder">The adapter's.</param>
    /// <param name="weights">The model's tensors.</param>
    /// <param name="modelType">model_type of its config.json.</param>
    /// <param name="head">The model's, where the change is to be in the weights; null = the pairs alone are looked at.</param>
    /// <exception cref="UserErrorException">It is no LoRA, of a kind that is not read, or of another model.</exception>
    public static LoraWeights Open(string folder, IEnumerable<StoredTensor> weights, string modelType, BaseHead? head = null)
    {
        var adapter = AdapterFolder.Open(folder);
        try
        {
            if (Obstacle(adapter) is { } obstacle) throw obstacle;
            var named = Naming(adapter, modelType);
            var all = weights.ToDictionary(tensor => named(tensor.Name));
            var stored = TransposedModules.Of(modelType, adapter.Bool("fan_in_fan_out") == true);
            bool isTransposed(string module) => stored(module) && !IsEmbedding(adapter, module);
            var shapes = Shapes(all, isTransposed);
            adapter.CheckAgainst(shapes);
            if (adapter.LoraModules.FirstOrDefault(module => IsEmbedding(adapter, module) && head?.Follows(module + ".weight") == true) is { } module)
                throw new UserErrorException($"{folder}: {module} is also the output head of the base (tie_word_embeddings), which the adapter leaves alone: merged weights would compute something else. Keep the adapter, or train without {module}.");
            if (adapter.Bool("use_dora") == true) CheckMagnitudes(adapter, shapes);
            return new LoraWeights(adapter, named, isTransposed, head is null ? null : new LoraExtras(adapter, all, head));
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    private static UserErrorException? Obstacle(AdapterFolder adapter)
    {
        if (adapter.PeftType != "LORA") return adapter.Wrong("peft_type", "LORA: only LoRA adapters are merged into weights");
        if (adapter.UnreadLoraKey is { } key) return adapter.Wrong(key, "absent, null or false: adapters with it are not merged into weights");
        // lora_ga leaves the base alone when it is loaded, but was trained over one that it had changed.
        if (adapter.Config.TryGetProperty("init_lora_weights", out var init) && init.ValueKind == System.Text.Json.JsonValueKind.String && init.GetString() is { } start && (start == "lora_ga" || !LoraInit.LeavesTheBase(start)))
            return adapter.Wrong("init_lora_weights", "true: such an adapter belongs to changed base weights. Save it as a plain LoRA of the original base first");
        if (adapter.Bool("use_dora") == true && adapter.LoraModules.Any(module => IsEmbedding(adapter, module)))
            return adapter.Wrong("use_dora", "false where an embedding has a pair: such an adapter is not merged into weights");
        return adapter.Text("bias") is null or "none" or "all" or "lora_only" ? null : adapter.Wrong("bias", "none, all or lora_only");
    }

    // GPT-NeoX's head is the module lm_head in transformers 5 and embed_out.weight in files, and all modules of Gemma 3 with images have other names than files;
    // older adapters have the files' names.
    private static Func<string, string> Naming(AdapterFolder adapter, string modelType)
    {
        bool Names(string module) => adapter.Names.Any(name => name.StartsWith(Prefix + module, StringComparison.Ordinal));
        return modelType switch
        {
            "gpt_neox" when Names("lm_head.") => name => name == "embed_out.weight" ? TensorNames.Head : name,
            "gemma3" when Names("model.") || Names("lm_head.") => name => BesideParts.AsModule(Gemma3Architecture.Stored, name),
            _ => name => name,
        };
    }

    // (out, in), by the module's name.
    private static Dictionary<string, long[]> Shapes(IReadOnlyDictionary<string, StoredTensor> weights, Func<string, bool> isTransposed) => weights.Where(tensor => tensor.Key.EndsWith(".weight", StringComparison.Ordinal))
        .Select(tensor => (Module: tensor.Key[..^".weight".Length], tensor.Value.Shape))
        .ToDictionary(weight => weight.Module, weight => isTransposed(weight.Module) ? [.. weight.Shape.Reverse()] : weight.Shape.ToArray());

    // Each pair of DoRA has the lengths that its rows are to have.
    private static void CheckMagnitudes(AdapterFolder adapter, Dictionary<string, long[]> shapes)
    {
        foreach (var module in adapter.LoraModules)
        {
            var (name, outputs) = (MagnitudeOf(module), shapes[module][0]);
            if (adapter.Tensors.FirstOrDefault(tensor => tensor.Name == name) is not { } stored) throw new UserErrorException($"{adapter.Path}: use_dora is true, and its tensor '{name}' is missing; the adapter is incomplete, save it again.");
            if (!stored.Shape.SequenceEqual([outputs])) throw new UserErrorException($"{adapter.Path}: its tensor '{name}' is [{string.Join(", ", stored.Shape)}], but the model's '{module}' gives {outputs} values; the adapter is of another model.");
        }
    }

    /// <summary>The tensor with the adapter's change, or itself where there is none, in a type.</summary>
    public Tensor Apply(string name, Tensor weight, torch.ScalarType type)
    {
        using var scope = torch.NewDisposeScope();
        name = named(name);
        var changed = extras?.Whole(name, type);
        if (name.EndsWith(".weight", StringComparison.Ordinal) && name[..^".weight".Length] is var module && modules.Contains(module))
        {
            var (a, b) = Pair(module);
            // An embedding's weight is (vocabulary, dimension): what goes in counts its rows.
            var change = IsEmbedding(module) || transposed.Contains(module) ? a.t().matmul(b.t()) : b.matmul(a);
            changed = Turned(module, (changed ?? weight).to(torch.float32) + change * Scale(module)).to(type);
        }
        changed = extras?.WithRows(name, changed ?? weight)?.to(type) ?? changed;
        if (changed is not null) return changed.MoveToOuterDisposeScope();
        return weight.dtype == type ? weight : weight.to(type).MoveToOuterDisposeScope();
    }

    // DoRA: what each output is made with gets the trained length.
    private Tensor Turned(string module, Tensor sum)
    {
        if (adapter.Bool("use_dora") != true) return sum;
        var inputs = transposed.Contains(module) ? 0 : 1;
        return sum * (adapter.Tensor(MagnitudeOf(module)).to(torch.float32) / sum.norm(inputs)).unsqueeze(inputs);
    }

    /// <summary>The lengths that DoRA gives a module's rows, by their name in the adapter.</summary>
    /// <param name="module">The module's name.</param>
    public static string MagnitudeOf(string module) => $"{Prefix}{module}.lora_magnitude_vector";

    /// <summary>The adapter as the engine applies it.</summary>
    /// <exception cref="UserErrorException">It holds more than pairs.</exception>
    public IReadOnlyDictionary<string, Delta> Deltas() => HasOtherTensors
        ? throw new UserErrorException($"{Folder} has more than LoRA pairs (whole modules, biases, rows of them, or DoRA's lengths), with which no model is loaded here")
        : modules.ToDictionary(module => module, module => (Delta)new LowRank(Pair(module).A, Pair(module).B, Scale(module), 0));

    /// <summary>A (rank, in) and B (out, rank) in float32; an embedding takes its vocabulary in and gives its dimension.</summary>
    public (Tensor A, Tensor B) Pair(string module)
    {
        var (a, b) = Names(module);
        return (adapter.Tensor(a).to(torch.float32), adapter.Tensor(b).to(torch.float32));
    }

    /// <summary>Names of a pair's tensors.</summary>
    public (string A, string B) Names(string module) => IsEmbedding(module)
        ? (Prefix + module + ".lora_embedding_A", Prefix + module + ".lora_embedding_B")
        : (Prefix + module + ".lora_A.weight", Prefix + module + ".lora_B.weight");

    private bool IsEmbedding(string module) => IsEmbedding(adapter, module);

    private static bool IsEmbedding(AdapterFolder adapter, string module) => adapter.Contains($"{Prefix}{module}.lora_embedding_A");

    /// <summary>alpha / rank, or alpha / sqrt(rank).</summary>
    public double Scale(string module)
    {
        var rank = adapter.RankOf(module);
        return AlphaOf(module) / (adapter.Bool("use_rslora") == true ? Math.Sqrt(rank) : rank);
    }

    private double AlphaOf(string module)
    {
        if (adapter.Config.TryGetProperty("alpha_pattern", out var patterns) && patterns.ValueKind == System.Text.Json.JsonValueKind.Object)
            foreach (var entry in patterns.EnumerateObject())
                if (ModulePattern.Key(entry.Name, Folder)(module)) return entry.Value.GetDouble();
        return adapter.Number("lora_alpha") ?? 8; // PEFT's default
    }

    public void Dispose() => adapter.Dispose();
}
