// From a configuration to a plan: opens the models, goes through the slices, resolves the parameters of every tensor, and checks
// names, shapes and types, all from headers.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;
using ScalarType = PeftAlign.Torch.torch.ScalarType;

namespace PeftAlign.Merging;

/// <summary>A strategy as the plugins provide it.</summary>
/// <param name="Contract">Its parameters, arity and traits.</param>
/// <param name="Create">Makes an instance from resolved parameters.</param>
internal sealed record ProvidedStrategy(ProvidedContract Contract, Func<JsonObject, IMergeStrategy> Create);

internal sealed class MergePlanner
{
    private readonly MergeConfig config;
    private readonly MergeFaults faults;
    private readonly ParameterResolver resolver;
    private readonly Dictionary<ModelName, InputModel> models = [];
    private readonly Func<string, ModelPlace> locate;
    private readonly HashSet<string> dropped = [];
    private Vocabulary? vocabulary;

    private MergePlanner(MergeConfig config, ProvidedStrategy strategy, Func<string, ModelPlace> locate, MergeFaults faults)
    {
        (this.config, this.locate, this.faults) = (config, locate, faults);
        resolver = new ParameterResolver(config, strategy.Contract.Options, strategy.Create);
    }

    /// <summary>Plans a merge; reads headers and tokenizers only.</summary>
    /// <param name="config">What to merge.</param>
    /// <param name="strategy">How.</param>
    /// <param name="locate">Where a model lies.</param>
    /// <param name="faults">Says where the file is wrong, takes warnings.</param>
    /// <exception cref="UserErrorException">The models cannot be merged like this.</exception>
    public static MergePlan Plan(MergeConfig config, ProvidedStrategy strategy, Func<string, ModelPlace> locate, MergeFaults faults)
    {
        var planner = new MergePlanner(config, strategy, locate, faults);
        try
        {
            return planner.Make(strategy.Contract);
        }
        catch
        {
            foreach (var model in planner.models.Values) model.Dispose();
            throw;
        }
    }

    private MergePlan Make(ProvidedContract contract)
    {
        if (config.BaseModel is { } name) Open(name);
        var role = contract.Traits.FirstOrDefault(trait => trait.StartsWith("base-", StringComparison.Ordinal)) ?? "";
        var slices = config.Slices.Select(slice => SlicePlan.Of(config, slice, Open, contract.Inputs, role, faults)).ToList();
        var leader = config.BaseModel is { } chosen ? Open(chosen) : slices[0].Sources[0].Model;
        var types = slices.Select(slice => slice.Sources[0].Model.Config.ModelType).Append(leader.Config.ModelType).Distinct().ToList();
        if (types.Count > 1) throw new UserErrorException($"architectures differ between slices: {string.Join(", ", types)}.");
        foreach (var model in slices.SelectMany(slice => slice.Sources.Select(part => part.Model)).Distinct())
        {
            ModelFit.CheckLayers(model, faults.Warn);
            if (config.Tokenizer is not null) ModelFit.CheckTables(model);
        }
        ModelFit.CheckSlices(slices, leader);
        vocabulary = config.Tokenizer is { } tokenizer ? Vocabulary.Of(tokenizer, [leader, .. models.Values.Where(m => m != leader)], leader, Open, faults) : null;
        var tensors = Outside(slices[0], before: true).ToList();
        var layer = 0;
        foreach (var slice in slices)
            for (var k = 0; k < slice.Layers; k++) tensors.AddRange(Layer(slice, k, layer++));
        tensors.AddRange(Outside(slices[^1], before: false));
        tensors.AddRange(LostHead(slices, leader, tensors));
        if (vocabulary is null) ModelFit.CheckVocabulary(tensors, slices, leader);
        WarnOfFilters();
        if (dropped.Count > 0) faults.Warn($"{dropped.Count} tensors are not part of every model and are left out: {string.Join(", ", dropped.Take(4))}{(dropped.Count > 4 ? " ..." : "")}.");
        foreach (var warning in models.Values.SelectMany(model => model.Warnings)) faults.Warn(warning);
        var plan = new MergePlan(config, tensors, [leader, .. models.Values.Where(m => m != leader)], leader, layer, vocabulary, faults.Warnings)
        {
            Sources = [.. slices.SelectMany(slice => Enumerable.Range(0, (int)slice.Layers).Select(k => (slice.Lead.Model, slice.Lead.First + k)))],
        };
        if (plan.Moves)
            foreach (var model in plan.Sources.Select(source => source.Model).Distinct()) DerivedLayers.ThrowIfUnknown(model, LayerLists.Lists(model));
        return plan;
    }

