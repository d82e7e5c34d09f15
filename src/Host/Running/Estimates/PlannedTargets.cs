// Finds names of modules that a training's model does not have, before any job starts: a misspelt target would end its job after others.
// The names follow from config.json, or from what the manifest says of a model that is made in the run; the adapter says what it makes of them.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="shapes">Of the plan's models.</param>
internal sealed class PlannedTargets(Shapes shapes)
{
    // Jobs that differ in seeds, data or methods alone name the same modules of the same model.
    private readonly Dictionary<(DecoderSpec Model, bool IsMade, bool Scores, string Adapter), string?> known = [];

    /// <summary>What is wrong with the modules that a training's adapter names; null where nothing is, the model is not known yet, or the adapter does not say.</summary>
    /// <param name="job">A job of the plan.</param>
    /// <param name="spec">Its options.</param>
    internal string? Fault(PlanJob job, JsonObject spec)
    {
        // A folder to start from says itself what is trained.
        if (job.Kind != "train" || spec["adapter"] is not { } adapter || spec["training"]?["init_adapter"] is not null) return null;
        if (shapes.Model(spec["policy"]!) is not { } model) return null;
        var (isMade, scores) = (spec["policy"]!["weights"] is JsonObject, shapes.Scores(spec["method"]!));
        var key = (model, isMade, scores, adapter.ToJsonString());
        if (known.TryGetValue(key, out var told)) return told;
        // What is made in the run may come to have a head of its own.
        if (isMade) model = model with { TiedHead = false };
        if (scores) model = ClassifierFolder.WithScores(model);
        return known[key] = Fault(model, spec);
    }

    private string? Fault(DecoderSpec model, JsonObject spec)
    {
        try
        {
            if (shapes.Adapter(spec) is IChecksModules adapter) adapter.Check(model.Outline("", torch.CPU, _ => null));
            return null;
        }
        catch (UserErrorException e)
        {
            return e.Message;
        }
    }
}
