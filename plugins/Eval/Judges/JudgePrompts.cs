// What language models are asked when they judge, and how their words become numbers. A template is a text with {prompt}, {first},
// {second} or {response}; a manifest may give its own.

using System.Globalization;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Judges;

internal sealed partial class JudgePrompts(string? compare, string? rate)
{
    private const string Compare = """
        Two assistants answered the same request. Decide which answer serves the person who asked better: is it correct, does it do what was asked, is it clear? Length alone is no merit.

        Request:
        {prompt}

        Answer A:
        {first}

        Answer B:
        {second}

        Reply with one word: A if the first answer is better, B if the second is, TIE if neither is.
        Verdict:
        """;

    private const string Rate = """
        Rate the answer to this request from 1 (useless or harmful) to 9 (excellent).

        Request:
        {prompt}

        Answer:
        {response}

        Reply with the number alone.
        Rating:
        """;

    private readonly string comparison = Checked("compare_template", compare, Compare, "{prompt}", "{first}", "{second}");
    private readonly string rating = Checked("rate_template", rate, Rate, "{response}");

    private static string Checked(string option, string? given, string ours, params string[] needed)
    {
        var template = string.IsNullOrEmpty(given) ? ours : given;
        return needed.FirstOrDefault(place => !template.Contains(place, StringComparison.Ordinal)) is { } missing
            ? throw new UserErrorException($"{option} of the judge lacks {missing}; it needs {string.Join(", ", needed)}.")
            : template;
    }

    /// <summary>All that the judge reads.</summary>
    internal string Of(JudgeQuestion question) => question switch
    {
        JudgeQuestion.Compare c => Fill(comparison, c.Prompt, c.First, c.Second, ""),
        JudgeQuestion.Rate r => Fill(rating, r.Prompt ?? "(none)", "", "", r.Response),
        JudgeQuestion.Ask a => a.Prompt,
        _ => throw new NotSupportedException($"a question of kind {question.GetType().Name}"),
    };

    // In one pass: what an answer holds is no place to fill.
    private static string Fill(string template, string prompt, string first, string second, string response) =>
        Place().Replace(template, match => match.Value switch { "{prompt}" => prompt, "{first}" => first, "{second}" => second, _ => response });

    /// <summary>A reply as the answer to its question; without a verdict a failure.</summary>
    internal static JudgeAnswer Read(JudgeQuestion question, string reply) => question switch
    {
        JudgeQuestion.Compare => Verdict(reply) is { } preference ? new JudgeAnswer { Preference = preference, Text = reply } : JudgeAnswer.Failed("the reply holds no verdict A, B or TIE", reply),
        JudgeQuestion.Rate => Rating(reply) is { } rating ? new JudgeAnswer { Scores = [rating], Text = reply } : JudgeAnswer.Failed("the reply holds no rating from 1 to 9", reply),
        _ => new JudgeAnswer { Text = reply },
    };

    // The word that stands in double brackets, or that it ends or begins with; never a letter somewhere in a sentence. Where it begins with
    // what it says of each answer ("A: long."), the last line counts, and without a verdict there it has none.
    private static double? Verdict(string reply)
    {
        string[] found = [.. Bracketed().Matches(reply).Select(match => match.Groups[1].Value).Distinct()];
        if (found.Length == 0 && Last().Match(reply) is { Success: true } last) found = [last.Groups[1].Value];
        if (found.Length == 0 && First().Match(reply) is { Success: true } first) found = [.. Listed().Matches(reply).Select(match => match.Groups[1].Value).Prepend(first.Groups[1].Value).Distinct()];
        return found is [var word] ? word switch { "A" => 1, "B" => 0, _ => 0.5 } : null;
    }

    private static double? Rating(string reply) =>
        Number().Match(reply) is { Success: true } match && double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) is >= 1 and <= 9 and var value ? value : null;

    [GeneratedRegex(@"\{(prompt|first|second|response)\}")]
    private static partial Regex Place();

    [GeneratedRegex(@"\[\[(A|B|C|TIE)\]\]")]
    private static partial Regex Bracketed();

    [GeneratedRegex(@"^\W*(A|B|TIE)(?:\W*$|[.:,\n])")]
    private static partial Regex First();

    [GeneratedRegex(@"\n\W*(A|B|TIE)[.:,]")]
    private static partial Regex Listed();

    [GeneratedRegex(@"(?:^|\n)\W*(?:[Vv]erdict\W+)?(A|B|TIE)\W*$")]
    private static partial Regex Last();

    [GeneratedRegex(@"^\D{0,12}([0-9]+(?:\.[0-9]+)?)(?:\s*/\s*9)?\W*$")]
    private static partial Regex Number();
}