    private InputModel Open(ModelName name)
    {
        if (models.TryGetValue(name, out var model)) return model;
        try
        {
            return models[name] = InputModel.Open(name.Text, locate);
        }
        catch (UserErrorException e)
        {
            throw faults.Error(name.At, e.Message);
        }
    }

    // Gradients stand at their beginning before the first and after the last layer.
    private IEnumerable<PlannedTensor> Outside(SlicePlan slice, bool before)
    {
        bool Belongs(string name) => TensorNames.Layer(name) is null && TensorNames.IsBefore(name) == before;
        foreach (var name in Names(slice, Belongs, null))
            yield return Tensor(slice, name, _ => name, 0);
    }

    private IEnumerable<PlannedTensor> Layer(SlicePlan slice, int offset, int layer)
    {
        var t = slice.Layers > 1 ? offset / (double)(slice.Layers - 1) : 1;
        var lead = slice.Lead;
        string In(SlicePlan.Part part, string name) => TensorNames.InLayer(name, part.First + offset);
        foreach (var name in Names(slice, name => TensorNames.Layer(name) == lead.First + offset, offset))
            yield return Tensor(slice, TensorNames.InLayer(name, layer), part => In(part, name), t);
    }

    // Where the last slice's models share their heads with their embeddings, the result has their head if its configuration asks for one.
    private IEnumerable<PlannedTensor> LostHead(List<SlicePlan> slices, InputModel leader, List<PlannedTensor> tensors)
    {
        if (tensors.Any(tensor => TensorNames.IsHead(tensor.Name))) yield break;
        var (first, last) = (slices[0].Lead.Model, slices[^1].Lead.Model);
        if (!leader.Config.TieWordEmbeddings && leader.Names.FirstOrDefault(TensorNames.IsHead) is { } head) yield return Tensor(slices[^1], head, _ => head, 0);
        else if (first != last && last.Config.TieWordEmbeddings && last.Config.Architectures.Any(name => name.EndsWith("ForCausalLM", StringComparison.Ordinal) || name.EndsWith("LMHeadModel", StringComparison.Ordinal)))
            faults.Warn($"the head of {last.Name} is its embedding (tie_word_embeddings); that of the result is its own, the embedding of {first.Name}, as in mergekit.");
    }

    // The tensors of one place: those of the leading model, a head that any has; biases only where all have them.
    private List<string> Names(SlicePlan slice, Func<string, bool> belongs, int? offset)
    {
        var lead = slice.Lead;
        var names = Weights(lead.Model).Where(belongs).ToList();
        foreach (var part in slice.Sources.Where(part => part != lead))
        {
            string Own(string name) => offset is { } k ? TensorNames.InLayer(name, part.First + k) : name;
            var own = Weights(part.Model).Where(name => offset is { } k ? TensorNames.Layer(name) == part.First + k : belongs(name))
                .Select(name => offset is { } k ? TensorNames.InLayer(name, lead.First + k) : name).ToHashSet();
            foreach (var name in names.Where(name => TensorNames.IsOptional(name) && !own.Contains(name))) dropped.Add(name);
            names.RemoveAll(name => TensorNames.IsOptional(name) && !own.Contains(name));
            foreach (var name in own.Where(name => !lead.Model.Has(name)))
                if (TensorNames.IsHead(name)) names.Add(name);
                else if (TensorNames.IsOptional(name)) dropped.Add(Own(name));
                else throw new UserErrorException($"the tensor {name} is in {part.Model.Name} but not in {lead.Model.Name}; the checkpoint is incomplete or of another architecture.");
        }
        return [.. names.Distinct().Order(StringComparer.Ordinal)];
    }

    // All but the tables that a model computes anew; those in floating point are merged, as in mergekit.
    private static IEnumerable<string> Weights(InputModel model) => model.Names.Where(name => !StoredNames.IsTable(name) || !CopyStrategy.Takes(model.Find(name).DType));

