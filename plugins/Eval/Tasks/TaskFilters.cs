// Filters: how an answer is read out of generated text, step by step, as lm-evaluation-harness names them.

using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Core.Metrics;
using PeftAlign.Models.Templates;

namespace PeftAlign.Eval.Tasks;

internal static class TaskFilters
{
    private static readonly Dictionary<string, string[]> Arguments = new()
    {
        ["regex"] = ["regex_pattern", "group_select", "fallback"],
        ["remove_whitespace"] = [],
        ["lowercase"] = [],
        ["uppercase"] = [],
        ["map"] = ["mapping_dict", "default_value"],
        ["take_first"] = [],
    };

    /// <exception cref="Abstractions.UserErrorException">A step or argument is not supported.</exception>
    internal static void Check(TaskConfig task, TaskFilter filter)
    {
        // What take_first gave is a text, whose characters the harness takes for answers; a second one takes the first of them.
        if (filter.Steps.Any(IsTakeFirst) && !filter.TakesFirst) throw task.Fault($"filter '{filter.Name}' has a step after its last take_first, which lm-evaluation-harness applies to each character by itself", "put take_first last");
        foreach (var step in filter.Steps)
        {
            var name = task.Text(step["function"], "function") ?? "";
            if (!Arguments.TryGetValue(name, out var known)) throw task.Fault($"filter '{filter.Name}' uses the function '{name}', which is not supported", $"known are {string.Join(", ", Arguments.Keys)}");
            if (step.Select(e => e.Key).FirstOrDefault(k => k != "function" && !known.Contains(k)) is { } argument) throw task.Fault($"filter '{filter.Name}' gives {name} the argument '{argument}', which is not supported", known.Length == 0 ? "leave it out" : $"known are {string.Join(", ", known)}");
            if (name == "map" && step["default_value"] is null) throw task.Fault($"filter '{filter.Name}' maps without a default_value", "give the value of everything else");
            if (task.OutputType != "generate_until" && name != "take_first") throw task.Fault($"filter '{filter.Name}' uses {name} on numbers", "filters read generated text");
            Read(task, step);
            // The harness makes what is meant of the kind of what was read, so that every text is True.
            if (name == "map" && ((JsonObject?)step["mapping_dict"])?.Select(e => e.Value).Append(step["default_value"]).FirstOrDefault(v => !IsTextOrWhole(v), "") is var value && !IsTextOrWhole(value))
                throw task.Fault($"filter '{filter.Name}' maps to {value?.ToJsonString() ?? "null"}, which is neither a text nor a whole number", "write it in quotes");
        }
    }

    private static bool IsTextOrWhole(JsonNode? node) => node is JsonValue value && (value.TryGetValue<string>(out _) || value.TryGetValue<long>(out _));

    // Arguments of another type are found here, not once the model has answered.
    private static void Read(TaskConfig task, JsonObject step)
    {
        task.Value<int>(step["group_select"], "group_select", "whole number");
        task.Text(step["fallback"], "fallback");
        task.Mapping(step["mapping_dict"], "mapping_dict");
        if (task.Text(step["regex_pattern"], "regex_pattern") is { } pattern) task.Expression(pattern);
    }

    /// <summary>Whether a step takes the first of the answers.</summary>
    internal static bool IsTakeFirst(JsonObject step) => step["function"] is JsonValue value && value.TryGetValue<string>(out var name) && name == "take_first";

    /// <summary>What a filter makes of an answer.</summary>
    internal static string Apply(TaskFilter filter, string answer)
    {
        var (text, isTaken) = (answer, false);
        foreach (var step in filter.Steps)
        {
            if (isTaken) text = FirstCharacter(text);
            isTaken = IsTakeFirst(step);
            if (!isTaken) text = Apply(step, text);
        }
        return text;
    }

    private static string FirstCharacter(string text) => text.Length == 0 ? "" : Rune.GetRuneAt(text, 0).ToString();

    private static string Apply(JsonObject step, string text) => (string)step["function"]! switch
    {
        "regex" => AnswerExtraction.RegexFilter(text, (string?)step["regex_pattern"] ?? @"#### (\-?[0-9\.\,]+)", (int?)step["group_select"] ?? 0, (string?)step["fallback"] ?? "[invalid]"),
        "remove_whitespace" => Python("trim", text),
        "lowercase" => Python("lower", text),
        "uppercase" => Python("upper", text),
        "map" => (step["mapping_dict"]?[text] ?? step["default_value"])!.ToString(),
        var name => throw new NotSupportedException(name),
    };

    // Python's white space, and its mappings, where one character may become several: ß, İ.
    private static string Python(string filter, string text) => new TextTemplate(filter, $"{{{{ text|{filter} }}}}").Render(new JsonObject { ["text"] = text });
}
