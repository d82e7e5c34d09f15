// chat_template of a merge: a built-in template's name, a Jinja text, or auto, the template that most of the models have.

using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;

namespace PeftAlign.Merging;

internal static class MergeTemplate
{
    /// <summary>The template's text; null where the leader's stays.</summary>
    /// <exception cref="UserErrorException">It is no known name and no template.</exception>
    public static string? Of(MergePlan plan)
    {
        if (plan.Config.ChatTemplate is not var (text, _)) return null;
        if (text == "auto") return Most(plan);
        return BuiltInTemplates.Knows(text) ? BuiltInTemplates.Get(text, new Dictionary<string, string>()).Source : text;
    }

    /// <summary>Checks the setting before any work.</summary>
    /// <exception cref="UserErrorException">It is no known name and no template.</exception>
    public static void Check(MergeConfig config, MergeFaults faults)
    {
        if (config.ChatTemplate is not var (text, at) || text == "auto" || BuiltInTemplates.Knows(text)) return;
        if (!text.Contains("{{", StringComparison.Ordinal) && !text.Contains("{%", StringComparison.Ordinal))
            throw faults.Error(at, $"chat_template: {BuiltInTemplates.Unknown(text).Message} A Jinja template's text, or auto, can stand here too.");
        try
        {
            _ = new ChatTemplate("chat_template", text, new Dictionary<string, string>());
        }
        catch (ChatTemplateException e)
        {
            throw faults.Error(at, $"chat_template: {e.Message}");
        }
    }

    private static string? Most(MergePlan plan) =>
        plan.Models.Select(model => ChatTemplateLoader.Load(model.Folder)?.Source).Where(source => source is not null)
            .GroupBy(source => source).OrderByDescending(group => group.Count()).FirstOrDefault()?.Key;
}
