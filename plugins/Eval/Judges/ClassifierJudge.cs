// A sequence classifier as a judge: reward models and toxicity models in Hugging Face folders. It rates an answer by its raw
// logits, and compares two by one of them, as reward-model win rates do.

using PeftAlign.Abstractions;
using PeftAlign.Models.Classifiers;

namespace PeftAlign.Eval.Judges;

/// <summary>Options of classifier.</summary>
public sealed class ClassifierOptions
{
    /// <summary>Folder of the classifier: config.json, weights, tokenizer.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>The logit that compares two answers, from 0.</summary>
    [OptionRange(0)]
    public int Label { get; set; }

    /// <summary>False where a larger logit is worse.</summary>
    public bool HigherIsBetter { get; set; } = true;

    /// <summary>Most tokens of a text; 0 = as many as the model was made for. Longer ones are cut.</summary>
    [OptionRange(0)]
    public int MaxLength { get; set; }

    /// <summary>How prompt and response become one row: pair, as the tokenizer joins pairs; text, one after the other; chat, by the
    /// folder's chat template.</summary>
    [OptionChoices("pair", "text", "chat")]
    public string Join { get; set; } = "pair";

    /// <summary>Ends the row with the tokenizer's end token, as reward training does with its texts.</summary>
    [OptionOnlyWith("join", "text")]
    public bool AppendEos { get; set; }

    /// <summary>A comparison gives 1 / (1 + exp(second - first)) instead of 1, 0 or 1/2.</summary>
    public bool Soft { get; set; }
}

internal sealed class ClassifierJudge : IJudge
{
    // Texts between two looks at the cancellation.
    private const int TextsAtOnce = 64;

    private readonly ClassifierOptions options;
    private readonly SequenceClassifier model;
    private readonly ITokenizer tokenizer;
    private readonly TruncationOptions truncation;
    private readonly IChatTemplate? template;

    public ClassifierJudge(ClassifierOptions options, IPluginContext context)
    {
        this.options = options;
        var folder = new JudgeFolder(options.Path, context);
        tokenizer = folder.Tokenizer();
        template = options.Join == "chat" ? folder.Template("use join: pair or text") : null;
        model = ClassifierFolder.Load(options.Path, folder.Warn, folder.Architectures, device: folder.Device);
        if (options.Label >= model.Labels) throw new UserErrorException($"label {options.Label} of the judge {options.Path}: it has {model.Labels} labels; give one from 0 to {model.Labels - 1}.");
        if (!model.Takes(options.MaxLength)) throw new UserErrorException($"max_length {options.MaxLength} of the judge {options.Path} is more than the {model.MaxTokens} tokens that the model takes; give less.");
        truncation = new TruncationOptions(options.MaxLength > 0 ? options.MaxLength : (int)model.MaxTokens);
        Info = new JudgeInfo(Path.GetFileName(Path.TrimEndingDirectorySeparator(options.Path)), JudgeSkills.Rate | JudgeSkills.Compare) { HigherIsBetter = options.HigherIsBetter };
    }

    public JudgeInfo Info { get; }

    public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default)
    {
        // Each answer is rated alone, so that the second order of a pair asks nothing new.
        var texts = questions.SelectMany(Texts).ToList();
        var distinct = texts.Distinct().ToList();
        var known = distinct.Zip(Scores([.. distinct.Select(t => Encode(t.Prompt, t.Response))], cancel)).ToDictionary(pair => (pair.First.Prompt, pair.First.Response), pair => pair.Second);
        var scores = new Queue<double[]>(texts.Select(t => known[(t.Prompt, t.Response)]));
        return [.. questions.Select(q => q is JudgeQuestion.Rate ? Rated(scores.Dequeue()) : Compared(scores.Dequeue()[options.Label], scores.Dequeue()[options.Label]))];
    }

    private IEnumerable<double[]> Scores(List<int[]> rows, CancellationToken cancel)
    {
        foreach (var part in rows.Chunk(TextsAtOnce))
        {
            cancel.ThrowIfCancellationRequested();
            foreach (var row in model.Score(part)) yield return row;
        }
    }

    private IEnumerable<(string? Prompt, string Response)> Texts(JudgeQuestion question) => question switch
    {
        JudgeQuestion.Rate rate => [(rate.Prompt, rate.Response)],
        JudgeQuestion.Compare pair => [(pair.Prompt, pair.First), (pair.Prompt, pair.Second)],
        _ => throw new UserErrorException($"The classifier {Info.Annotator} cannot answer questions in words; give the benchmark a judge of type causal or openai."),
    };

    private int[] Encode(string? prompt, string response)
    {
        if (template is not null)
        {
            ChatMessage[] turns = prompt is null ? [ChatMessage.Of("user", response)] : [ChatMessage.Of("user", prompt), ChatMessage.Of("assistant", response)];
            return Cut([.. tokenizer.EncodeToIds(template.Render(turns, new ChatTemplateArguments()).Text, addSpecialTokens: false)]);
        }
        var pair = options.Join == "pair" && prompt is not null && response.Length > 0;
        var text = prompt is null ? response : pair ? prompt : prompt + response;
        var encode = new EncodeOptions { Truncation = truncation, Padding = PaddingOptions.Off };
        var ids = ((ITokenizerDetails)tokenizer).Encode(text, pair ? response : null, encode).Ids;
        if (!options.AppendEos || tokenizer.SpecialTokens.Eos is not { } eos || ids is [.., var last] && last == eos) return [.. ids];
        return [.. ids.Take(truncation.MaxLength - 1), eos];
    }

    // A conversation keeps its end, which is what is judged.
    private int[] Cut(int[] ids) => ids.Length <= truncation.MaxLength ? ids : ids[^truncation.MaxLength..];

    private JudgeAnswer Rated(double[] scores) =>
        scores.All(double.IsFinite) ? new JudgeAnswer { Scores = scores } : throw new InvalidDataException($"the judge {Info.Annotator} gives a score that is not finite; its weights are damaged");

    private JudgeAnswer Compared(double first, double second)
    {
        if (!double.IsFinite(first) || !double.IsFinite(second)) throw new InvalidDataException($"the judge {Info.Annotator} gives a score that is not finite; its weights are damaged");
        var gap = options.HigherIsBetter ? first - second : second - first;
        return new JudgeAnswer { Scores = [first, second], Preference = options.Soft ? 1 / (1 + Math.Exp(-gap)) : gap > 0 ? 1 : gap < 0 ? 0 : 0.5 };
    }
}
