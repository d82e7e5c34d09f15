// Jinja texts over a JSON object, as tasks of lm-evaluation-harness write them: no white space is trimmed, and what does not
// exist may not be printed, tested, compared or iterated (StrictUndefined). The sandbox is that of chat templates; tojson is Jinja's own.

using System.Text.Json.Nodes;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Templates;

/// <summary>A template whose variables are the fields of an object.</summary>
public sealed class TextTemplate
{
    private readonly JinjaTemplate template;
    private readonly Func<string, string, string, int, string>? regexReplace;

    /// <summary>Parses a template.</summary>
    /// <param name="name">What errors call it.</param>
    /// <param name="source">Jinja text.</param>
    /// <param name="regexReplace">The filter regex_replace, of text, pattern, replacement and count; null for none.</param>
    /// <exception cref="UserErrorException">The text is no template.</exception>
    public TextTemplate(string name, string source, Func<string, string, string, int, string>? regexReplace = null) =>
        (this.regexReplace, template) = (regexReplace, Named(() => new JinjaTemplate(name, source, trims: false)));

    /// <summary>The text for an object.</summary>
    /// <param name="fields">Its fields are the template's variables.</param>
    /// <exception cref="UserErrorException">The template uses what the object lacks, or fails otherwise.</exception>
    public string Render(JsonObject fields)
    {
        var variables = new Dictionary<string, object?>();
        foreach (var (name, value) in fields) variables[string.Intern(name)] = value is null ? null : PyJson.Value(JsonSerializer.SerializeToElement(value));
        return Named(() => template.Render(new Run(variables, new RenderLimits(), null) { Strict = true, RegexReplace = regexReplace }).Text);
    }

    // This is no chat template, and a reader would look for one.
    private static T Named<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (ChatTemplateException e)
        {
            throw new UserErrorException($"Template {e.Template}, line {e.Line}: {e.Reason}; correct it.", e);
        }
    }
}
