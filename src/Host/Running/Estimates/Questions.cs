// What a benchmark asks of a policy and, about its answers, of judges and other models: counted by asking the benchmark itself. In the
// place of an answer stands a text without meaning, counted as long as an answer may be, since nobody knows where a model will end.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="Items">Of the benchmark.</param>
/// <param name="Scored">Tokens that are computed to score an item's answers, on average.</param>
/// <param name="Longest">Tokens of the item that needs most.</param>
internal sealed record Questions(long Items, double Scored, long Longest)
{
    /// <summary>What the policy writes; null where it writes nothing.</summary>
    internal Writing? Writes { get; init; }

    /// <summary>Who judges, each with what it reads.</summary>
    internal IReadOnlyList<Judged> Judges { get; init; } = [];

    /// <summary>Models that write beside the policy.</summary>
    internal IReadOnlyList<(JsonObject Definition, Writing Writing)> Others { get; init; } = [];
}

/// <param name="Answers">Texts.</param>
/// <param name="Prompt">Tokens of a prompt, on average.</param>
/// <param name="NewTokens">Most new tokens of a text, on average.</param>
/// <param name="Longest">Tokens of the longest prompt with its text.</param>
internal sealed record Writing(double Answers, double Prompt, double NewTokens, long Longest)
{
    /// <summary>The same, with <paramref name="factor"/> times as many texts.</summary>
    internal Writing Times(double factor) => this with { Answers = Answers * factor };

    internal static Writing? Of(IReadOnlyList<(int Samples, int Prompt, int NewTokens)> asked) => asked.Count == 0 ? null
        : new(asked.Sum(a => (double)a.Samples), asked.Average(a => a.Prompt), asked.Average(a => a.NewTokens), asked.Max(a => (long)a.Prompt + a.NewTokens));
}

/// <param name="Definition">The judge.</param>
/// <param name="Questions">How many.</param>
/// <param name="Tokens">Of one, on average.</param>
internal sealed record Judged(JsonObject Definition, double Questions, double Tokens);

/// <summary>Counts the questions of a benchmark's first items.</summary>
/// <param name="tokenizer">The policy's.</param>
/// <param name="encoder">The policy's.</param>
/// <param name="length">Most new tokens of an answer of the policy; null for the request's own number.</param>
internal sealed class QuestionCount(ITokenizer? tokenizer, RequestEncoder encoder, Func<EvalRequest.Generate, int>? length = null) : IModels
{
    private const string Answer = "x";

    private readonly List<(int Samples, int Prompt, int NewTokens)> written = [];
    private readonly List<(JsonObject By, long Tokens)> judged = [];
    private readonly List<(JsonObject By, List<(int, int, int)> Asked)> others = [];
    private readonly List<(long Tokens, long Longest)> scored = [];

    /// <summary>Whether a benchmark opened other models, whose answers its items may be made of.</summary>
    internal bool AskedOthers => others.Count > 0;

    /// <summary>Counts.</summary>
    /// <param name="benchmark">Made with this object as its models.</param>
    /// <param name="items">How many items it has.</param>
    /// <param name="first">The first of them, whose texts are looked at, with what is asked about each.</param>
    internal Questions? Of(IBenchmark benchmark, int items, IEnumerable<(EvalItem Item, IReadOnlyList<EvalRequest> Requests)> first)
    {
        foreach (var (item, requests) in first) Count(benchmark, item, requests);
        return items == 0 ? null : Of(items);
    }

    /// <summary>What so many items ask, of which the first were counted.</summary>
    internal Questions Of(long items)
    {
        var all = (double)items / scored.Count;
        return new Questions(items, scored.Sum(s => s.Tokens) / (double)scored.Count, scored.Max(s => s.Longest))
        {
            Writes = Writing.Of(written)?.Times(all),
            Judges = [.. judged.GroupBy(j => j.By.ToJsonString()).Select(j => new Judged(j.First().By, j.Count() * all, j.Average(q => q.Tokens)))],
            // These are asked for all items.
            Others = [.. others.GroupBy(o => o.By.ToJsonString()).Select(o => (o.First().By, Writing: Writing.Of([.. o.SelectMany(a => a.Asked)]))).Where(o => o.Writing is not null).Select(o => (o.By, o.Writing!))],
        };
    }

    private void Count(IBenchmark benchmark, EvalItem item, IReadOnlyList<EvalRequest> requests)
    {
        Add(requests);
        var responses = requests.Select(Answered).ToList();
        var longest = requests.OfType<EvalRequest.Generate>().Select(Length).DefaultIfEmpty(0).Max();
        foreach (var ask in (benchmark is IAsksAgain again ? requests.Concat(again.FollowUps(item, responses)) : requests).OfType<EvalRequest.Judge>()) judged.Add((ask.By.Definition, Tokens(ask.Question, Tokens) + longest));
    }

    /// <summary>Counts what one item asks of the policy.</summary>
    internal void Add(IReadOnlyList<EvalRequest> requests)
    {
        scored.Add(Scored(requests));
        written.AddRange(requests.OfType<EvalRequest.Generate>().Select(ask => Sizes(ask, Length(ask))));
    }

    // Answers of one context are computed together, the windows of a text one by one.
    private (long Tokens, long Longest) Scored(IReadOnlyList<EvalRequest> requests)
    {
        var pairs = encoder.Rows([.. requests.OfType<EvalRequest.LogLikelihood>()]);
        var windows = requests.OfType<EvalRequest.RollingLogLikelihood>().SelectMany(r => encoder.Rolling(r.Text)).Select(w => (long)w.Context.Length + w.Continuation.Length).ToList();
        return (pairs + windows.Sum(), Math.Max(pairs, windows.DefaultIfEmpty(0).Max()));
    }

    private int Length(EvalRequest.Generate ask) => length?.Invoke(ask) ?? ask.MaxNewTokens;

    private (int Samples, int Prompt, int NewTokens) Sizes(EvalRequest.Generate ask, int newTokens) => (ask.Samples, encoder.Prompt(ask with { MaxNewTokens = 0 }).Ids.Length, newTokens);

    private static EvalResponse Answered(EvalRequest request) => new(0, 1, false) { Texts = request is EvalRequest.Generate ask ? [.. Enumerable.Repeat(Answer, ask.Samples)] : [] };

    /// <summary>Tokens of a question's texts.</summary>
    internal static long Tokens(JudgeQuestion question, Func<string, long> tokens) => question switch
    {
        JudgeQuestion.Rate rate => tokens(rate.Prompt + rate.Response),
        JudgeQuestion.Compare pair => tokens(pair.Prompt + pair.First + pair.Second),
        JudgeQuestion.Ask ask => tokens(ask.Prompt),
        _ => 0,
    };

    // The judge's own tokenizer may differ; a prediction need not know by how much.
    private long Tokens(string text) => tokenizer?.CountTokens(text) ?? text.Length / 4;

    /// <inheritdoc/>
    public ILanguageModel Open(ModelReference model)
    {
        others.Add((model.Definition, []));
        return new Counted(this, others[^1].Asked);
    }

    private sealed class Counted(QuestionCount count, List<(int, int, int)> asked) : ILanguageModel
    {
        public IReadOnlyList<EvalResponse> Answer(IReadOnlyList<EvalRequest> requests)
        {
            asked.AddRange(requests.OfType<EvalRequest.Generate>().Select(ask => count.Sizes(ask, ask.MaxNewTokens)));
            return [.. requests.Select(Answered)];
        }
    }
}
