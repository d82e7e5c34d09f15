// What an audit takes of a row: a few hashes and counts. Reading and tokenising rows is nearly all of an audit's work, and rows know nothing of each
// other there, so that several threads share them; what compares rows is DataAudit.

using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Auditing;

/// <param name="Place">See <see cref="DataRecord.Place"/>.</param>
/// <param name="Hash">Of all of its fields.</param>
/// <param name="Shape">What training takes it for.</param>
internal sealed record AuditedRow(string Place, UInt128 Hash, string Shape)
{
    /// <summary>Whether its prompt, alone, becomes other tokens than before its answer.</summary>
    internal bool IsShifted { get; private init; }

    /// <summary>Of its prompt; null where it has none.</summary>
    internal UInt128? Prompt { get; private init; }

    /// <summary>Null where it is no pair.</summary>
    internal AuditedPair? Pair { get; private init; }

    /// <summary>What it shares with benchmarks' rows.</summary>
    internal IReadOnlyList<SharedRun> Shared { get; init; } = [];

    private const string Pairs = "pairs", Labelled = "answers with a label", Sequences = "sequences";

    /// <summary>Looks at a row.</summary>
    /// <param name="record">The row.</param>
    /// <param name="context">Tokenizer, template and limits, with a ledger that counts.</param>
    /// <param name="vocabulary">Ids that the model has; null where only the tokenizer is known.</param>
    /// <exception cref="UserErrorException">Training would refuse it.</exception>
    internal static AuditedRow Of(DataRecord record, PrepareContext context, int? vocabulary)
    {
        var row = new AuditedRow(record.Place, HashOf(record.Fields.ToJsonString()), ShapeOf(record));
        var shifted = context.Ledger.RowsWithShiftedBoundary;
        var pair = row.Shape == Pairs ? PreferenceRows.Read(record, context) : null;
        foreach (var group in Groups(record, row.Shape, pair, context)) RefuseUnknown(record, group, vocabulary);
        row = row with { IsShifted = context.Ledger.RowsWithShiftedBoundary > shifted };
        if (pair is not null) return OfPair(row, record, pair);
        return Node(record, "prompt", "prompt_ids") is { } prompt ? row with { Prompt = HashOf(prompt) } : row;
    }

    private static IEnumerable<CompletionGroup> Groups(DataRecord record, string shape, PairTokens? pair, PrepareContext context) =>
        pair is not null ? PreferenceRows.GroupsOf(record, pair, context)
        : shape == Labelled ? AnswerRows.Groups(AnswerRows.Read(record, context).Answer, context)
        : SequenceRows.Groups(record, new TrainedPart(), context);

    private static AuditedRow OfPair(AuditedRow row, DataRecord record, PairTokens pair)
    {
        var (prompt, good, bad) = Parts(record, pair);
        return row with
        {
            Prompt = HashOf(prompt),
            Pair = new AuditedPair(HashOf(prompt, good, bad), HashOf(prompt, bad, good), HashOf(prompt, good), HashOf(prompt, bad), good == bad, pair.Chosen.Completion.Length, pair.Rejected.Completion.Length),
        };
    }

    private static void RefuseUnknown(DataRecord record, CompletionGroup group, int? vocabulary)
    {
        foreach (var id in group.Completions.SelectMany(answer => answer.Tokens).Concat(group.Prompt))
            if (id < 0 || id >= vocabulary)
                throw new UserErrorException($"{record.Place}: token id {id} is not in the model's vocabulary{(vocabulary is { } most ? $" of {most}" : "")}; the row was made with another tokenizer, or tokenizer_config.json names a token that the model has no row for.");
    }

    private static string ShapeOf(DataRecord record) =>
        record.Has("chosen") || record.Has("chosen_ids") || record.Has("chosen_input_ids") ? Pairs
        : record.Has("label") && (record.Has("completion") || record.Has("completion_ids")) ? Labelled // another row's label is another task's
        : Sequences;

    // What training takes for the prompt where a row names none: the tokens that both whole texts begin with.
    private static (string Prompt, string Chosen, string Rejected) Parts(DataRecord record, PairTokens pair) =>
        Node(record, "prompt", "prompt_ids") is { } prompt ? (prompt, Node(record, "chosen", "chosen_ids") ?? "", Node(record, "rejected", "rejected_ids") ?? "")
        : (string.Join(' ', pair.Chosen.Prompt), string.Join(' ', pair.Chosen.Completion), string.Join(' ', pair.Rejected.Completion));

    private static string? Node(DataRecord record, params string[] names) => names.Where(record.Has).Select(name => record.Fields[name]!.ToJsonString()).FirstOrDefault();

    // 128 bits of SHA-256; a part's length stands before it, so that parts do not run into each other.
    private static UInt128 HashOf(params string[] parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[sizeof(int)];
        foreach (var part in parts)
        {
            BinaryPrimitives.WriteInt32LittleEndian(length, part.Length);
            hash.AppendData(length);
            hash.AppendData(Encoding.UTF8.GetBytes(part));
        }
        return BinaryPrimitives.ReadUInt128LittleEndian(hash.GetHashAndReset());
    }
}

/// <param name="Judged">Of prompt, chosen and rejected answer.</param>
/// <param name="Turned">The same, the answers exchanged.</param>
/// <param name="Won">Of prompt and chosen answer.</param>
/// <param name="Lost">Of prompt and rejected answer.</param>
/// <param name="HasEqualAnswers">Whether both are the same.</param>
/// <param name="ChosenTokens">Tokens of the chosen answer.</param>
/// <param name="RejectedTokens">Of the rejected one.</param>
internal sealed record AuditedPair(UInt128 Judged, UInt128 Turned, UInt128 Won, UInt128 Lost, bool HasEqualAnswers, int ChosenTokens, int RejectedTokens);
