// Answers a batch of items' requests with one model: log-likelihoods through the log-prob engine, where answers of one context
// share its computation and what all contexts of a task begin with is computed once; texts through the generator.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;

namespace PeftAlign.Host.Evaluation;

/// <summary>One item's requests.</summary>
/// <param name="Item">The item.</param>
/// <param name="Row">Its number among all items: the key of its random numbers.</param>
/// <param name="Requests">What is asked.</param>
internal sealed record Asked(EvalItem Item, long Row, IReadOnlyList<EvalRequest> Requests)
{
    /// <summary>What of it the model answers.</summary>
    internal IReadOnlyList<EvalRequest> OfModel => [.. Requests.Where(r => r is not EvalRequest.Judge)];

    /// <summary>Whether the model is asked anything.</summary>
    internal bool AsksModel => Requests.Any(r => r is not EvalRequest.Judge);

    /// <summary>Name of the item for errors.</summary>
    internal string Name => Item.Task.Length > 0 ? $"{Item.Task}, item {Item.Id}" : $"item {Item.Id}";
}

/// <param name="load">Loads the model; called only where it is asked something.</param>
/// <param name="judges">Opens judges; null where there are none.</param>
/// <param name="asking">The benchmark, which says how texts become tokens; null = as the tokenizer's files say.</param>
/// <param name="cancel">Ends the work between questions.</param>
internal sealed class RequestRunner(Func<EvalModel> load, IJudges? judges, BenchmarkInfo? asking, CancellationToken cancel) : IDisposable
{
    private const int ShortestPrefix = 16;

    // What transformers keeps in sampling where nobody says.
    private const int SampledTopK = 50;

    private readonly Dictionary<double, GenerationOptions> defaults = [];
    private readonly HashSet<string> told = [];

    private EvalModel? loaded;
    private RequestEncoder? encoding;
    private LogProbEngine? engine;
    private SharedPrefix? prefix;

    private EvalModel Model => loaded ??= load();

    private LogProbEngine Engine => engine ??= new(Model.Decoder) { LastCounts = asking?.AsHarness != true };

    private RequestEncoder Encoder => encoding ??= new(Model.Tokenizer, Model.ChatTemplate, Model.MaxLength, Model.TakesLeadingBlank && asking?.AsHarness == true, asking?.AddSpecialTokens, Model.Control) { Warn = Model.Warn };

    /// <summary>One place of an item's answers, with what is computed for it.</summary>
    private sealed record Part(int Item, int Request, EncodedPair Pair);

    /// <summary>Items of a task with their ids: what is made once and answered in chunks.</summary>
    /// <param name="Asked">The items.</param>
    /// <param name="Pairs">Of each item's each request the pairs to score; empty for other kinds.</param>
    internal sealed record Encoded(Asked Asked, IReadOnlyList<IReadOnlyList<EncodedPair>> Pairs)
    {
        /// <summary>The item without its questions to judges.</summary>
        internal Encoded OfModel() => new(Asked with { Requests = Asked.OfModel }, [.. Pairs.Where((_, r) => Asked.Requests[r] is not EvalRequest.Judge)]);

        internal int Length => Pairs.SelectMany(p => p).Select(p => p.Context.Length + p.Continuation.Length).DefaultIfEmpty(0).Max();
    }

    /// <summary>The ids of what is to be scored.</summary>
    /// <exception cref="UserErrorException">An item is at fault; the message names it.</exception>
    internal Encoded Encode(Asked asked) => Named(asked, () => new Encoded(asked, [.. asked.Requests.Select(request => request switch
    {
        EvalRequest.LogLikelihood ask => (IReadOnlyList<EncodedPair>)[Encoder.Pair(ask)],
        EvalRequest.RollingLogLikelihood ask => Encoder.Rolling(ask.Text),
        _ => [],
    })]));

    /// <summary>What all these items begin with is computed now, once, for the answers that follow.</summary>
    internal void Share(IReadOnlyList<Encoded> items)
    {
        var contexts = items.SelectMany(i => i.Pairs).SelectMany(p => p).Where(p => p.Cut == 0).Select(p => p.Context).ToList();
        var common = Common(contexts);
        prefix?.Dispose();
        prefix = null;
        if (common.Length >= ShortestPrefix && Engine.CanShare(Model.Mode)) prefix = Engine.Share(common, Model.Mode);
    }

    /// <summary>Tokens that are computed once for the items at hand.</summary>
    internal int Shared => prefix?.Length ?? 0;

    /// <summary>The answers of some items, in their order.</summary>
    internal IReadOnlyList<IReadOnlyList<EvalResponse>> Answer(IReadOnlyList<Encoded> items)
    {
        var answers = items.Select(i => new EvalResponse[i.Asked.Requests.Count]).ToList();
        Score(items, answers);
        Generate(items, answers);
        Judge([.. items.Select(i => i.Asked)], answers);
        for (var i = 0; i < items.Count; i++)
            for (var r = 0; r < answers[i].Length; r++)
                if (answers[i][r] is null) throw new NotSupportedException($"{items[i].Asked.Name}: a request of kind {items[i].Asked.Requests[r].GetType().Name}");
        return answers;
    }

