// Sonnets as CS224N's default project has them: a text file in which lines with a number alone part them. As rows for SFT (the whole
// sonnet), or as pairs whose prompt is the first lines and whose chosen answer is the rest. V1 rejects what a model writes, V2 a
// corrupted original; V3 takes the best and the worst of what a model writes. The study that these stand for does not define them; what
// they mean here is in docs/data.md.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Data.Sampling;
using PeftAlign.Models.Rows;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Data.Sonnets;

/// <summary>Options of sonnets.</summary>
public sealed class SonnetOptions
{
    /// <summary>The file of sonnets, plain or .gz.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>none: rows of text; v1: rejected is a model's continuation; v2: rejected is a corrupted original; v3: the best and the
    /// worst of a model's continuations.</summary>
    [OptionChoices("none", "v1", "v2", "v3")]
    public string Pairs { get; set; } = "none";

    /// <summary>Lines of a sonnet that are given.</summary>
    [OptionRange(1, 13)]
    [OptionOnlyWith("pairs", "v1", "v2", "v3")]
    public int Lines { get; set; } = 3;

    /// <summary>The model that continues them.</summary>
    [OptionOnlyWith("pairs", "v1", "v3")]
    public ModelReference? Model { get; set; }

    /// <summary>Of each sonnet: continuations (4 for v1, of which each makes a pair, 8 for v3), or corruptions (1 for v2).</summary>
    [OptionRange(1, 64)]
    [OptionOnlyWith("pairs", "v1", "v2", "v3")]
    public int? Samples { get; set; }

    /// <summary>How continuations are drawn.</summary>
    [OptionGroup]
    [OptionOnlyWith("pairs", "v1", "v3")]
    public SamplingOptions Sampling { get; } = new() { Temperature = 1.2, TopP = 0.9, MaxNewTokens = 180 };

    /// <summary>Continuations whose chrF against the original is larger are no examples of worse ones.</summary>
    [OptionRange(0, 100)]
    [OptionOnlyWith("pairs", "v1")]
    public double MaxChrf { get; set; } = 60;

    /// <summary>Seed of sampling and of corruptions.</summary>
    [OptionRange(0)]
    [OptionOnlyWith("pairs", "v1", "v2", "v3")]
    public long Seed { get; set; }
}

