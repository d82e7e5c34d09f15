// doc_to_text, doc_to_target, doc_to_choice: a column's name, or a Jinja template over a row.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Core.Metrics;
using PeftAlign.Core.Statistics;
using PeftAlign.Models.Templates;

namespace PeftAlign.Eval.Tasks;

/// <param name="task">The task.</param>
/// <param name="columns">The columns of its rows.</param>
internal sealed class TaskFields(TaskConfig task, IReadOnlySet<string> columns)
{
    private static readonly TextTemplate Value = new("value", "{{ value }}");

    private readonly Dictionary<string, TextTemplate> templates = [];

    /// <summary>The question: a text, or, with choices, a number (the place of the right context).</summary>
    internal JsonNode Question(JsonObject row, JsonNode? field = null) =>
        Given(row, "doc_to_text", field ??= Needed("doc_to_text")) ?? throw task.Fault($"doc_to_text is the column '{field}', which is empty in a row", "fill it, or leave the row out");

    /// <summary>The answer: a text, a number (the place of a choice), a list of texts, or what else a column holds; null where it is empty.</summary>
    internal JsonNode? Target(JsonObject row, JsonNode? field = null)
    {
        var value = Given(row, "doc_to_target", field ?? Needed("doc_to_target"));
        // A template's text that is a list in Python's words is that list, as in the harness.
        if (value is not JsonValue v || !v.TryGetValue<string>(out var text) || text is not ['[', .., ']']) return value;
        if (field is JsonArray || IsColumn(field ?? task.Content["doc_to_target"])) return value;
        return PythonLiteral.TryParse(text, out var list) && list is JsonArray ? list : value;
    }

    /// <summary>The choices; null where the task has none.</summary>
    internal IReadOnlyList<string>? Choices(JsonObject row, JsonNode? field = null)
    {
        field ??= task.Content["doc_to_choice"];
        if (field is null) return null;
        var value = field switch
        {
            JsonArray or JsonObject => field,
            _ when IsColumn(field) => row[(string)field!],
            _ => PythonLiteral.TryParse(Rendered(Text(field, "doc_to_choice"), "doc_to_choice", row), out var list) ? list : null,
        };
        return value switch
        {
            JsonArray list => [.. list.Select(c => Text(c, "doc_to_choice"))],
            JsonObject map => [.. map.Select(c => Text(c.Value, "doc_to_choice"))],
            _ => throw task.Fault($"doc_to_choice gives {value?.ToJsonString() ?? "no list"}", "it must give a list of texts"),
        };
    }

    /// <summary>The description in front of everything; a column or a template.</summary>
    internal string Description(JsonObject row) => task.Text("description") is { Length: > 0 } text
        ? columns.Contains(text) ? Text(row[text], "description") : Rendered(text, "description", row)
        : "";

    internal string Text(JsonNode? node, string field) =>
        node is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw task.Fault($"{field} gives {node?.ToJsonString() ?? "null"}", "it must give a text");

    /// <summary>A value as Python prints it.</summary>
    internal static string Printed(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : Value.Render(new JsonObject { ["value"] = node?.DeepClone() });

    private JsonNode Needed(string field) => task.Content[field] ?? throw task.Fault($"has no '{field}'", "write it");

    private bool IsColumn(JsonNode? field) => field is JsonValue value && value.TryGetValue<string>(out var name) && columns.Contains(name);

    private JsonNode? Given(JsonObject row, string name, JsonNode field)
    {
        if (field is JsonArray || (field is JsonValue given && given.GetValueKind() is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False)) return field.DeepClone();
        if (IsColumn(field)) return row[(string)field!]?.DeepClone();
        var text = Rendered(Text(field, name), name, row);
        // Digits are the place of a choice.
        return text.Length is > 0 and < 10 && text.All(char.IsAsciiDigit) && task.Content["doc_to_choice"] is not null ? int.Parse(text, System.Globalization.CultureInfo.InvariantCulture) : text;
    }

    private string Rendered(string source, string name, JsonObject row)
    {
        if (!templates.TryGetValue(source, out var template)) templates.Add(source, template = new TextTemplate($"{task.Name}, {name}", source, Replaced));
        return template.Render(row);
    }

    private string Replaced(string text, string pattern, string replacement, int count)
    {
        try
        {
            return PythonRegex.Replace(text, pattern, replacement, count);
        }
        catch (StatisticsException e)
        {
            throw task.Fault($"regex_replace: {e.Message.TrimEnd('.')}", "see the field that uses it");
        }
    }
}