    /// <summary>The judges' answers to what is asked once the model has answered.</summary>
    internal IReadOnlyList<IReadOnlyList<EvalResponse>> Judge(IReadOnlyList<Asked> items)
    {
        var answers = items.Select(i => new EvalResponse[i.Requests.Count]).ToList();
        foreach (var item in items)
            if (item.Requests.FirstOrDefault(r => r is not EvalRequest.Judge) is { } other) throw new NotSupportedException($"{item.Name}: a second request of kind {other.GetType().Name}; only judges are asked again");
        Judge(items, answers);
        return answers;
    }

    // Each judge gets its questions together.
    private void Judge(IReadOnlyList<Asked> items, List<EvalResponse[]> answers)
    {
        var questions = items.SelectMany((item, i) => item.Requests.Select((request, r) => (Item: i, Request: r, Ask: request as EvalRequest.Judge)).Where(q => q.Ask is not null));
        foreach (var group in questions.GroupBy(q => q.Ask!.By.Definition.ToJsonString()))
        {
            cancel.ThrowIfCancellationRequested();
            var judge = judges?.Open(group.First().Ask!.By) ?? throw new NotSupportedException("no judge can be opened here");
            var said = judge.Answer([.. group.Select(q => q.Ask!.Question)], cancel);
            foreach (var (q, k) in group.Select((q, k) => (q, k))) answers[q.Item][q.Request] = new EvalResponse(0, 0, false) { Judgement = said[k] };
        }
    }

    public void Dispose() => prefix?.Dispose();

    private void Score(IReadOnlyList<Encoded> items, List<EvalResponse[]> answers)
    {
        var parts = new List<Part>();
        for (var i = 0; i < items.Count; i++)
            for (var r = 0; r < items[i].Pairs.Count; r++) parts.AddRange(items[i].Pairs[r].Select(pair => new Part(i, r, pair)));
        if (parts.Count == 0) return;
        cancel.ThrowIfCancellationRequested();
        var (shared, alone) = (parts.Where(p => Fits(p.Pair)).ToList(), parts.Where(p => !Fits(p.Pair)).ToList());
        var sums = new Dictionary<(int, int), EvalResponse>();
        Score(shared, prefix, sums, items);
        Score(alone, null, sums, items);
        foreach (var ((item, request), response) in sums) answers[item][request] = response;
    }

    private void Score(List<Part> parts, SharedPrefix? under, Dictionary<(int Item, int Request), EvalResponse> sums, IReadOnlyList<Encoded> items)
    {
        if (parts.Count == 0) return;
        // Parts of one context become one group, whose prompt is computed once.
        var groups = parts.GroupBy(p => p.Pair.Context, IdsComparer.Instance).Select(g => g.ToList()).ToList();
        var scores = new Queue<CompletionScore>(Engine.Scores([.. groups.Select(g => new CompletionGroup(g[0].Pair.Context, [.. g.Select(p => Completion.Of(p.Pair.Continuation))]))], Model.Mode, under));
        foreach (var part in groups.SelectMany(g => g))
        {
            var score = scores.Dequeue();
            if (double.IsNaN(score.LogProb)) throw new InvalidDataException($"the model gives NaN for {items[part.Item].Asked.Name}; its weights are damaged or training diverged");
            var before = sums.GetValueOrDefault((part.Item, part.Request)) ?? new EvalResponse(0, 0, true) { PromptTokens = part.Pair.Context.Length, WithoutSystem = part.Pair.WithoutSystem };
            sums[(part.Item, part.Request)] = before with { LogProb = before.LogProb + score.LogProb, Tokens = before.Tokens + score.LogProbs.Count, IsGreedy = before.IsGreedy && score.IsGreedy, TokensCut = before.TokensCut + part.Pair.Cut };
        }
    }

    private bool Fits(EncodedPair pair) => prefix?.Fits(pair.Context, pair.Continuation.Length) == true;

    private void Generate(IReadOnlyList<Encoded> items, List<EvalResponse[]> answers)
    {
        var asked = items.SelectMany((item, i) => item.Asked.Requests.Select((request, r) => (Item: i, Request: r, Ask: request as EvalRequest.Generate)).Where(a => a.Ask is not null)).ToList();
        // Those that are continued in the same way go together.
        foreach (var group in asked.GroupBy(a => Options(a.Ask!), a => a, GenerationComparer.Instance))
        {
            var prompts = group.Select(a => Named(items[a.Item].Asked, () => Encoder.Prompt(a.Ask!))).ToList();
            if (group.Any(a => a.Ask!.MaxNewTokens < group.Key.MaxNewTokens)) WarnOfLength(prompts.Max(p => p.Ids.Length), group.Key.MaxNewTokens);
            var made = Model.Generator.Generate([.. group.Select((a, k) => new GenerationPrompt(prompts[k].Ids, items[a.Item].Asked.Row))], group.Key, cancel: cancel);
            foreach (var (a, k) in group.Select((a, k) => (a, k)))
                answers[a.Item][a.Request] = new EvalResponse(0, made[k].Sum(s => s.Ids.Count), false)
                {
                    PromptTokens = prompts[k].Ids.Length,
                    TokensCut = prompts[k].Cut,
                    WithoutSystem = prompts[k].WithoutSystem,
                    MaxNewTokens = group.Key.MaxNewTokens == a.Ask!.MaxNewTokens ? null : group.Key.MaxNewTokens,
                    Texts = [.. made[k].Select(s => Text(s.Ids, a.Ask!.Until))],
                };
        }
    }

