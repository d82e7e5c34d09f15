// Which options of the training loop, and which of their values, the trainer takes: it is asked, so that help cannot drift from it.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Plugins;
using PeftAlign.Training;

namespace PeftAlign.Host.SingleTraining;

internal static class BuiltOption
{
    /// <summary>The option's flag, with the values and conditions that can be.</summary>
    /// <param name="name">The flag's.</param>
    /// <param name="option">As the experiment language has it.</param>
    /// <param name="loop">All options of the loop, for conditions on them.</param>
    internal static TrainFlag Flag(string name, OptionSchema option, IReadOnlyList<OptionSchema> loop)
    {
        var choices = Choices(option);
        var known = option with { Choices = choices, OnlyWith = Condition(option.OnlyWith, loop) };
        return new TrainFlag(name, "method", known) { IsBuilt = option.Choices.Count > 0 ? choices.Count > 0 : Takes(option.Name, Other(option)) };
    }

    private static List<string> Choices(OptionSchema option) => [.. option.Choices.Where(choice => Takes(option.Name, JsonNode.Parse(JsonSerializer.Serialize(choice))!))];

    // optimizer=adamw|adamw_8bit, where the latter is not built.
    private static string Condition(string onlyWith, IReadOnlyList<OptionSchema> loop)
    {
        if (onlyWith.Split('=') is not [var other, var values] || loop.FirstOrDefault(o => o.Name == other) is not { Choices.Count: > 0 } on) return onlyWith;
        var built = Choices(on);
        return $"{other}={string.Join('|', values.Split('|').Where(built.Contains))}";
    }

    private static bool Takes(string name, JsonNode value)
    {
        try
        {
            TrainingOptions.Of(new JsonObject { [name] = value }, 0);
            return true;
        }
        catch (NotBuiltException)
        {
            return false;
        }
    }

    // A value that is not the default.
    private static JsonNode Other(OptionSchema option) => option.Type.Kind switch
    {
        OptionKind.Bool => JsonNode.Parse(option.Default?.ToJsonString() == "true" ? "false" : "true")!,
        OptionKind.Long => JsonNode.Parse("7")!,
        OptionKind.Double => JsonNode.Parse("0.375")!,
        _ => JsonNode.Parse("\"other\"")!,
    };
}
