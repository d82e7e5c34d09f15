// What a merge of a plan will take, by the rules of MergeJob: weighted sums of LoRA adapters over one base stay adapters; all else
// becomes full weights, in the widest type of its parents.

using System.Text.Json.Nodes;
using PeftAlign.Merging;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Running.Estimates;

internal static class MergeForecast
{
    internal static JobForecast? Of(JsonObject spec, Shapes shapes)
    {
        if (shapes.Model(spec["base_model"]!) is not { } model) return null;
        List<JsonNode> parents = [.. spec["parents"]!.AsArray().Select(parent => parent!)];
        var parameters = Costs.Parameters(model);
        if (Contracts(spec, shapes, parents) is { } adapters)
        {
            var sum = Costs.Bytes(adapters.Sum(adapter => AdapterShape.Trainable(model, adapter)));
            return new JobForecast(Costs.Start + Costs.Moving(2 * sum), Costs.WeightsProcess + 2 * sum, JobForecast.FolderBytes + sum);
        }
        var bytes = parents.Max(shapes.Width) * parameters;
        var largest = Costs.Bytes(model.Weights().Max(weight => weight.Shape.Aggregate(1L, (a, b) => a * b)));
        return new JobForecast(Costs.Start + Costs.Moving((2 + 6 * parents.Count) * (double)Costs.Bytes(parameters)), Costs.WeightsProcess + (3 + 3 * parents.Count) * largest, JobForecast.FolderBytes + bytes);
    }

    // The parents' adapters where their sum is one; null where the merge goes through full weights.
    private static List<JsonNode>? Contracts(JsonObject spec, Shapes shapes, List<JsonNode> parents)
    {
        var (name, parameters) = ((string)spec["strategy"]!["name"]!, spec["strategy"]!["options"]!.AsObject());
        if (LoraSums.Weights(name[(name.LastIndexOf('/') + 1)..], parameters, parents.Count) is null) return null;
        var adapters = parents.ConvertAll(parent => shapes.LoraOver(parent, spec["base_model"]!));
        return adapters.Any(adapter => adapter is null) || adapters.Any(adapter => !JsonNode.DeepEquals(adapter, adapters[0])) ? null : [.. adapters.Select(adapter => adapter!)];
    }
}
