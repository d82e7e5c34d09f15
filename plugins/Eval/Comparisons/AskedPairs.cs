// Comparisons in which the model under evaluation writes one of the two answers: it is asked, then the judge is.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Comparisons;

/// <param name="id">The benchmark's name.</param>
/// <param name="version">Of its results.</param>
/// <param name="options">How to ask and count.</param>
/// <param name="data">Folder of AlpacaEval's data, for the length-controlled rate; null for none.</param>
internal abstract class AskedPairs(string id, int version, PairOptions options, string? data) : IBenchmark, IAsksAgain
{
    private readonly LengthControl length = new(options.LengthControlled, data, options.Gamed);
    private string? how;

    /// <summary>Who wrote the other answers; known after Items has been read.</summary>
    protected string Baseline { get; set; } = "";

    private JudgeReference Judge { get; } = options.Judge ?? throw new UserErrorException($"{id} needs a judge; name one of the manifest's (judge: NAME), or give --judge.");

    public BenchmarkInfo Info
    {
        get
        {
            var settings = PairTable.Settings(PairTable.Annotator(Judge), Baseline, options.Order);
            (settings["length_controlled"], settings["max_new_tokens"], settings["temperature"], settings["chat"]) = (how, options.Sampling.MaxNewTokens, options.Sampling.Temperature, options.Chat);
            return new BenchmarkInfo(id, version) { Settings = settings };
        }
    }

    public IEnumerable<EvalItem> Items()
    {
        var items = All();
        return options.Limit > 0 ? items.Take(options.Limit) : items;
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => [options.Sampling.Ask((string)item.Document["instruction"]!, Turns(item.Document))];

    public IReadOnlyList<EvalRequest> FollowUps(EvalItem item, IReadOnlyList<EvalResponse> responses) => Pair.Questions(Judge, options.Order, item, Answer(responses));

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) =>
        [Pair.Score(item, Answer(responses), responses[0].Tokens, options.Order, [.. responses.Skip(1).Select(r => r.Judgement!)])];

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => PairTable.Of(items, "", length, note => how = note);

    /// <summary>An instruction's difficulty; NaN where it is not known.</summary>
    /// <param name="instruction">Its text.</param>
    /// <param name="index">Its number; null where only its text is known.</param>
    protected double Difficulty(string instruction, int? index) => length.Difficulty(instruction, index);

    /// <summary>All pairs, each with the baseline's answer.</summary>
    protected abstract IEnumerable<EvalItem> All();

    /// <summary>What a model wrote.</summary>
    protected static string Answer(IReadOnlyList<EvalResponse> responses) => responses[0].Texts[0].Trim();

    private IReadOnlyList<ChatTurn>? Turns(JsonObject document) =>
        document["messages"] is JsonArray messages ? [.. messages.Select(m => new ChatTurn((string)m!["role"]!, (string)m["content"]!))]
        : options.Chat ? [new ChatTurn("user", (string)document["instruction"]!)] : null;
}
