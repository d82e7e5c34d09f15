// What a LoRA adapter's folder holds beside its pairs: whole tensors that replace the base's (modules_to_save, and the embeddings
// that PEFT saves beside their pairs) and rows of trained tokens. A tensor that belongs to no weight is refused, since nothing is silently
// left out of a merge.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

internal sealed class LoraExtras
{
    private const string Prefix = "base_model.model.";
    private const string Weight = ".weight";
    private const string TokenRows = ".token_adapter.trainable_tokens_delta";

    private static readonly string[] Halves = [".lora_A.", ".lora_B.", ".lora_embedding_A", ".lora_embedding_B"];

    private readonly AdapterFolder adapter;
    private readonly IReadOnlyDictionary<string, StoredTensor> weights;
    private readonly BaseHead head;
    private readonly Dictionary<string, StoredTensor> wholes = [];
    private readonly Dictionary<string, (StoredTensor Rows, long[] Ids)> rows = [];

    /// <param name="adapter">The adapter.</param>
    /// <param name="weights">The base's tensors by name.</param>
    /// <param name="head">The base's.</param>
    /// <exception cref="UserErrorException">A tensor belongs to no weight of the base, or has another shape.</exception>
    public LoraExtras(AdapterFolder adapter, IReadOnlyDictionary<string, StoredTensor> weights, BaseHead head)
    {
        (this.adapter, this.weights, this.head) = (adapter, weights, head);
        var saved = adapter.Texts("modules_to_save") ?? [];
        HashSet<string> lengths = adapter.Bool("use_dora") == true ? [.. adapter.LoraModules.Select(LoraWeights.MagnitudeOf)] : [];
        foreach (var stored in adapter.Tensors.Where(tensor => !IsOfPair(tensor.Name) && !lengths.Contains(tensor.Name)))
            if (!stored.Name.StartsWith(Prefix, StringComparison.Ordinal)) throw Unknown(stored);
            else if (stored.Name.EndsWith(TokenRows, StringComparison.Ordinal)) AddRows(stored, stored.Name[Prefix.Length..^TokenRows.Length]);
            else if (!IsWrapping(stored)) AddWhole(stored, Plain(stored.Name), saved);
    }

    /// <summary>Whether a tensor is one of a LoRA pair.</summary>
    /// <param name="name">Its name in the adapter.</param>
    public static bool IsOfPair(string name) => Halves.Any(half => name.Contains(half, StringComparison.Ordinal));

    /// <summary>The tensor that stands in a weight's place, in a type; null where none does.</summary>
    /// <param name="name">The weight's name.</param>
    /// <param name="type">The base's.</param>
    public Tensor? Whole(string name, torch.ScalarType type) => wholes.TryGetValue(name, out var stored) ? adapter.Tensor(stored.Name).to(type) : null;

    /// <summary>A weight with the trained tokens' rows; null where it has none.</summary>
    /// <param name="name">The weight's name.</param>
    /// <param name="weight">The weight; it stays as it is.</param>
    public Tensor? WithRows(string name, Tensor weight) => rows.TryGetValue(name, out var own)
        ? weight.clone().index_copy_(0, torch.tensor(own.Ids), adapter.Tensor(own.Rows.Name).to(weight.dtype))
        : null;

    // The weight that a tensor stands for; under a pair, or under trained rows, it is the base's own.
    private static string Plain(string name) =>
        name[Prefix.Length..].Replace(".token_adapter.base_layer.", ".", StringComparison.Ordinal).Replace(".base_layer.", ".", StringComparison.Ordinal);

    // What PEFT wraps around a module that is trained whole, where the vocabulary was resized: a copy, and what the module was.
    private bool IsWrapping(StoredTensor stored)
    {
        foreach (var part in (string[])[".modules_to_save.", ".original_module."])
            if (stored.Name.Contains(part, StringComparison.Ordinal) && adapter.Contains(stored.Name.Replace(part, ".", StringComparison.Ordinal))) return true;
        return false;
    }

