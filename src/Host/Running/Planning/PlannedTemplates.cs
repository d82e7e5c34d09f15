// Finds names of chat templates that are neither the model's own nor built in, before any job starts rather than when the first row is
// rendered. Templates in files need no check here: their contents are part of a job's identity, so planning itself misses them.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Jobs;
using PeftAlign.Models.Templates;

namespace PeftAlign.Host.Running;

internal static class PlannedTemplates
{
    /// <exception cref="Abstractions.UserErrorException">A line for each job with such a name.</exception>
    internal static void ThrowIfUnknown(Plan chosen, string root)
    {
        var own = new Dictionary<string, IReadOnlyList<string>>();
        PlanFaults.ThrowIfAny(chosen, job => Named(JsonNode.Parse(job.Options)).Select(policy => Fault(policy, root, own)).FirstOrDefault(fault => fault is not null));
    }

    private static IEnumerable<JsonObject> Named(JsonNode? node)
    {
        if (node is JsonArray list) return list.SelectMany(Named);
        if (node is not JsonObject entries) return [];
        var inner = entries.SelectMany(entry => Named(entry.Value));
        return entries["weights"] is not null && entries["chat_template"] is JsonValue ? inner.Prepend(entries) : inner;
    }

    // What another job makes may have templates of its own by any name; so may a folder that is not there yet.
    private static string? Fault(JsonObject policy, string root, Dictionary<string, IReadOnlyList<string>> own)
    {
        if (policy["weights"] is not JsonValue weights || Path.Combine(root, (string)weights!) is var folder && !Directory.Exists(folder)) return null;
        if (Policies.TemplateOf(policy, _ => "") is not { Length: > 0 } name || BuiltInTemplates.Knows(name)) return null;
        // The folders of many jobs are one, and a tokenizer's configuration may be long.
        if (!own.TryGetValue(folder, out var names)) own[folder] = names = [.. ChatTemplateLoader.NamesOf(folder)];
        IReadOnlyList<string> known = [.. names, .. BuiltInTemplates.Names];
        return known.Contains(name) ? null
            : $"chat_template: there is no template '{name}'; {Near.DidYouMean(name, known) ?? $"known: {string.Join(", ", known)}."} A file has a '/' in its path or ends in .jinja.";
    }
}
