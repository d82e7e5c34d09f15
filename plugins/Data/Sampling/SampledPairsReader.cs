// Pairs whose answers a model of the manifest writes. With a judge, the best and the worst rated of several samples are chosen and
// rejected (best-of-n pairs, as in RLAIF and iterative DPO); without one, the data's own answer is chosen and a sample is rejected (as
// in SPIN, Chen et al. 2024, arXiv 2401.01335). Rows without a pair are left out and counted.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;

namespace PeftAlign.Data.Sampling;

/// <summary>Options of sampled-pairs.</summary>
public sealed class SampledPairsOptions
{
    /// <summary>The data set whose prompts are answered; without a judge its answers (chosen, else completion) are chosen.</summary>
    [OptionRequired]
    public DatasetReference? Prompts { get; set; }

    /// <summary>The model that writes.</summary>
    [OptionRequired]
    public ModelReference? Model { get; set; }

    /// <summary>Rates the samples; without one the data's own answers are preferred.</summary>
    public JudgeReference? Judge { get; set; }

    /// <summary>The judge's score that counts, from 0, which is also taken where none is given.</summary>
    [OptionRange(0)]
    public int? Label { get; set; }

    /// <summary>Samples of each prompt: at least 2 with a judge; without one a pair each.</summary>
    [OptionRange(1)]
    public int Samples { get; set; } = 2;

    /// <summary>How they are drawn.</summary>
    [OptionGroup]
    public SamplingOptions Sampling { get; } = new();

    /// <summary>Texts that end an answer and are cut off it.</summary>
    public List<string> Until { get; set; } = [];

    /// <summary>Seed of sampling.</summary>
    [OptionRange(0)]
    public long Seed { get; set; }
}

internal sealed class SampledPairsReader(SampledPairsOptions options, IPluginContext? context) : IDatasetReader
{
    private const int AtOnce = 256;

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null) throw new UserErrorException($"Reader sampled-pairs has no splits; leave 'split' ({split}) out, and give it to the data set of prompts.");
        if (options is { Judge: not null, Samples: < 2 }) throw new UserErrorException("Reader sampled-pairs: samples: 1 with a judge gives nothing to compare; take at least 2, or leave the judge out.");
        if (options is { Judge: null, Label: { } label }) throw new UserErrorException($"Reader sampled-pairs: label: {label} is a judge's score, and there is no judge; name one, or leave label out.");
        return Rows();
    }

    private IEnumerable<DataRecord> Rows()
    {
        var model = context.Lent<IModels>().Open(options.Model!);
        var judge = options.Judge is { } by ? context.Lent<IJudges>().Open(by) : null;
        if (judge is not null && !judge.Info.Skills.HasFlag(JudgeSkills.Rate)) throw new UserErrorException($"Reader sampled-pairs: the judge {judge.Info.Annotator} does not rate single answers; use one of type classifier.");
        var (prompts, row) = (0, 0L);
        foreach (var chunk in context.Lent<IDatasets>().Open(options.Prompts!).Chunk(AtOnce))
        {
            prompts += chunk.Length;
            var texts = model.Answer([.. chunk.Select(Request)]).Select(answer => answer.Texts).ToList();
            var pairs = judge is null ? chunk.Zip(texts, AgainstData) : Judged(judge, chunk, texts);
            foreach (var fields in pairs.SelectMany(p => p)) yield return new DataRecord(fields, "sampled-pairs", ++row);
        }
        context?.Logger.LogInformation("sampled-pairs: {Pairs} pairs from {Prompts} prompts; left out were empty samples, those that equal the answer beside them, and ties", row, prompts);
    }

    private EvalRequest Request(DataRecord record) => options.Sampling.Ask(record.Fields["prompt"] is JsonArray ? "" : record.Text("prompt"), options.Samples, options.Seed) with
    {
        Messages = record.Fields["prompt"] is JsonArray turns ? [.. turns.Select(turn => Turn(record, turn))] : null,
        Until = options.Until,
    };

    private static ChatTurn Turn(DataRecord record, JsonNode? turn) => turn?["role"] is JsonValue role && turn["content"] is JsonValue content && role.TryGetValue<string>(out var who) && content.TryGetValue<string>(out var what)
        ? new ChatTurn(who, what)
        : throw record.Wrong("prompt", "a text or messages with role and content as texts");

    private IEnumerable<JsonObject> AgainstData(DataRecord record, IReadOnlyList<string> samples)
    {
        var own = Answer(record, record.Has("chosen") ? "chosen" : "completion");
        return samples.Where(sample => sample.Trim().Length > 0 && sample.Trim() != own.Trim()).Distinct().Select(sample => Pair(record, own, sample));
    }

    private IEnumerable<IEnumerable<JsonObject>> Judged(IJudge judge, DataRecord[] records, List<IReadOnlyList<string>> texts)
    {
        var asked = records.Zip(texts, (record, samples) => samples.Where(s => s.Trim().Length > 0).Distinct().Select(s => (Record: record, Sample: s)).ToList()).ToList();
        var said = new Queue<JudgeAnswer>(judge.Answer([.. asked.SelectMany(a => a).Select(a => new JudgeQuestion.Rate(Prompt(a.Record), a.Sample))]));
        return asked.Select(samples =>
        {
            var rated = samples.Select(s => (s.Record, s.Sample, Score: Score(judge, said.Dequeue()))).Where(s => !double.IsNaN(s.Score)).OrderByDescending(s => s.Score).ToList();
            return rated.Count > 1 && rated[0].Score > rated[^1].Score ? [Pair(rated[0].Record, rated[0].Sample, rated[^1].Sample)] : (IEnumerable<JsonObject>)[];
        }).ToList();
    }

    private double Score(IJudge judge, JudgeAnswer answer)
    {
        if (answer.Failure is not null || answer.Scores is not { } scores) return double.NaN;
        var label = options.Label ?? 0;
        if (label >= scores.Count) throw new UserErrorException($"Reader sampled-pairs: label: {label}; the judge {judge.Info.Annotator} has {scores.Count} scores, numbered from 0.");
        return judge.Info.HigherIsBetter ? scores[label] : -scores[label];
    }

    // Several turns as HH-RLHF writes them; one question as it is.
    private static string Prompt(DataRecord record) => record.Fields["prompt"] switch
    {
        JsonArray { Count: 1 } one => Turn(record, one[0]).Content,
        JsonArray turns => string.Concat(turns.Select(turn => Turn(record, turn)).Select(turn => $"\n\n{(turn.Role == "assistant" ? "Assistant" : "Human")}: {turn.Content}")),
        _ => record.Text("prompt"),
    };

    private static string Answer(DataRecord record, string field) => record.Fields[field] is JsonArray { Count: 1 } messages ? Turn(record, messages[0]).Content : record.Text(field);

    private static JsonObject Pair(DataRecord record, string chosen, string rejected) => record.Fields["prompt"] is JsonArray turns
        ? Conversations.Pair(turns.DeepClone().AsArray(), chosen.Trim(), rejected.Trim())
        : Conversations.Pair("text", record.Text("prompt"), chosen, rejected);
}