    private void AddWhole(StoredTensor stored, string name, IReadOnlyList<string> saved)
    {
        if (IsSharing(name) && HasCopy(stored, name, head.IsOnly)) return;
        if ((IsSharing(name) || (head.IsOnly(name) && !HasCopy(stored, name, IsSharing))) && saved.Any(entry => WholeModules.Means(entry, name[..^Weight.Length])))
            throw new UserErrorException($"{adapter.Path}: modules_to_save trains {name} apart from the tensor that it shares in the base (tie_word_embeddings); merged weights would compute something else. Keep the adapter, or train both as one (ensure_weight_tying of PEFT).");
        if (!weights.TryGetValue(name, out var own)) throw Unknown(stored);
        if (!own.Shape.SequenceEqual(stored.Shape))
            throw new UserErrorException($"{adapter.Path}: its tensor '{stored.Name}' is {Shape(stored)}, and the base's {name} is {Shape(own)}; {(TensorNames.IsVocabulary(name)
                ? $"it was trained after the vocabulary was resized. {(stored.Shape[0] > own.Shape[0] ? "Give what 'adapter merge' makes of the two, or" : "Give")} that base: resize_token_embeddings({stored.Shape[0]}) and save_pretrained of transformers make it"
                : "the adapter is of another model. Give the model that it was trained on")}.");
        wholes[name] = stored;
    }

    // A head without a tensor of its own.
    private bool IsSharing(string weight) => TensorNames.IsHead(weight) && !weights.ContainsKey(weight) && weights.Keys.Any(head.IsOnly);

    // PEFT writes both names of a tied tensor.
    private bool HasCopy(StoredTensor stored, string weight, Func<string, bool> of)
    {
        using var scope = torch.NewDisposeScope();
        var part = stored.Name[(Prefix.Length + weight.Length - Weight.Length)..];
        return adapter.Names.Any(name => name != stored.Name && name.Length > Prefix.Length + part.Length && name.StartsWith(Prefix, StringComparison.Ordinal)
            && name.EndsWith(part, StringComparison.Ordinal) && of(name[Prefix.Length..^part.Length] + Weight) && adapter.Tensor(name).equal(adapter.Tensor(stored.Name)));
    }

    private void AddRows(StoredTensor stored, string module)
    {
        if (!weights.TryGetValue(module + Weight, out var own))
        {
            // A head that shares the embedding's weight has the same rows.
            if (IsSharing(module + Weight) && HasCopy(stored, module + Weight, head.IsOnly)) return;
            throw Unknown(stored);
        }
        var ids = Ids(module);
        foreach (var id in ids)
            if (id < 0 || id >= own.Shape[0]) throw adapter.Wrong("trainable_token_indices", $"ids of the {own.Shape[0]} rows of {module}, of which {id} is none");
        if (!stored.Shape.SequenceEqual([ids.Length, own.Shape[1]]))
            throw new UserErrorException($"{adapter.Path}: its tensor '{stored.Name}' is {Shape(stored)}, and its trainable_token_indices over the base's {module} need [{ids.Length}, {own.Shape[1]}]; give the model that it was trained on.");
        rows[module + Weight] = (stored, ids);
    }

    // A list is the token embedding's; a mapping names modules by how they end.
    private long[] Ids(string module)
    {
        const string Key = "trainable_token_indices";
        var given = adapter.Config.TryGetProperty(Key, out var value) ? value : default;
        if (given.ValueKind == JsonValueKind.Object) given = given.EnumerateObject().FirstOrDefault(entry => module.EndsWith(entry.Name, StringComparison.Ordinal)).Value;
        if (given.ValueKind != JsonValueKind.Array || given.EnumerateArray().Any(id => id.ValueKind != JsonValueKind.Number || !id.TryGetInt64(out _)))
            throw adapter.Wrong(Key, $"the ids of the trained rows of {module}");
        return [.. given.EnumerateArray().Select(id => id.GetInt64())];
    }

    private UserErrorException Unknown(StoredTensor stored) =>
        new($"{adapter.Path}: its tensor '{stored.Name}' belongs to no weight of the base, and nothing is left out of a merge. It is of another model or of a newer format: give the model that it was trained on.");

    private static string Shape(StoredTensor tensor) => $"[{string.Join(", ", tensor.Shape)}]";
}
