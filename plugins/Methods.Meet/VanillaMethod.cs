// Controls as tokens, the plain baseline of controllable generation: one of two new tokens stands before the prompt, the good one for
// chosen answers, the bad one for the others, and their rows are learned by likelihood, jointly with the whole model. Loss: mean over
// answers of -log p per token. Rows that are too long lose other tokens, never the control's.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Methods.Meet;

/// <summary>Options of vanilla.</summary>
[ContractTraits("controls", "tokens")]
public sealed class VanillaOptions
{
    /// <summary>The token before prompts of good answers.</summary>
    public string GoodToken { get; set; } = "<|good|>";

    /// <summary>The token before prompts of bad answers.</summary>
    public string BadToken { get; set; } = "<|bad|>";

    /// <summary>Whether an answer's loss is the mean of -log p over its tokens or the sum; batches take the mean over answers.</summary>
    [OptionChoices("mean", "sum")]
    public string LossType { get; set; } = "mean";
}

internal sealed class VanillaMethod : IAlignmentMethod, IAddsTokens, IHasTextControls
{
    private readonly VanillaOptions options;

    internal VanillaMethod(VanillaOptions options)
    {
        if (string.IsNullOrWhiteSpace(options.GoodToken) || string.IsNullOrWhiteSpace(options.BadToken) || options.GoodToken == options.BadToken)
            throw new UserErrorException($"vanilla: good_token '{options.GoodToken}' and bad_token '{options.BadToken}' must be two texts, neither of them empty.");
        this.options = options;
    }

    public MethodNeeds Needs { get; } = new(Reference: false) { Statistics = ["argmax_hit"] };

    public IReadOnlyList<string> NewTokens => [options.GoodToken, options.BadToken];

    public IReadOnlyDictionary<string, TextControl> TextControls => new Dictionary<string, TextControl>
    {
        [ControlledLikelihood.Good] = new(options.GoodToken, ""),
        [ControlledLikelihood.Bad] = new(options.BadToken, ""),
    };

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => AnswerRows.Unpaired([record]).SelectMany(row => Groups(row, context)))];

    public MethodLoss Loss(ScoredBatch batch) => ControlledLikelihood.Of(batch, options.LossType == "sum");

    private IEnumerable<CompletionGroup> Groups(DataRecord row, PrepareContext context)
    {
        var fields = row.Fields.DeepClone().AsObject();
        var token = AnswerRows.LabelOf(row) ? options.GoodToken : options.BadToken;
        if (row.Has("prompt_ids")) fields["prompt_ids"] = Before(row, Id(row, token, context), context);
        else if (fields["prompt"] is JsonValue prompt && prompt.TryGetValue<string>(out var text)) fields["prompt"] = token + text;
        else throw new UserErrorException($"{row.Place}: the control's token stands before a prompt that is a plain text; the row has {string.Join(", ", row.Fields.Select(f => f.Key))}. Give {{prompt, chosen, rejected}} or {{prompt, completion, label}} of texts.");
        var (answer, verdict) = AnswerRows.Read(row with { Fields = fields }, context);
        answer = answer with { Kept = Array.IndexOf(answer.Prompt, Id(row, token, context)) is >= 0 and var at ? at : null };
        return AnswerRows.Groups(answer, context).Select(group => group with { Completions = [.. group.Completions.Select(c => c with { Label = verdict })] });
    }

    // After a begin token, where a text's control stands too.
    private static JsonArray Before(DataRecord row, int id, PrepareContext context)
    {
        var ids = row.Ids("prompt_ids");
        var first = ids.Length > 0 && ids[0] == context.Tokenizer!.SpecialTokens.Bos ? 1 : 0;
        return [.. ids[..first], id, .. ids[first..]];
    }

    private static int Id(DataRecord row, string token, PrepareContext context) => (context.RequireTokenizer(row) as ITokenizerDetails)?.TokenToId(token)
        ?? throw new UserErrorException($"{row.Place}: the tokenizer does not know {token}; save it as tokenizer.json beside the model (save_pretrained of a fast tokenizer).");
}