internal sealed class SonnetReader(SonnetOptions options, IPluginContext? context) : IDatasetReader
{
    private sealed record Sonnet(long Line, IReadOnlyList<string> Lines);

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null) throw new UserErrorException($"Reader sonnets has no splits; leave 'split' ({split}) out and name the file.");
        if (!File.Exists(options.Path)) throw new UserErrorException($"There is no file '{options.Path}'; reader sonnets needs a file of sonnets parted by lines with a number alone.");
        if (options.Pairs is "v1" or "v3" && options.Model is null) throw new UserErrorException($"Reader sonnets: pairs: {options.Pairs} is made of what a model writes; name one with 'model'.");
        if (options is { Pairs: "v3", Samples: < 2 }) throw new UserErrorException("Reader sonnets: samples: 1 gives v3 nothing to compare; take at least 2.");
        return Rows();
    }

    private IEnumerable<DataRecord> Rows()
    {
        var source = Path.GetFileName(options.Path);
        return options.Pairs == "none"
            ? Sonnets().Select((sonnet, k) => new DataRecord(new JsonObject { ["text"] = string.Join('\n', sonnet.Lines) }, source, k + 1) { Line = sonnet.Line })
            : Pairs().Select((pair, k) => new DataRecord(pair.Fields, source, k + 1) { Line = pair.Line });
    }

    private IEnumerable<(long Line, JsonObject Fields)> Pairs()
    {
        var sonnets = Sonnets().ToList();
        foreach (var sonnet in sonnets)
            if (sonnet.Lines.Count <= options.Lines) throw new UserErrorException($"{options.Path}, line {sonnet.Line}: a sonnet of {sonnet.Lines.Count} lines leaves nothing behind the {options.Lines} that are given; lower 'lines', or mend the file.");
        var made = (options.Pairs == "v2" ? sonnets.Select(Corrupted) : Continued(sonnets)).SelectMany(pairs => pairs).ToList();
        context?.Logger.LogInformation("{File}: {Pairs} pairs ({Variant}) from {Sonnets} sonnets", options.Path, made.Count, options.Pairs, sonnets.Count);
        return made;

        IEnumerable<(long, JsonObject)> Corrupted(Sonnet sonnet, int number)
        {
            var (stream, frequent) = (new CounterStream((ulong)options.Seed, "corruption", "sonnets", number), Corruption.Frequent(sonnets.SelectMany(s => s.Lines)));
            return Enumerable.Range(0, options.Samples ?? 1).Select(_ => Row(sonnet, Gold(sonnet), Tail(Corruption.Of(sonnet.Lines, options.Lines, frequent, stream))));
        }
    }

    private IEnumerable<IEnumerable<(long, JsonObject)>> Continued(List<Sonnet> sonnets)
    {
        var samples = options.Samples ?? (options.Pairs == "v1" ? 4 : 8);
        var answers = context.Lent<IModels>().Open(options.Model!).Answer([.. sonnets.Select(s => options.Sampling.Ask(Head(s), samples, options.Seed))]);
        return sonnets.Zip(answers, (sonnet, answer) => options.Pairs == "v1" ? Rejected(sonnet, answer.Texts) : BestAndWorst(sonnet, answer.Texts));
    }

    private IEnumerable<(long, JsonObject)> Rejected(Sonnet sonnet, IReadOnlyList<string> texts) => texts
        .Where(text => text.Trim().Length > 0 && text != Gold(sonnet) && Chrf.Sentence(text, Gold(sonnet)) <= options.MaxChrf).Distinct().Select(text => Row(sonnet, Gold(sonnet), text));

    private IEnumerable<(long, JsonObject)> BestAndWorst(Sonnet sonnet, IReadOnlyList<string> texts)
    {
        var rated = texts.Where(text => text.Trim().Length > 0).Distinct().Select(text => (Text: text, Score: Chrf.Sentence(text, Gold(sonnet)) + Verse.Form(Head(sonnet) + text))).OrderByDescending(t => t.Score).ToList();
        return rated.Count > 1 && rated[0].Score > rated[^1].Score ? [Row(sonnet, rated[0].Text, rated[^1].Text)] : [];
    }

    private (long, JsonObject) Row(Sonnet sonnet, string chosen, string rejected) => (sonnet.Line, Conversations.Pair("text", Head(sonnet), chosen, rejected));

    private string Head(Sonnet sonnet) => string.Join('\n', sonnet.Lines.Take(options.Lines));

    private string Gold(Sonnet sonnet) => Tail(sonnet.Lines);

    // What follows the given lines, from the end of the last of them.
    private string Tail(IReadOnlyList<string> lines) => string.Concat(lines.Skip(options.Lines).Select(line => "\n" + line));

    private IEnumerable<Sonnet> Sonnets()
    {
        var (lines, first, any) = ((List<string>?)null, 0L, false);
        foreach (var (number, text) in TextLines.Read(options.Path))
        {
            var isNumber = text.Trim() is { Length: > 0 } alone && alone.All(char.IsAsciiDigit);
            if (isNumber && HasWords(lines)) yield return Whole(first, lines!);
            any |= HasWords(lines);
            if (isNumber) (lines, first) = ([], number);
            else lines?.Add(text.TrimEnd());
        }
        if (HasWords(lines)) yield return Whole(first, lines!);
        else if (!any) throw new UserErrorException($"{options.Path} holds no sonnets; they are parted by lines with a number alone.");
    }

    // Between a page's number and a sonnet's stand blank lines at most.
    private static bool HasWords(List<string>? lines) => lines?.Exists(line => line.Length > 0) == true;

    private static Sonnet Whole(long line, List<string> lines) =>
        new(line, [.. lines.SkipWhile(string.IsNullOrEmpty).Reverse().SkipWhile(string.IsNullOrEmpty).Reverse()]);
}
