// A parsed Jinja template: renders variables to text, under the sandbox's limits, with the settings that transformers
// uses (trim_blocks, lstrip_blocks, loop controls, generation blocks, immutable values).
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Templates;

internal sealed class JinjaTemplate
{
    /// <summary>UTF-16 units of the longest template that is read.</summary>
    public const int MaxLength = 1 << 20;

    private readonly string name;
    private readonly Block body;

    /// <summary>Parses a template.</summary>
    /// <exception cref="ChatTemplateException">Syntax or Limit, with the line.</exception>
    public JinjaTemplate(string name, string source, bool trims = true)
    {
        this.name = name;
        int line = 0;
        try
        {
            if (source.Length > MaxLength)
                throw new Fault(ChatTemplateErrorKind.Limit, $"it has {source.Length} characters; the limit is {MaxLength}");
            body = Parser.Parse(source, trims, out line);
        }
        catch (Fault fault)
        {
            throw new ChatTemplateException(fault.Kind, name, line, fault.Message, fault);
        }
    }

    /// <summary>Renders the template; spans are in code points.</summary>
    /// <exception cref="ChatTemplateException">What went wrong, with the line.</exception>
    public RenderedChat Render(IReadOnlyDictionary<string, object?> variables, RenderLimits limits, DateTime? now) =>
        Render(new Run(variables, limits, now));

    /// <summary>Renders the template into a run.</summary>
    /// <exception cref="ChatTemplateException">What went wrong, with the line.</exception>
    public RenderedChat Render(Run run)
    {
        try
        {
            return run.Meter.Run(() =>
            {
                body.Execute(run.Root);
                string text = run.Text;
                return new RenderedChat(text, Spans(run, text));
            });
        }
        catch (Fault fault)
        {
            throw new ChatTemplateException(fault.Kind, name, run.Line, fault.Message, fault);
        }
    }

    private static List<CodePointSpan> Spans(Run run, string text)
    {
        var spans = new List<CodePointSpan>();
        (int units, int points) = (0, 0);
        foreach ((int start, int length) in run.Generated)
        {
            if (start < units) (units, points) = (0, 0);
            points += PyText.Length(text.AsSpan(units, start - units));
            units = start;
            spans.Add(new CodePointSpan(points, points + length));
        }

        return spans;
    }
}
