// Options as help shows them, from a schema: `plugins info` and `train METHOD --help` need no assembly for it.

using PeftAlign.Plugins;

namespace PeftAlign.Host;

internal static class OptionHelp
{
    /// <summary>One or two lines per option: name, type, default; limits, docs, other spellings.</summary>
    /// <param name="schema">The options.</param>
    /// <param name="manifestSpelling">learning_rate rather than --learning-rate.</param>
    public static IEnumerable<string> Lines(OptionsSchema schema, bool manifestSpelling)
    {
        foreach (var option in schema.Options)
        {
            var name = manifestSpelling ? option.Name : "--" + option.Name.Replace('_', '-');
            yield return $"{name}  {TypeText(option)}, {(option.Required ? "required" : $"default {option.Default?.ToJsonString() ?? "none"}")}";
            var limits = option.RangeText == "" ? "" : $"{char.ToUpperInvariant(option.RangeText[0])}{option.RangeText[1..]}.";
            var only = option.OnlyWith == "" ? "" : $"Only with {option.OnlyWith.Replace("=", " ").Replace("|", " or ")}.";
            var also = option.Aliases.Count == 0 ? "" : $"Also: {string.Join(", ", option.Aliases)}.";
            var more = string.Join(' ', new[] { option.Docs, limits, only, also }.Where(text => text != ""));
            if (more != "") yield return "    " + more;
        }
    }

    private static string TypeText(OptionSchema option)
    {
        var scalar = option.Choices.Count > 0 ? string.Join('|', option.Choices) : option.Names != "" ? option.Names : null;
        var type = option.Type.ToString().TrimEnd('?');
        return scalar is null ? type : type.Replace("string", scalar);
    }
}
