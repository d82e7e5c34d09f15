// Looks at training rows one after the other, as training would read them: duplicates, pairs that contradict each other,
// whether length alone tells the better answer, what becomes of every token, where a prompt's last tokens change when an answer
// follows. Only hashes of a row are kept (16 bytes each), so memory grows slowly with the number of rows and not with their length.

using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Auditing;

/// <param name="context">Tokenizer, template and limits, with the ledger that counts.</param>
/// <param name="examples">Places that are kept for each finding.</param>
/// <param name="vocabulary">Ids that the model has; null where only the tokenizer is known.</param>
internal sealed class DataAudit(PrepareContext context, int examples, int? vocabulary)
{
    private const string Pairs = "pairs", Labelled = "answers with a label", Sequences = "sequences";

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

    /// <summary>Looks at a row.</summary>
    /// <exception cref="UserErrorException">Training would refuse it.</exception>
    internal void Add(DataRecord record)
    {
        Rows++;
        if (!rows.Add(Hash(record.Fields.ToJsonString()))) Duplicates.Add(record);
        var (shape, shifted) = (Shape(record), Ledger.RowsWithShiftedBoundary);
        shapes[shape] = shapes.GetValueOrDefault(shape) + 1;
        foreach (var group in Groups(record, shape)) RefuseUnknown(record, group);
        if (Ledger.RowsWithShiftedBoundary > shifted) Shifts.Add(record);
        if (shape != Pairs && Node(record, "prompt", "prompt_ids") is { } prompt) prompts.Add(Hash(prompt));
    }

    private IEnumerable<CompletionGroup> Groups(DataRecord record, string shape) => shape switch
    {
        Pairs => Pair(record),
        Labelled => AnswerRows.Groups(AnswerRows.Read(record, context).Answer, context),
        _ => SequenceRows.Groups(record, new TrainedPart(), context),
    };

    private void RefuseUnknown(DataRecord record, CompletionGroup group)
    {
        foreach (var id in group.Completions.SelectMany(answer => answer.Tokens).Concat(group.Prompt))
            if (id < 0 || id >= vocabulary)
                throw new UserErrorException($"{record.Place}: token id {id} is not in the model's vocabulary{(vocabulary is { } most ? $" of {most}" : "")}; the row was made with another tokenizer, or tokenizer_config.json names a token that the model has no row for.");
    }

    private IEnumerable<CompletionGroup> Pair(DataRecord record)
    {
        var pair = PreferenceRows.Read(record, context);
        var groups = PreferenceRows.GroupsOf(record, pair, context);
        Lengths.Add(pair.Chosen.Completion.Length, pair.Rejected.Completion.Length);
        var (prompt, good, bad) = Parts(record, pair);
        prompts.Add(Hash(prompt));
        judged.Add(Hash(prompt, good, bad));
        if (good != bad && judged.Contains(Hash(prompt, bad, good))) Contradictions.Add(record);
        var (won, lost) = (Hash(prompt, good), Hash(prompt, bad));
        if (good != bad && (rejected.Contains(won) || chosen.Contains(lost))) BothWays.Add(record);
        chosen.Add(won);
        rejected.Add(lost);
        return groups;
    }

    private static string Shape(DataRecord record) =>
        record.Has("chosen") || record.Has("chosen_ids") || record.Has("chosen_input_ids") ? Pairs
        : record.Has("label") && (record.Has("completion") || record.Has("completion_ids")) ? Labelled // another row's label is another task's
        : Sequences;

    // What training takes for the prompt where a row names none: the tokens that both whole texts begin with.
    private static (string Prompt, string Chosen, string Rejected) Parts(DataRecord record, PairTokens pair) =>
        Node(record, "prompt", "prompt_ids") is { } prompt ? (prompt, Node(record, "chosen", "chosen_ids") ?? "", Node(record, "rejected", "rejected_ids") ?? "")
        : (string.Join(' ', pair.Chosen.Prompt), string.Join(' ', pair.Chosen.Completion), string.Join(' ', pair.Rejected.Completion));

    private static string? Node(DataRecord record, params string[] names) => names.Where(record.Has).Select(name => record.Fields[name]!.ToJsonString()).FirstOrDefault();

    // 128 bits of SHA-256; a part's length stands before it, so that parts do not run into each other.
    private static UInt128 Hash(params string[] parts)
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

/// <summary>Something found in rows: how often, and where first.</summary>
internal sealed class Finding(string name, int examples)
{
    private readonly List<string> places = [];

    internal string Name => name;

    internal long Count { get; private set; }

    internal IReadOnlyList<string> Places => places;

    internal void Add(DataRecord record)
    {
        Count++;
        if (places.Count < examples) places.Add(record.Place);
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
