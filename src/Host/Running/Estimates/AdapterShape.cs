// What an adapter trains, from its options alone: they determine it for LoRA; little is known of others before they are made.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Running.Estimates;

internal static class AdapterShape
{
    /// <summary>Numbers that an adapter trains: exact where it has a rank and targets, as LoRA, with the modules that it saves whole; else a hundredth of the model's.</summary>
    internal static long Trainable(DecoderSpec model, JsonNode? adapter)
    {
        if (adapter is null) return Costs.Parameters(model);
        var options = adapter["options"] as JsonObject ?? [];
        if (options["rank"] is not JsonValue value || !value.TryGetValue<long>(out var rank)) return Math.Max(1, Costs.Parameters(model) / 100);
        return rank * Chosen(model, options).Sum(weight => weight.Shape.Sum()) + Saved(model, options).Sum(weight => weight.Shape.Aggregate(1L, (a, b) => a * b));
    }

    /// <summary>Whether an adapter trains a module whole.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">The adapter.</param>
    /// <param name="module">The module's full name.</param>
    internal static bool Saves(DecoderSpec model, JsonNode adapter, string module) => adapter["options"] is JsonObject options && Saved(model, options).Any(weight => weight.Name == module + ".weight");

    // A name's last parts are enough, as PEFT takes them.
    private static IEnumerable<WeightSpec> Saved(DecoderSpec model, JsonObject options)
    {
        string[] names = options["modules_to_save"] is JsonArray list ? [.. list.Select(name => (string)name!)] : [];
        return model.Weights().Where(weight => names.Any(name => $".{weight.Name[..weight.Name.LastIndexOf('.')]}".EndsWith($".{name}", StringComparison.Ordinal)));
    }

    /// <summary>What a training with an adapter, or with none, does beside the products.</summary>
    internal static TrainedWork Work(DecoderSpec model, JsonNode? adapter)
    {
        if (adapter is null) return new TrainedWork(true);
        if (adapter["options"] is not JsonObject options || options["rank"] is not JsonValue) return new TrainedWork(true);
        var (dropout, dora, starts) = ((double?)options["dropout"] > 0, (bool?)options["use_dora"] == true, options["init"] is JsonValue init && (string?)init != "default");
        var chosen = Chosen(model, options).Select(weight => weight.Transposed ? (In: weight.Shape[0], Out: weight.Shape[1]) : (In: weight.Shape[1], Out: weight.Shape[0])).ToList();
        var (inputs, outputs) = (chosen.Sum(matrix => matrix.In), chosen.Sum(matrix => matrix.Out));
        return new TrainedWork(false)
        {
            Copied = dropout || dora || starts ? inputs : 0,
            Dropped = dropout ? inputs : 0,
            Turned = dora ? outputs : 0,
            Started = starts ? outputs : 0,
            Wide = chosen.Exists(matrix => matrix.In > model.Hidden),
        };
    }

    // Where none are named: queries and values, as the families call them.
    private static readonly string[] UsualTargets = ["q_proj", "v_proj", "c_attn", "query_key_value", "query", "value"];

    private static IEnumerable<WeightSpec> Chosen(DecoderSpec model, JsonObject options)
    {
        string[] targets = options["targets"] switch { JsonArray { Count: > 0 } list => [.. list.Select(name => (string)name!)], JsonValue one => [(string)one!], _ => UsualTargets };
        return model.Weights().Where(weight => weight.Role == WeightRole.Matrix && weight.Name.StartsWith(model.Names.Blocks, StringComparison.Ordinal)
            && (targets.Contains("all-linear") || targets.Any(target => weight.Name.EndsWith($".{target}.weight", StringComparison.Ordinal))));
    }
}