    private GenerationOptions Options(EvalRequest.Generate ask)
    {
        var (file, own) = Own(ask.Temperature);
        var most = AnswerLength.Of(ask, asking?.AsHarness == true, file);
        // As transformers, which warns and makes as many as it may; an empty stop text is told when the task is read.
        if (own.MinNewTokens > most && !AnswerLength.IsOneToken(ask)) Once("min_new_tokens", $"{file!.File}: min_new_tokens is {own.MinNewTokens}, and an answer may have {most} new tokens; {most} counts, as in transformers. Lower it, or raise {(file.MaxNewTokens is null ? "the task's max_gen_toks" : "max_new_tokens")}.");
        return own with
        {
            MaxNewTokens = most,
            MinNewTokens = Math.Min(own.MinNewTokens, most),
            MaxLength = null,
            TopP = ask.TopP ?? own.TopP,
            TopK = ask.TopK ?? (own.Temperature > 0 && file is { TopK: null } ? SampledTopK : own.TopK),
            NumReturnSequences = ask.Samples,
            Seed = ask.Seed,
            EosTokenIds = Model.EndIds,
            StopStrings = [.. own.StopStrings, .. ask.Until.Where(u => u.Length > 0)],
            StopStringsInPrompt = false,
        };
    }

    // The harness calls transformers' generate, in which the model's generation_config.json counts wherever the task says nothing, and its
    // max_new_tokens before the length that the harness passes (as max_length). Other benchmarks say all of it themselves.
    private (GenerationConfig? File, GenerationOptions Options) Own(double temperature)
    {
        if (asking?.AsHarness != true || Model.Defaults is not { } file) return (null, new GenerationOptions { Temperature = temperature });
        // Made once: what is continued in the same way is told by its lists too.
        if (!defaults.TryGetValue(temperature, out var options)) defaults.Add(temperature, options = GenerationDefaults.Of(file, temperature));
        return (file, options);
    }

    // Room is made for the task's number, as the harness makes it; only the file's can go beyond.
    private void WarnOfLength(int prompt, int most)
    {
        if ((long)prompt + most <= Model.MaxLength) return;
        Once("max_new_tokens", $"{Model.Defaults!.File}: max_new_tokens {most} goes before the task's number, and with a prompt of {prompt} tokens is more than the model's {Model.MaxLength} positions; lower it, or take it out.");
    }

    private void Once(string about, string warning)
    {
        if (told.Add(about)) Model.Warn?.Invoke(warning);
    }

    // Cut at the first occurrence of each text in turn.
    private string Text(IReadOnlyList<int> ids, IReadOnlyList<string> until)
    {
        var tokenizer = Model.Tokenizer ?? throw new UserErrorException("The benchmark asks for text, but the model's folder has no tokenizer; put tokenizer.json beside config.json.");
        var text = tokenizer.Decode(ids, skipSpecialTokens: true);
        foreach (var stop in until.Where(u => u.Length > 0))
            if (text.IndexOf(stop, StringComparison.Ordinal) is >= 0 and var at) text = text[..at];
        return text;
    }

    // What most contexts begin with: those that begin otherwise (an empty context) are computed by themselves. Each keeps a token.
    private static int[] Common(List<int[]> contexts)
    {
        var alike = contexts.Where(c => c.Length > ShortestPrefix).GroupBy(c => c[..ShortestPrefix], IdsComparer.Instance).OrderByDescending(g => g.Count()).FirstOrDefault()?.Distinct(IdsComparer.Instance).ToList();
        if (alike is not { Count: > 1 }) return [];
        var length = alike.Min(c => c.Length) - 1;
        foreach (var context in alike) length = Math.Min(length, context.AsSpan().CommonPrefixLength(alike[0]));
        return alike[0][..length];
    }

    private static T Named<T>(Asked asked, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"{asked.Name}: {e.Message}", e);
        }
    }
}

internal sealed class IdsComparer : IEqualityComparer<int[]>
{
    internal static readonly IdsComparer Instance = new();

    public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

    public int GetHashCode(int[] ids)
    {
        var hash = default(HashCode);
        hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(ids.AsSpan()));
        return hash.ToHashCode();
    }
}

/// <summary>Options that mean the same; lists are compared by what they hold.</summary>
internal sealed class GenerationComparer : IEqualityComparer<GenerationOptions>
{
    internal static readonly GenerationComparer Instance = new();

    public bool Equals(GenerationOptions? x, GenerationOptions? y) => x!.StopStrings.SequenceEqual(y!.StopStrings) && x with { StopStrings = [] } == y with { StopStrings = [] };

    public int GetHashCode(GenerationOptions options) => HashCode.Combine(options.MaxNewTokens, options.Temperature, options.NumReturnSequences);
}
