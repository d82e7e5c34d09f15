// Prompts of BIG-Bench Hard (Suzgun et al. 2022): three solved examples, with their reasoning or with bare answers. Bare ones
// are the authors' own where direct_prompts_27.json is at hand, else made from those with reasoning.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Benchmarks;

internal static partial class BbhPrompts
{
    internal const string StepByStep = " Let's think step by step.";

    /// <summary>The solved examples with reasoning, without the file's two first lines (canary and rule).</summary>
    internal static string WithReasoning(DataPlace place, string task)
    {
        var text = place.Text($"{task}.txt").Replace("\r\n", "\n");
        var start = text.IndexOf("\n-----\n", StringComparison.Ordinal);
        if (start < 0) throw new UserErrorException($"{place.Path}: {task}.txt has no line of dashes below its first line; fetch it again.");
        return text[(start + "\n-----\n".Length)..].Trim('\n');
    }

    /// <summary>The solved examples with bare answers, and whether they are the authors' own.</summary>
    internal static (string Prompt, bool Official) Direct(DataPlace place, string task)
    {
        if (place.Find("direct_prompts_27.json") is { } file && RowFile.Parsed(file, "direct_prompts_27.json") is JsonObject all && all[task] is { } own) return ((string)own!, true);
        var prompt = WithReasoning(place, task);
        var bare = Reasoning().Replace(prompt, match => $"A: {match.Groups["answer"].Value.Trim().TrimEnd('.')}");
        if (bare.Contains(StepByStep, StringComparison.Ordinal)) throw new UserErrorException($"{place.Path}: a solved example of {task}.txt does not end with 'So the answer is ...'; put direct_prompts_27.json beside the data, or use template cot.");
        return (bare, false);
    }

    /// <summary>A prompt as its description and examples, for conversations: each question and answer of its own.</summary>
    /// <param name="prompt">All that stands before a question; may be empty.</param>
    /// <param name="reasons">Whether answers begin with reasoning.</param>
    /// <param name="name">Of the file, for errors.</param>
    internal static SolvedPrompt Parted(string prompt, bool reasons, string name)
    {
        if (prompt.Length == 0) return new SolvedPrompt("", []);
        var parts = prompt.Split("\n\nQ: ");
        var ask = reasons ? $"\nA:{StepByStep}" : "\nA:";
        (string, string) One(string part)
        {
            var at = part.LastIndexOf(ask, StringComparison.Ordinal);
            if (at < 0) throw new UserErrorException($"{name}: the solved example 'Q: {part.Split('\n')[0]}' has no line '{ask.Trim()}'; mend it, or leave chat out.");
            return (Asked($"Q: {part[..at]}{ask}", reasons), part[(at + ask.Length)..].Trim());
        }
        return new SolvedPrompt(parts[0] + "\n\n", [.. parts.Skip(1).Select(One)]) { TargetDelimiter = reasons ? "" : " " };
    }

    /// <summary>A question as the harness writes it in a conversation: where the model is to reason, on a line of its own.</summary>
    internal static string Asked(string question, bool reasons) => reasons ? question + "\n" : question;

    [GeneratedRegex(@"A: Let's think step by step\.\n(?:(?!\n\nQ: )[\s\S])*?[Ss]o the answer is(?<answer>[^\n]*?)\.?(?=\n\nQ: |\s*\z)", RegexOptions.CultureInvariant)]
    private static partial Regex Reasoning();
}
