// Quora question pairs as cloze pairs (the default project of CS224N): the prompt asks whether two questions mean the same, the chosen
// answer is the right one of "yes" and "no", the rejected one the other. Prompts are those of benchmark paraphrase. With `tokenizer` a
// row is tokens and its answers are just those words; as a text, an answer gets an end token, as all texts do.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Data.Files;
using PeftAlign.Models.Text;

namespace PeftAlign.Data;

/// <summary>Options of qqp.</summary>
public sealed class QqpOptions
{
    /// <summary>Tab-separated file with the columns sentence1, sentence2, is_duplicate; plain or .gz.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>cs224n-train: the starter's prompt of training and dev, whose last quote is missing; cs224n-test: that of its test;
    /// closed: cs224n-train with the quote.</summary>
    [OptionChoices("cs224n-train", "cs224n-test", "closed")]
    public string Template { get; set; } = "cs224n-train";

    /// <summary>Put a blank in front of the answers.</summary>
    public bool Blank { get; set; }

    /// <summary>Lower-case the questions and part their punctuation by blanks, as the starter does.</summary>
    public bool Preprocess { get; set; } = true;

    /// <summary>none: quotes are characters; csv: fields may be quoted, as in the course's files.</summary>
    [OptionChoices("csv", "none")]
    public string Quoting { get; set; } = "csv";

    /// <summary>A model folder or tokenizer file that makes the rows tokens, so that no end token follows the answer.</summary>
    [OptionNames("path")]
    public string? Tokenizer { get; set; }
}

internal sealed partial class QqpReader(QqpOptions options) : IDatasetReader
{
    private static readonly string[] Columns = ["sentence1", "sentence2", "is_duplicate"];

    private readonly Lazy<ITokenizer?> tokenizer = new(() => options.Tokenizer is { } path ? TokenizerLoader.Load(path) : null);

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null) throw new UserErrorException($"Reader qqp has no splits; leave 'split' ({split}) out and name the file.");
        if (!File.Exists(options.Path)) throw new UserErrorException($"There is no file '{options.Path}'; reader qqp needs a tab-separated file of question pairs.");
        return Rows(options.Path);
    }

    private IEnumerable<DataRecord> Rows(string path)
    {
        var (at, width, row) = ((int[]?)null, 0, 0L);
        foreach (var (line, values) in Delimited.Rows(path, '\t', options.Quoting == "csv"))
        {
            if (at is null)
            {
                at = Places(path, values);
                width = values.Count;
                continue;
            }
            if (values.Count != width || Label(values[at[2]]) is not { } same)
                throw new UserErrorException($"{path}, line {line}: a pair has {width} fields and the label 0 or 1; this one has {values.Count}{(values.Count == width ? $" and '{values[at[2]]}'" : "")}. Mend or remove it{(options.Quoting == "csv" ? ", or set quoting: none" : "")}.");
            yield return new DataRecord(Cloze(Text(values[at[0]]), Text(values[at[1]]), same), System.IO.Path.GetFileName(path), ++row) { Line = line };
        }
        if (row == 0) throw new UserErrorException($"{path} holds no pairs; give a tab-separated file with a header line.");
    }

    private static int[] Places(string path, IReadOnlyList<string> header)
    {
        var names = header.Select(h => h.Trim()).ToList();
        return [.. Columns.Select(column => names.IndexOf(column) is >= 0 and var place ? place : throw new UserErrorException($"{path} has no column {column}; its header is {string.Join(", ", names)}."))];
    }

    private JsonObject Cloze(string first, string second, bool same)
    {
        var prompt = Prompt(options.Template, first, second);
        string Word(bool yes) => (options.Blank ? " " : "") + (yes ? "yes" : "no");
        if (tokenizer.Value is not { } tokens) return Conversations.Pair("text", prompt, Word(same), Word(!same));
        // What both texts share is the prompt: a word may join with what stands before it.
        int[] Whole(bool yes) => [.. tokens.EncodeToIds(prompt + Word(yes))];
        var (right, wrong) = (Whole(same), Whole(!same));
        var shared = Math.Min(((int[])[.. tokens.EncodeToIds(prompt)]).AsSpan().CommonPrefixLength(right), right.AsSpan().CommonPrefixLength(wrong));
        return new JsonObject { ["prompt_ids"] = Ids(right[..shared]), ["completion_ids"] = Ids(right[shared..]), ["chosen_ids"] = Ids(right[shared..]), ["rejected_ids"] = Ids(wrong[shared..]) };
    }

    /// <summary>The prompt for two questions.</summary>
    internal static string Prompt(string template, string first, string second) => template switch
    {
        "cs224n-test" => $"Is \"{first}\" a paraphrase of \"{second}\"? Answer \"yes\" or \"no\": ",
        "closed" => $"Question 1: \"{first}\"\nQuestion 2: \"{second}\"\nAre these questions asking the same thing?\n",
        _ => $"Question 1: \"{first}\"\nQuestion 2: \"{second}\nAre these questions asking the same thing?\n",
    };

    private static JsonArray Ids(IEnumerable<int> ids) => [.. ids.Select(id => (JsonNode)id)];

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
