// What the merge kit's checks share: made-up models, the base that the strategy's traits ask for, and the call of Merge.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Testing;

internal sealed record Merging(Subject Subject, ProvidedContract Provided, Sample Sample)
{
    public int Models { get; } = Sample.Number("models") ?? throw new ConformanceException("The sample does not say how many \"models\" its options merge.");

    public IMergeStrategy Strategy(JsonObject? options = null) => Subject.Create<IMergeStrategy>(Provided, options ?? Sample.Options);

    /// <summary>The options for the models in reverse order; null where none give the same.</summary>
    public JsonObject? Reversed => Sample.Json["reversed"] switch
    {
        JsonObject given => (JsonObject)given.DeepClone(),
        JsonValue value when value.TryGetValue<bool>(out var said) && !said => null,
        _ => new JsonObject(Sample.Options.Select(pair => KeyValuePair.Create(pair.Key, Turned(pair.Key, pair.Value)))),
    };

    private JsonNode? Turned(string key, JsonNode? value) =>
        Provided.Options.Find(key) is { PerModel: true } && value is JsonArray list ? new JsonArray([.. list.Reverse().Select(item => item?.DeepClone())]) : value?.DeepClone();

    /// <summary>The bases to try: the given tensor where the strategy measures from one, none where it may do without.</summary>
    public IReadOnlyList<Tensor?> Bases(Tensor origin) =>
        Provided.Traits.Contains(MergeBase.Origin) ? [origin] : Provided.Traits.Contains(MergeBase.OptionalOrigin) ? [origin, null] : [null];

    /// <summary>Whether the strategy takes this number of models; its traits write an interval of whole numbers.</summary>
    public bool Takes(int models)
    {
        var parts = Provided.Inputs.Trim('[', ']', '(', ')').Split(',');
        bool Limit(int part, int none, out int limit)
        {
            limit = none;
            return parts.Length == 2 && (parts[part] == "" || int.TryParse(parts[part], NumberStyles.None, CultureInfo.InvariantCulture, out limit));
        }
        return Limit(0, 0, out var low) && Limit(1, int.MaxValue, out var high) && models >= low && models <= high;
    }

    /// <summary>A base: normal numbers of the size that weights have.</summary>
    public Tensor Origin(long[]? shape = null) => new CounterStream(1, "conformance", "base").Normal(shape ?? [24, 16], 0, 0.5);

    /// <summary>A model: the base and a change of its own.</summary>
    public Tensor Input(int model, long[]? shape = null) => Origin(shape) + new CounterStream(1, "conformance", $"model {model}").Normal(shape ?? [24, 16], 0, 0.1);

    public Tensor[] Inputs(long[]? shape = null) => [.. Enumerable.Range(0, Models).Select(model => Input(model, shape))];

    // numberOf: from the place of an input to the number of its model, which names its random numbers.
    public Tensor Merge(Tensor[] inputs, Tensor? origin, JsonObject? options = null, Func<int, int>? numberOf = null) => Merge(inputs, origin, Strategy(options), numberOf);

    public Tensor Merge(Tensor[] inputs, Tensor? origin, IMergeStrategy strategy, Func<int, int>? numberOf = null) =>
        strategy.Merge(new MergeTensor("model.layers.0.mlp.up_proj.weight", origin, inputs, torch.float32, model => new CounterStream(7, "merge", $"model {numberOf?.Invoke(model) ?? model}")));

    public static Tensor Tensor(JsonNode numbers) => torch.tensor<float>([.. Numbers(numbers).Select(number => (float)number)]);

    public static double[] Numbers(JsonNode numbers) => [.. numbers.AsArray().Select(number => number!.GetValue<double>())];
}
