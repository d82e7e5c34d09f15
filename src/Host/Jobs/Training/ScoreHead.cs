// The score head beside any adapter: trained as a whole, and saved in the adapter's folder where PEFT has it for sequence classifiers.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Core;
using PeftAlign.Host.Running;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Jobs;

internal static class ScoreHead
{
    /// <summary>An adapter's sites and the head's, unless modules_to_save named it.</summary>
    /// <exception cref="UserErrorException">The adapter changes the head in another way.</exception>
    internal static IReadOnlyList<AdapterSite> With(DecoderModel model, IReadOnlyList<AdapterSite> sites)
    {
        var head = model.Spec.Names.Head;
        ThrowIfChanged(head, sites);
        return sites.Any(s => s.Module == head) ? sites : [.. sites, new AdapterSite(head, new Whole(model.Head.detach().clone(), null))];
    }

    /// <exception cref="UserErrorException">The adapter changes the head otherwise than as a whole.</exception>
    internal static void ThrowIfChanged(string head, IReadOnlyList<AdapterSite> sites)
    {
        if (sites.Any(s => s.Module == head && s.Delta is not Whole)) throw Changed(head);
    }

    /// <summary>What a plan tells without a model: targets that name the head of a method that trains it.</summary>
    /// <exception cref="UserErrorException">A line for each training that asks for it.</exception>
    internal static void ThrowIfTarget(Plan plan, PluginCatalogue plugins) =>
        PlanFaults.ThrowIfAny(plan, job => job.Kind == "train" && IsTarget(JsonNode.Parse(job.Options)!.AsObject(), plugins) ? Changed(ClassifierFolder.HeadName).Message : null);

    private static bool IsTarget(JsonObject training, PluginCatalogue plugins)
    {
        if (training["adapter"]?["options"] is not JsonObject options || !plugins.Find("method", (string)training["method"]!["name"]!).Contract.Traits.Contains("scores")) return false;
        return new ModuleTargets(Names("targets")) { Exclude = Names("exclude_modules"), Saved = Names("modules_to_save") }.Takes(ClassifierFolder.HeadName);

        string[] Names(string option) => options[option] switch { JsonArray names => [.. names.Select(name => (string)name!)], JsonValue one => [(string)one!], _ => [] };
    }

    private static UserErrorException Changed(string head) => new($"{head} is trained whole in a reward model, and this adapter changes it too; leave it out of targets.");

    /// <summary>The adapter's folder with the head in it.</summary>
    internal static AdapterFiles Save(IPeftAdapter adapter, ModelOutline outline, IReadOnlyList<AdapterSite> sites)
    {
        var head = sites.Single(s => s.Delta is Whole && outline.Modules.Any(m => m.Name == s.Module && m.Kind == ModuleKind.Head));
        var files = adapter.Saved(outline, [.. sites.Where(s => s != head)]);
        var config = files.Config.DeepClone().AsObject();
        var saved = (config["modules_to_save"] as JsonArray ?? []).Select(name => (string)name!).Append(head.Module).Distinct();
        config["task_type"] = "SEQ_CLS";
        config["modules_to_save"] = new JsonArray([.. saved.Select(name => (JsonNode)name)]);
        return new AdapterFiles(config, files.Tensors.Append(new(NameIn(config, head.Module), head.Delta.Parameters["weight"])).ToDictionary());
    }

    /// <summary>What a folder changes of a model: for virtual tokens of a classifier the head too, which their reader knows nothing of.</summary>
    /// <exception cref="UserErrorException">The folder is of another model.</exception>
    internal static IReadOnlyList<AdapterSite> Load(IPeftAdapter reader, ModelOutline model, AdapterFiles files)
    {
        var config = files.Config;
        if (!IsFront(config) || config.Text("task_type") != "SEQ_CLS" || model.Spec is not { Labels: not null, Names.Head: var module }) return reader.Loaded(model, files);
        var (head, name) = (model.Modules.Single(m => m.Name == module), NameIn(config, module));
        var weight = new AdapterTensors(files.Tensors).Take(name, [head.Outputs, head.Inputs], head.Device);
        var others = config.Texts("modules_to_save").Except(["classifier", "score"]).ToList(); // PEFT names both heads of classifiers
        config = config.DeepClone().AsObject();
        config["modules_to_save"] = others.Count == 0 ? null : new JsonArray([.. others.Select(other => (JsonNode)other)]);
        return [.. reader.Loaded(model, new AdapterFiles(config, files.Tensors.Where(tensor => tensor.Key != name).ToDictionary())), new AdapterSite(module, new Whole(weight, null))];
    }

    // PEFT wraps no layers for what stands before the text.
    private static string NameIn(JsonObject config, string head) => $"base_model.{(IsFront(config) ? "" : "model.")}{head}.weight";

    private static bool IsFront(JsonObject config) => config["num_virtual_tokens"] is not null;
}
