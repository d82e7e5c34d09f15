// Looks at training rows one after the other, as training would read them: duplicates, pairs that contradict each other,
// whether length alone tells the better answer, what becomes of every token, where a prompt's last tokens change when an answer
// follows. Only hashes of a row are kept (16 bytes each), so memory grows slowly with the number of rows and not with their length.

using System.Runtime.ExceptionServices;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Auditing;

/// <param name="context">Tokenizer, template and limits, with the ledger that counts.</param>
/// <param name="examples">Places that are kept for each finding.</param>
/// <param name="vocabulary">Ids that the model has; null where only the tokenizer is known.</param>
internal sealed class DataAudit(PrepareContext context, int examples, int? vocabulary)
{
    private readonly HashSet<UInt128> rows = [], prompts = [], judged = [], chosen = [], rejected = [];
    private readonly SortedDictionary<string, long> shapes = new(StringComparer.Ordinal);

    internal MaskLedger Ledger => context.Ledger;

    internal long Rows { get; private set; }

    internal IReadOnlyDictionary<string, long> Shapes => shapes;

    internal long Prompts => prompts.Count;

    /// <summary>Rows that stand in the file before.</summary>
    internal Finding Duplicates { get; } = new("duplicate_rows", examples);

    /// <summary>Pairs whose answers were preferred the other way round before.</summary>
    internal Finding Contradictions { get; } = new("contradictory_pairs", examples);

    /// <summary>Pairs with an answer that, to the same prompt, was chosen in one row and rejected in another.</summary>
    internal Finding BothWays { get; } = new("answers_chosen_and_rejected", examples);

    /// <summary>Rows whose prompt, alone, becomes other tokens than before its answer.</summary>
    internal Finding Shifts { get; } = new("boundary_shifts", examples);

    internal LengthBias Lengths { get; } = new();

    /// <summary>The benchmarks that rows are compared with; null where there are none.</summary>
    internal BenchmarkOverlap? Against { get; init; }

    /// <summary>Looks at rows, one after the other.</summary>
    /// <param name="lines">Lines of a file; blank ones are no rows.</param>
    /// <param name="read">Makes a line's fields.</param>
    /// <param name="name">What the file is called.</param>
    /// <param name="threads">Threads that read and tokenise; what is found does not depend on it.</param>
    /// <param name="looked">Called after each row.</param>
    /// <exception cref="UserErrorException">Training would refuse a row.</exception>
    internal void Add(IEnumerable<TextLine> lines, Func<TextLine, JsonObject> read, string name, int threads, Action looked)
    {
        var batches = OrderedWork.Batches(lines.Where(line => !string.IsNullOrWhiteSpace(line.Text)).Select((line, k) => (Line: line, Row: k + 1L)), row => row.Line.Text.Length);
        foreach (var (found, ledger, fault) in OrderedWork.Map(batches, threads, batch => Looked([.. batch], read, name)))
        {
            foreach (var row in found)
            {
                Add(row);
                looked();
            }
            Ledger.Add(ledger);
            fault?.Throw();
        }
    }

    // The rows up to the first that is refused, and why it is.
    private (List<AuditedRow> Rows, MaskLedger Ledger, ExceptionDispatchInfo? Fault) Looked(IReadOnlyList<(TextLine Line, long Row)> batch, Func<TextLine, JsonObject> read, string name)
    {
        var (found, own) = (new List<AuditedRow>(batch.Count), context with { Ledger = new MaskLedger() });
        try
        {
            foreach (var (line, row) in batch)
            {
                var record = new DataRecord(read(line), name, row) { Line = line.Number };
                found.Add(AuditedRow.Of(record, own, vocabulary) with { Shared = Against?.Shared(RowTexts.Of(record.Fields, own.Tokenizer)) ?? [] });
            }
        }
        catch (Exception e)
        {
            return (found, own.Ledger, ExceptionDispatchInfo.Capture(e));
        }
        return (found, own.Ledger, null);
    }

    private void Add(AuditedRow row)
    {
        Rows++;
        if (!rows.Add(row.Hash)) Duplicates.Add(row.Place);
        shapes[row.Shape] = shapes.GetValueOrDefault(row.Shape) + 1;
        if (row.Prompt is { } prompt) prompts.Add(prompt);
        if (row.Pair is { } pair) Add(row, pair);
        if (row.IsShifted) Shifts.Add(row.Place);
        Against?.Add(row.Place, row.Shared);
    }

    private void Add(AuditedRow row, AuditedPair pair)
    {
        Lengths.Add(pair.ChosenTokens, pair.RejectedTokens);
        judged.Add(pair.Judged);
        if (!pair.HasEqualAnswers && judged.Contains(pair.Turned)) Contradictions.Add(row.Place);
        if (!pair.HasEqualAnswers && (rejected.Contains(pair.Won) || chosen.Contains(pair.Lost))) BothWays.Add(row.Place);
        chosen.Add(pair.Won);
        rejected.Add(pair.Lost);
    }
}

/// <summary>Something found in rows: how often, and where first.</summary>
internal sealed class Finding(string name, int examples)
{
    private readonly List<string> places = [];

    internal string Name => name;

    internal long Count { get; private set; }

    /// <summary>The places behind a number, in brackets; empty where none are named.</summary>
    internal string Some => places.Count == 0 ? "" : $" ({string.Join("; ", places)}{(Count > places.Count ? "; ..." : "")})";

    internal JsonObject Document() => new() { ["count"] = Count, ["examples"] = new JsonArray([.. places.Select(place => (JsonNode)place)]) };

    internal void Add(string place)
    {
        Count++;
        if (places.Count < examples) places.Add(place);
    }
}

/// <summary>Whether the longer answer is the chosen one.</summary>
internal sealed class LengthBias
{
    private long chosenTokens, rejectedTokens;

    internal int Pairs { get; private set; }

    internal int Longer { get; private set; }

    internal int Shorter { get; private set; }

    internal double MeanChosen => (double)chosenTokens / Pairs;

    internal double MeanRejected => (double)rejectedTokens / Pairs;

    internal void Add(int chosen, int rejected)
    {
        Pairs++;
        (chosenTokens, rejectedTokens) = (chosenTokens + chosen, rejectedTokens + rejected);
        if (chosen > rejected) Longer++;
        if (chosen < rejected) Shorter++;
    }
}
