// Rows to token ids for a sequence classifier, and its scores. Pairs are joined as the tokenizer's post-processor joins them.

using PeftAlign.Abstractions;
using PeftAlign.Host.Rows;
using PeftAlign.Models;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Host.Judging;

internal sealed class RowJudge
{
    private readonly string folder;
    private readonly SequenceClassifier model;
    private readonly ITokenizerDetails? tokenizer;
    private readonly TruncationOptions truncation;

    private RowJudge(string folder, SequenceClassifier model, ITokenizer? tokenizer, int? maxLength)
    {
        (this.folder, this.model, this.tokenizer) = (folder, model, (ITokenizerDetails?)tokenizer);
        if (maxLength is { } most && !model.Takes(most)) throw new UserError($"--max-length {maxLength}", $"is more than the {model.MaxTokens} tokens that the model takes", "give less, or leave it out");
        truncation = new TruncationOptions((int)(maxLength ?? model.MaxTokens));
    }

    /// <summary>Loads the classifier and its tokenizer, if there is one.</summary>
    /// <param name="folder">The model folder.</param>
    /// <param name="maxLength">Most tokens of a text or pair; null = what the model takes.</param>
    /// <param name="dtype">Of weights and arithmetic.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="plugins">Further folders of plugins, for architectures of theirs.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <exception cref="UserErrorException">The folder holds no classifier, or is broken.</exception>
    internal static RowJudge Load(string folder, int? maxLength, torch.ScalarType dtype, torch.Device device, IReadOnlyList<string> plugins, Action<string> warn)
    {
        // What is wrong with the tokenizer is cheap to find: before the weights.
        var tokenizer = ModelFolder.HasTokenizer(folder) ? TokenizerLoader.Load(folder) : null;
        return new RowJudge(folder, ClassifierFolder.Load(folder, warn, PluginArchitectures.Of(plugins), dtype, device), tokenizer, maxLength);
    }

    /// <summary>A row's token ids.</summary>
    /// <exception cref="UserErrorException">The row is at fault; the message names it.</exception>
    internal int[] Encode(Row row)
    {
        try
        {
            var ids = row.Ids("input_ids") ?? Encode(row, row.Text("text"));
            model.Check(ids);
            return ids;
        }
        catch (UserErrorException e) when (e is not UserError)
        {
            throw row.Fault(e);
        }
    }

    /// <summary>Raw logits of each row.</summary>
    internal IReadOnlyList<double[]> Score(IReadOnlyList<int[]> rows) => model.Score(rows);

    private int[] Encode(Row row, string? text)
    {
        var (first, second) = (text ?? row.Text("prompt"), text is null ? row.Text("response") : null);
        if (first is null || (text is null && second is null))
            throw row.Fault("has no text to judge", "give {\"text\": ...}, {\"prompt\": ..., \"response\": ...} or {\"input_ids\": [...]}");
        if (tokenizer is null) throw new UserError(folder, "has no tokenizer, and a row holds text", "put tokenizer.json beside config.json, or give input_ids");
        // transformers takes a pair with an empty second text for a single text; scores are to equal its.
        return [.. tokenizer.Encode(first, second is "" ? null : second, new EncodeOptions { Truncation = truncation, Padding = PaddingOptions.Off }).Ids];
    }
}
