// A local causal language model as a judge: by the log-probs of the words A and B (or of the digits) after the question, or by what it
// writes.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;

namespace PeftAlign.Eval.Judges;

/// <summary>Options of causal.</summary>
[ContractTraits(JudgeTraits.Speaks)]
public sealed class CausalOptions
{
    /// <summary>Folder of the model: config.json, weights, tokenizer.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>logprobs: how likely the verdicts are after the question; text: what the model writes.</summary>
    [OptionChoices("logprobs", "text")]
    public string By { get; set; } = "logprobs";

    /// <summary>Asks through the folder's chat template.</summary>
    public bool Chat { get; set; }

    /// <summary>Most tokens of a reply.</summary>
    [OptionRange(1)]
    public int MaxTokens { get; set; } = 64;

    /// <summary>Text with {prompt}, {first} and {second} in place of ours.</summary>
    public string CompareTemplate { get; set; } = "";

    /// <summary>Text with {prompt} and {response} in place of ours.</summary>
    public string RateTemplate { get; set; } = "";
}

internal sealed class CausalJudge : IJudge
{
    // Questions asked together: enough to fill a pass, few enough to bound its memory.
    private const int BatchSize = 32;

    private static readonly string[] Letters = ["A", "B"], Digits = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    private readonly CausalOptions options;
    private readonly JudgePrompts prompts;
    private readonly DecoderModel model;
    private readonly ITokenizer tokenizer;
    private readonly IChatTemplate? template;

    public CausalJudge(CausalOptions options, IPluginContext context)
    {
        this.options = options;
        prompts = new JudgePrompts(options.CompareTemplate, options.RateTemplate);
        var folder = new JudgeFolder(options.Path, context);
        tokenizer = folder.Tokenizer();
        template = options.Chat ? folder.Template("leave out chat: true") : null;
        model = ModelFolder.Load(options.Path, folder.Warn, folder.Architectures, device: folder.Device);
        Info = new JudgeInfo(Path.GetFileName(Path.TrimEndingDirectorySeparator(options.Path)), JudgeSkills.Rate | JudgeSkills.Compare | JudgeSkills.Ask);
    }

    public JudgeInfo Info { get; }

    public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default)
    {
        var answers = new JudgeAnswer[questions.Count];
        foreach (var part in Enumerable.Range(0, questions.Count).Chunk(BatchSize))
        {
            cancel.ThrowIfCancellationRequested();
            var byText = part.Where(k => options.By == "text" || questions[k] is JudgeQuestion.Ask).ToArray();
            foreach (var (k, answer) in byText.Zip(Written([.. byText.Select(k => questions[k])], cancel))) answers[k] = answer;
            var byWords = part.Except(byText).ToArray();
            foreach (var (k, answer) in byWords.Zip(Weighed([.. byWords.Select(k => questions[k])]))) answers[k] = answer;
        }
        return answers;
    }

    private int[] Prompt(JudgeQuestion question)
    {
        var text = prompts.Of(question);
        var ids = template is null ? tokenizer.EncodeToIds(text)
            : tokenizer.EncodeToIds(template.Render([ChatMessage.Of("user", text)], new ChatTemplateArguments { AddGenerationPrompt = true }).Text, addSpecialTokens: false);
        return ids.Count > 0 ? [.. ids] : throw new UserErrorException("A question to the judge has no token; give a text.");
    }

    // Verdicts as the text would go on: after a space, unless a template's header came before.
    private List<JudgeAnswer> Weighed(IReadOnlyList<JudgeQuestion> questions)
    {
        if (questions.Count == 0) return [];
        var groups = questions.Select(q =>
        {
            var prompt = Prompt(q);
            return new CompletionGroup(prompt, [.. Words(q).Select(word => Completion.Of(After(q, prompt, word)))]);
        }).ToList();
        var scores = new Queue<EvalResponse>(new LogProbEngine(model).Score(groups, new ForwardMode()));
        return questions.Select(q =>
        {
            var logProbs = Words(q).Select(_ => scores.Dequeue().LogProb).ToArray();
            if (logProbs.Any(double.IsNaN)) throw new InvalidDataException($"the judge {Info.Annotator} gives NaN; its weights are damaged");
            var most = logProbs.Max();
            var weights = logProbs.Select(l => Math.Exp(l - most)).ToArray();
            return q is JudgeQuestion.Compare ? new JudgeAnswer { Preference = weights[0] / weights.Sum() } : new JudgeAnswer { Scores = [weights.Select((w, k) => w * (k + 1)).Sum() / weights.Sum()] };
        }).ToList();
    }

    private static string[] Words(JudgeQuestion question) => question is JudgeQuestion.Compare ? Letters : Digits;

    private int[] After(JudgeQuestion question, int[] prompt, string word)
    {
        if (template is not null) return [.. tokenizer.EncodeToIds(word, addSpecialTokens: false)];
        var whole = tokenizer.EncodeToIds(prompts.Of(question) + " " + word);
        // A tokenizer that joins the word with what stands before it has no word of its own to score.
        return whole.Count > prompt.Length && whole.Take(prompt.Length).SequenceEqual(prompt) ? [.. whole.Skip(prompt.Length)] : [.. tokenizer.EncodeToIds(" " + word, addSpecialTokens: false)];
    }

    private IEnumerable<JudgeAnswer> Written(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel)
    {
        if (questions.Count == 0) return [];
        var eos = tokenizer.SpecialTokens.Eos;
        var generation = new GenerationOptions { MaxNewTokens = options.MaxTokens, Temperature = 0, EosTokenIds = eos is { } id ? [id] : [] };
        var generator = DecoderGenerator.Of(model, new ForwardMode(), tokenizer);
        var written = generator.Generate([.. questions.Select((q, k) => new GenerationPrompt(Prompt(q), k))], generation, null, cancel);
        return questions.Zip(written, (q, w) => JudgePrompts.Read(q, tokenizer.Decode(w[0].Ids.Where(t => t != eos)).Trim()));
    }
}
