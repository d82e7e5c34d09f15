// Checks of models as a whole: that they have the layers that config.json counts, that slices continue where others end, that every table
// of token rows is known, so that none keeps those of an older vocabulary.

using PeftAlign.Abstractions;

namespace PeftAlign.Merging;

internal static class ModelFit
{
    /// <summary>Checks that the names of a model's tensors tell as many layers as config.json counts; what was not told would be merged as no layer, or lost.</summary>
    /// <param name="model">The model.</param>
    /// <param name="warn">Told of layers that have another purpose and are left out.</param>
    /// <exception cref="UserErrorException">They do not.</exception>
    public static void CheckLayers(InputModel model, Action<string> warn)
    {
        var (found, count) = (model.Names.Select(TensorNames.Layer).OfType<int>().ToHashSet(), model.Config.LayerCount);
        if (found.Count == 0)
            throw new UserErrorException($"{model.Name}: config.json counts {count} layers, and no tensor is named as one of a layer (layers.N, layer.N, h.N, blocks.N or block.N), so they cannot be told apart; merge a model whose tensors are.");
        var further = model.Config.Json.TryGetProperty("num_nextn_predict_layers", out var value) && value.TryGetInt32(out var number) ? number : 0;
        if (!Enumerable.Range(0, count).All(found.Contains) || found.Max() >= count + Math.Max(0, further))
            throw new UserErrorException($"{model.Name}: config.json counts {count} layers, its tensors hold {found.Count} ({found.Min()} to {found.Max()}); only models in which both agree are merged. Fetch config.json and weights of one release.");
        if (found.Count > count) warn($"{model.Name}: the layers from {count} on (num_nextn_predict_layers) are left out, as in mergekit.");
    }

    /// <summary>Checks that each table of a model is known, so that none keeps the rows of an older vocabulary.</summary>
    /// <exception cref="UserErrorException">One is not.</exception>
    public static void CheckTables(InputModel model)
    {
        if (TensorNames.Embedding(model.Names) is null)
            throw new UserErrorException($"{model.Name}: no tensor is known as its token embedding, so the result's vocabulary cannot be made; leave the tokenizer out where all models share theirs.");
        var (rows, config) = (model.Config.VocabularySize, model.Config);
        // A size that something else has too tells nothing.
        if (rows == config.HiddenSize || rows == config.MaxPositions || rows == config.IntermediateSize) return;
        if (model.Names.FirstOrDefault(name => TensorNames.Layer(name) is null && !TensorNames.IsVocabulary(name) && model.Find(name).Shape.Contains(rows)) is { } unknown)
            throw new UserErrorException($"{model.Name}: {unknown} is of the size of the vocabulary (vocab_size {rows}) and is not known as a table or a head, so the result's vocabulary cannot be made; leave the tokenizer out where all models share theirs.");
    }

    /// <summary>Checks that layers of all slices can stand in one model, and the leader's configuration over them.</summary>
    /// <exception cref="UserErrorException">Some do not fit.</exception>
    public static void CheckSlices(IReadOnlyList<SlicePlan> slices, InputModel leader)
    {
        var first = slices[0].Lead.Model;
        var shapes = Shapes(first);
        foreach (var model in slices.Select(slice => slice.Lead.Model).Append(leader).Distinct().Where(model => model != first))
            CompareShapes(first, shapes, model, Shapes(model));

        foreach (var model in slices.SelectMany(slice => slice.Sources.Select(part => part.Model)).Append(leader).Distinct().Where(model => model != first))
        {
            // These cut a matrix into heads: no shape shows them.
            Same("head_dim", first.Config.HeadDim, model.Config.HeadDim, model);
            Same("num_key_value_heads", first.Config.KeyValueHeadCount, model.Config.KeyValueHeadCount, model);
        }

        void Same(string key, int one, int other, InputModel model)
        {
            if (one != other) throw new UserErrorException($"the models do not fit: {key} is {one} in {first.Name} and {other} in {model.Name}; merge models of one shape.");
        }
    }

    /// <summary>Checks that the embedding of the first slice and the head of the last have one vocabulary, which is the leader's.</summary>
    /// <exception cref="UserErrorException">They differ.</exception>
    public static void CheckVocabulary(IReadOnlyList<PlannedTensor> tensors, IReadOnlyList<SlicePlan> slices, InputModel leader)
    {
        const string Choose = "say which tokenizer the result has (tokenizer_source: base, union or a model)";
        var (table, head) = (tensors.FirstOrDefault(tensor => TensorNames.IsTable(tensor.Name)), tensors.FirstOrDefault(tensor => TensorNames.IsHead(tensor.Name)));
        var (first, last) = (slices[0].Lead.Model, slices[^1].Lead.Model);
        if (first != last && table is not null && head is not null && table.Shape[0] != head.Shape[0])
            throw new UserErrorException($"vocabularies differ: {table.Name} has {table.Shape[0]} rows in {first.Name} and {head.Name} {head.Shape[0]} in {last.Name}; {Choose}.");
        if (table is not null && slices[0].Sources.All(part => part.Model != leader) && leader.Config.VocabularySize != first.Config.VocabularySize)
            throw new UserErrorException($"vocabularies differ: vocab_size is {leader.Config.VocabularySize} in {leader.Name}, whose configuration the result has, and {first.Config.VocabularySize} in {first.Name}, whose embedding it has; {Choose}.");
    }

    // The shapes that a tensor has in any layer, by its name in the first: an architecture's layers may differ on purpose.
    private static Dictionary<string, HashSet<string>> Shapes(InputModel model)
    {
        var shapes = new Dictionary<string, HashSet<string>>();
        foreach (var name in model.Names.Where(name => TensorNames.Layer(name) < model.Config.LayerCount && !TensorNames.IsOptional(name)))
        {
            var first = TensorNames.InLayer(name, 0);
            if (!shapes.TryGetValue(first, out var all)) shapes[first] = all = [];
            all.Add($"[{string.Join(", ", model.Find(name).Shape)}]");
        }
        return shapes;
    }

    private static void CompareShapes(InputModel one, Dictionary<string, HashSet<string>> ofOne, InputModel other, Dictionary<string, HashSet<string>> ofOther)
    {
        foreach (var name in ofOne.Keys.Union(ofOther.Keys).Order(StringComparer.Ordinal))
        {
            var (a, b) = (ofOne.GetValueOrDefault(name), ofOther.GetValueOrDefault(name));
            if (a is not null && b is not null && a.SetEquals(b)) continue;
            throw new UserErrorException(a is null || b is null
                ? $"the slices do not fit: layers of {(a is null ? other : one).Name} have {name}, those of {(a is null ? one : other).Name} do not; take layers of models of one shape."
                : $"the slices do not fit: {name} is {Any(a, b)} in {one.Name} and {Any(b, a)} in {other.Name}; take layers of models of one shape.");
        }

        // A shape that the other lacks.
        static string Any(HashSet<string> own, HashSet<string> foreign) => string.Join(" or ", own.Except(foreign).DefaultIfEmpty("nothing else").Order(StringComparer.Ordinal));
    }
}
