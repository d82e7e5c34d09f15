// The score head beside any adapter: trained whole, and in the adapter's folder where PEFT puts it for sequence classifiers.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Jobs;

internal static class ScoreHead
{
    /// <summary>An adapter's sites and the head's, unless modules_to_save named it.</summary>
    /// <exception cref="UserErrorException">The adapter changes the head in another way.</exception>
    internal static IReadOnlyList<AdapterSite> With(DecoderModel model, IReadOnlyList<AdapterSite> sites)
    {
        var head = model.Spec.Names.Head;
        if (sites.Any(s => s.Module == head && s.Delta is not Whole)) throw new UserErrorException($"{head} is trained whole in a reward model, and this adapter changes it too; leave it out of targets.");
        return sites.Any(s => s.Module == head) ? sites : [.. sites, new AdapterSite(head, new Whole(model.Head.detach().clone(), null))];
    }

    /// <summary>The adapter's folder with the head in it.</summary>
    internal static AdapterFiles Save(IPeftAdapter adapter, ModelOutline outline, IReadOnlyList<AdapterSite> sites)
    {
        var head = sites.Single(s => s.Delta is Whole && outline.Modules.Any(m => m.Name == s.Module && m.Kind == ModuleKind.Head));
        var files = adapter.Save(outline, [.. sites.Where(s => s != head)]);
        var config = files.Config.DeepClone().AsObject();
        var saved = (config["modules_to_save"] as JsonArray ?? []).Select(name => (string)name!).Append(head.Module).Distinct();
        config["task_type"] = "SEQ_CLS";
        config["modules_to_save"] = new JsonArray([.. saved.Select(name => (JsonNode)name)]);
        return new AdapterFiles(config, files.Tensors.Append(new($"base_model.model.{head.Module}.weight", head.Delta.Parameters["weight"])).ToDictionary());
    }
}
