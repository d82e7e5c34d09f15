// Quora question pairs as the default project of CS224N has them: a tab-separated file, and the cloze that asks whether two questions
// mean the same. Compiled into the plugins Data (rows of training) and Eval (the benchmark), so that both ask in the same words.

using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Cs224n;

/// <summary>Where question pairs come from and how they are asked.</summary>
public abstract class QuestionPairOptions
{
    /// <summary>Tab-separated file with the columns sentence1, sentence2, is_duplicate; plain or .gz.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>cs224n-train: the starter's prompt of training and dev, whose last quote is missing; cs224n-test: that of its test;
    /// closed: cs224n-train with the quote.</summary>
    [OptionChoices("cs224n-train", "cs224n-test", "closed")]
    public string Template { get; set; } = "cs224n-train";

    /// <summary>Put a blank in front of the answers. The starter has none (tokens 8505 and 3919 of GPT-2).</summary>
    public bool Blank { get; set; }

    /// <summary>Lower-case the questions and part their punctuation by blanks, as the starter does.</summary>
    public bool Preprocess { get; set; } = true;

    /// <summary>none: quotes are characters; csv: fields may be quoted, as in the course's files.</summary>
    [OptionChoices("csv", "none")]
    public string Quoting { get; set; } = "csv";
}

/// <param name="Line">Where it begins in its file, from 1.</param>
/// <param name="First">One question, preprocessed as the options say.</param>
/// <param name="Second">The other.</param>
/// <param name="Same">Whether they mean the same.</param>
internal sealed record QuestionPair(long Line, string First, string Second, bool Same);

/// <param name="options">The file and the wording.</param>
internal sealed partial class QuestionPairs(QuestionPairOptions options)
{
    internal const char Separator = '\t';

    private static readonly string[] Columns = ["sentence1", "sentence2", "is_duplicate"];

    internal bool Quotes => options.Quoting == "csv";

    /// <summary>The pairs of a file's rows, the first of which names the columns.</summary>
    /// <exception cref="UserErrorException">A column is missing, a row is broken, or there is none; file and line are named.</exception>
    internal IEnumerable<QuestionPair> Of(IEnumerable<DelimitedRow> rows)
    {
        var (at, width, any) = ((int[]?)null, 0, false);
        foreach (var (line, values) in rows)
        {
            if (at is null)
            {
                (at, width) = (Places(values), values.Count);
                continue;
            }
            if (values.Count != width || Label(values[at[2]]) is not { } same)
                throw new UserErrorException($"{options.Path}, line {line}: a pair has {width} fields and the label 0 or 1; this one has {values.Count}{(values.Count == width ? $" and '{values[at[2]]}'" : "")}. Mend or remove it{(Quotes ? ", or set quoting: none" : "")}.");
            any = true;
            yield return new QuestionPair(line, Text(values[at[0]]), Text(values[at[1]]), same);
        }
        if (!any) throw new UserErrorException($"{options.Path} holds no pairs; give a tab-separated file with a header line.");
    }

    /// <summary>What a model is asked.</summary>
    internal string Prompt(string first, string second) => options.Template switch
    {
        "cs224n-test" => $"Is \"{first}\" a paraphrase of \"{second}\"? Answer \"yes\" or \"no\": ",
        "closed" => $"Question 1: \"{first}\"\nQuestion 2: \"{second}\"\nAre these questions asking the same thing?\n",
        _ => $"Question 1: \"{first}\"\nQuestion 2: \"{second}\nAre these questions asking the same thing?\n",
    };

    /// <summary>What it answers.</summary>
    internal string Answer(bool same) => (options.Blank ? " " : "") + (same ? "yes" : "no");

    private int[] Places(IReadOnlyList<string> header)
    {
        var names = header.Select(h => h.Trim()).ToList();
        return [.. Columns.Select(column => names.IndexOf(column) is >= 0 and var place ? place : throw new UserErrorException($"{options.Path} has no column {column}; its header is {string.Join(", ", names)}."))];
    }

    private static bool? Label(string text) => text.Trim() switch
    {
        "0" or "0.0" => false,
        "1" or "1.0" => true,
        _ => null,
    };

    private string Text(string question) => options.Preprocess
        ? string.Join(' ', Punctuation().Replace(question.ToLowerInvariant(), " $0").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        : question;

    [GeneratedRegex(@"[.?,']", RegexOptions.CultureInvariant)]
    private static partial Regex Punctuation();
}