    private PlannedTensor Tensor(SlicePlan slice, string name, Func<SlicePlan.Part, string> nameIn, double t)
    {
        InputTensor Input(SlicePlan.Part part) => new(part.Model, Existing(part.Model, nameIn(part)));
        var inputs = slice.Inputs.Select(Input).ToList();
        InputTensor? origin = slice.Base is { } part ? Input(part) : null;
        InputTensor[] all = origin is { } one ? [.. inputs, one] : [.. inputs];
        if (all.Any(input => CopyStrategy.Takes(input.Model.Find(input.Name).DType))) return CopyStrategy.Plan(name, all);
        var strategy = resolver.Strategy(name, [.. slice.Inputs.Select((p, k) => (p.Config, nameIn(p), p.Added))], slice.Config, t);
        var rows = vocabulary is not null && TensorNames.IsVocabulary(name) ? vocabulary.Rows([.. slice.Sources.Select(s => s.Model)], [.. all.Select(input => input.Model)], Origin(slice)) : null;
        var shape = Shape(name, all, rows);
        var stored = all.Select(input => input.Model.Find(input.Name).DType).ToList();
        if (stored.FirstOrDefault(type => type is not (ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16 or ScalarType.Float64), ScalarType.Float32) is var odd and not ScalarType.Float32)
            throw new UserErrorException($"the tensor {name} is of type {odd}; only floating-point tensors are merged.");
        var promoted = stored.Aggregate(Promoted);
        ScalarType? dtype = config.Dtype is { } given ? Parse(given) : null;
        return new PlannedTensor(name, inputs, origin, strategy, dtype is ScalarType.BFloat16 or ScalarType.Float16 ? dtype : null,
            config.OutDtype is { } result ? Parse(result) : dtype ?? promoted, shape, rows);
    }

    private InputModel? Origin(SlicePlan slice) => (slice.Config.BaseModel ?? config.BaseModel) is { } name ? models.GetValueOrDefault(name) : null;

    // A tied model's embedding stands in for its head.
    private static string Existing(InputModel model, string name)
    {
        if (model.Has(name)) return name;
        if (TensorNames.IsHead(name) && TensorNames.Embedding(model.Names) is { } embedding) return embedding;
        throw new UserErrorException($"the tensor {name} is missing in {model.Name}; the checkpoint is incomplete or of another architecture.");
    }

    private static long[] Shape(string name, InputTensor[] inputs, VocabularyRows? rows)
    {
        var shapes = inputs.Select(input => input.Model.Find(input.Name).Shape.ToArray()).ToArray();
        var skip = rows is null ? 0 : 1;
        for (var k = 1; k < shapes.Length; k++)
        {
            if (shapes[k].Skip(skip).SequenceEqual(shapes[0].Skip(skip))) continue;
            var vocabularies = TensorNames.IsVocabulary(name) && shapes[k].Skip(1).SequenceEqual(shapes[0].Skip(1));
            throw new UserErrorException(vocabularies
                ? $"vocabularies differ: {name} has {shapes[0][0]} rows in {inputs[0].Model.Name} and {shapes[k][0]} in {inputs[k].Model.Name}; say which tokenizer the result has (tokenizer_source: base, union or a model)."
                : $"shapes differ: {name} is [{string.Join(", ", shapes[0])}] in {inputs[0].Model.Name} and [{string.Join(", ", shapes[k])}] in {inputs[k].Model.Name}.");
        }
        return rows is null ? shapes[0] : [rows.Count, .. shapes[0].Skip(1)];
    }

    private void WarnOfFilters()
    {
        var all = config.Slices.SelectMany(slice => slice.Sources.Select(source => source.Parameters).Append(slice.Parameters)).Append(config.ModuleParameters).Append(config.Parameters);
        foreach (var one in all.SelectMany(settings => settings.ByName.Values).OfType<Filtered>().SelectMany(filtered => filtered.Cases))
        {
            if (one.Filter is null or "*") continue;
            if (one.Matched is null) faults.Warn(one.At, $"the filter '{one.Filter}' matches no tensor.");
            // 'attention' is part of post_attention_layernorm; the weights of attention are called self_attn.
            else if (one.Matched.Contains("norm", StringComparison.Ordinal) && !one.Filter.Contains("norm", StringComparison.Ordinal))
                faults.Warn(one.At, $"the filter '{one.Filter}' matches no tensor but norms, such as {one.Matched}; was another part of the names meant?");
        }
    }

    internal static ScalarType Parse(string dtype) => dtype switch
    {
        "bfloat16" => ScalarType.BFloat16,
        "float16" => ScalarType.Float16,
        "float64" => ScalarType.Float64,
        _ => ScalarType.Float32,
    };

    // libtorch's promotion: the two 16-bit types meet in float32.
    private static ScalarType Promoted(ScalarType a, ScalarType b)
    {
        if (a == b) return a;
        return a == ScalarType.Float64 || b == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
    }
}
