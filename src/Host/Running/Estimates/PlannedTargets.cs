// Finds names of modules that a training's model does not have, before any job starts: a misspelt target would end its job after others.
// The names follow from config.json, or from what the manifest says of a model that is made in the run.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="planned">The plan.</param>
/// <param name="shapes">Of its models.</param>
internal sealed class PlannedTargets(Planned planned, Shapes shapes)
{
    private static readonly ModuleKind[] Kinds = Enum.GetValues<ModuleKind>();

    // Jobs that differ in seeds, data or methods alone name the same modules of the same model.
    private readonly Dictionary<(DecoderSpec Model, bool IsMade, bool Scores, string Adapter), string?> known = [];

    /// <summary>What is wrong with the modules that a training's adapter names; null where nothing is, or the model is not known yet. What a third
    /// party's adapter means by its options is its own.</summary>
    /// <param name="job">A job of the plan.</param>
    /// <param name="spec">Its options.</param>
    internal string? Fault(PlanJob job, JsonObject spec)
    {
        if (job.Kind != "train" || job.Plugins.Any(id => planned.Plugins.TryGetValue(id, out var plugin) && plugin.Origin != PluginOrigin.Product)) return null;
        // A folder to start from says itself what is trained.
        if (spec["adapter"]?["options"] is not JsonObject options || spec["training"]?["init_adapter"] is not null) return null;
        var (targets, saved) = (Names(options["targets"]), Names(options["modules_to_save"]));
        if ((targets.Count == 0 && saved.Count == 0) || shapes.Model(spec["policy"]!) is not { } model) return null;
        var (isMade, scores) = (spec["policy"]!["weights"] is JsonObject, shapes.Scores(spec["method"]!));
        var key = (model, isMade, scores, options.ToJsonString());
        if (known.TryGetValue(key, out var told)) return told;
        // What is made in the run may come to have a head of its own.
        if (isMade) model = model with { TiedHead = false };
        if (scores) model = ClassifierFolder.WithScores(model);
        return known[key] = Fault(model, options, targets, saved);
    }

    private static string? Fault(DecoderSpec model, JsonObject options, List<string> targets, List<string> saved)
    {
        try
        {
            var outline = model.Outline("", torch.CPU, _ => null);
            if (targets.Count > 0) Choice(options, targets, saved).Choose(outline, Kinds);
            WholeModules.Choose(outline, saved);
            return null;
        }
        catch (UserErrorException e)
        {
            return e.Message;
        }
    }

    private static ModuleTargets Choice(JsonObject options, List<string> targets, List<string> saved) => new(targets)
    {
        Exclude = Names(options["exclude_modules"]),
        Layers = options["layers_to_transform"] switch { JsonArray blocks => [.. blocks.Select(block => (int)block!)], JsonValue one => [(int)one!], _ => [] },
        LayersPattern = Names(options["layers_pattern"]),
        Saved = saved,
    };

    private static List<string> Names(JsonNode? option) => option switch { JsonArray names => [.. names.Select(name => (string)name!)], JsonValue one => [(string)one!], _ => [] };
}
