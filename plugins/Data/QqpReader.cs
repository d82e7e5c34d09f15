// Quora question pairs as cloze pairs: the prompt asks whether two questions mean the same, the chosen answer is the right one of "yes"
// and "no", the rejected one the other. Prompts are those of benchmark paraphrase. With `tokenizer` a row is tokens and its answers are
// just those words; as a text, an answer gets an end token, as all texts do.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Cs224n;
using PeftAlign.Models.Rows;
using PeftAlign.Models.Text;

namespace PeftAlign.Data;

/// <summary>Options of qqp.</summary>
public sealed class QqpOptions : QuestionPairOptions
{
    /// <summary>A model folder or tokenizer file that makes the rows tokens, so that no end token follows the answer.</summary>
    [OptionNames("path")]
    public string? Tokenizer { get; set; }
}

internal sealed class QqpReader(QqpOptions options) : IDatasetReader
{
    private readonly QuestionPairs pairs = new(options);
    private readonly Lazy<ITokenizer?> tokenizer = new(() => options.Tokenizer is { } path ? TokenizerLoader.Load(path) : null);

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null) throw new UserErrorException($"Reader qqp has no splits; leave 'split' ({split}) out and name the file.");
        if (!File.Exists(options.Path)) throw new UserErrorException($"There is no file '{options.Path}'; reader qqp needs a tab-separated file of question pairs.");
        var source = Path.GetFileName(options.Path);
        return pairs.Of(DelimitedRows.OfFile(options.Path, QuestionPairs.Separator, pairs.Quotes)).Select((pair, k) => new DataRecord(Cloze(pair), source, k + 1) { Line = pair.Line });
    }

    private JsonObject Cloze(QuestionPair pair)
    {
        var (prompt, same) = (pairs.Prompt(pair.First, pair.Second), pair.Same);
        if (tokenizer.Value is not { } tokens) return Conversations.Pair("text", prompt, pairs.Answer(same), pairs.Answer(!same));
        // What both texts share is the prompt: a word may join with what stands before it.
        int[] Whole(bool yes) => [.. tokens.EncodeToIds(prompt + pairs.Answer(yes))];
        var (right, wrong) = (Whole(same), Whole(!same));
        var shared = Math.Min(((int[])[.. tokens.EncodeToIds(prompt)]).AsSpan().CommonPrefixLength(right), right.AsSpan().CommonPrefixLength(wrong));
        return new JsonObject { ["prompt_ids"] = Ids(right[..shared]), ["completion_ids"] = Ids(right[shared..]), ["chosen_ids"] = Ids(right[shared..]), ["rejected_ids"] = Ids(wrong[shared..]) };
    }

    private static JsonNode Ids(int[] ids) => JsonSerializer.SerializeToNode(ids)!; // read back from text: no node for each
}
