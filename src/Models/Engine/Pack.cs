// Packs completion groups into rows without padding. A group's prompt stands once, each completion after it; a row sees
// its group's prompt and its own completion up to itself. The last token of a completion needs no row: nothing follows it.
// Where rotary frequencies depend on a sequence's length, completions share a prompt only with those of equal frequencies.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Rows of some groups, ready for one forward pass.</summary>
public sealed class Pack : IDisposable
{
    private readonly Dictionary<string, Tensor?> underControl = [];
    private readonly List<long> headRows = [];
    private (Tensor Segments, Tensor Positions)? places;
    private (Tensor Rows, Tensor Places)? asked;

    private Pack(Rows rows, Place place)
    {
        Virtual = rows.Virtual.Count == 0 ? null : Column(rows.Virtual, place);
        Tokens = Column(rows.Tokens, place);
        Positions = Column(rows.Positions, place);
        HeadRows = Column(headRows = rows.HeadRows, place);
        Targets = Column(rows.Targets, place);
        Slots = rows.Slots;
        WithGradient = rows.WithGradient;
        Segments = rows.Segments;
        Buckets = Bucket.Of(Segments, place);
        Runs = new PackRuns(Segments);
        Attention = new BucketAttention(Runs, Buckets);
        Lengths = place.LengthClass is null ? null : Segments.Select(s => ((long)s.Length, s.Tokens)).ToList();
    }

    // Rows that each continue a sequence of their own by one token.
    private Pack(Step step, Place place, IRowAttention attention)
    {
        Tokens = Column(step.Tokens, place);
        Positions = Column(step.Positions, place);
        (HeadRows, Targets) = (Column([], place), Column([], place));
        (Slots, WithGradient, Segments, Buckets) = ([], [], [], []);
        Runs = new PackRuns([]);
        Lengths = place.LengthClass is null ? null : step.Positions.ConvertAll(p => (1L, place.LengthClass(p + 2))); // as a prompt of p + 1 tokens
        Attention = attention;
    }

    /// <summary>(R) int64 token ids.</summary>
    public Tensor Tokens { get; }

    /// <summary>(R) int64 positions; a completion's continue from its prompt's.</summary>
    public Tensor Positions { get; }

    /// <summary>(N) int64 rows whose next-token distribution is asked for.</summary>
    public Tensor HeadRows { get; }

    /// <summary>(N) int64 the token asked for at each of HeadRows.</summary>
    public Tensor Targets { get; }

    /// <summary>(R) int64 of a virtual token's row its number among all, see <see cref="Fronts.Embeddings"/>, of others -1; null where there are none.</summary>
    internal Tensor? Virtual { get; }

    /// <summary>(N) where each answer belongs among all completion tokens of the batch.</summary>
    public IReadOnlyList<long> Slots { get; }

    /// <summary>(N) whether gradients flow through each answer.</summary>
    internal IReadOnlyList<bool> WithGradient { get; }

    /// <summary>One for each group, in row order.</summary>
    internal IReadOnlyList<Segment> Segments { get; }

    /// <summary>For runs of rows, the length of their sequence; null where nothing depends on it.</summary>
    internal IReadOnlyList<(long Rows, long Length)>? Lengths { get; }

    /// <summary>The groups as attention takes them.</summary>
    internal IReadOnlyList<Bucket> Buckets { get; }

    /// <summary>Which rows each row sees, as the fused attention takes it.</summary>
    internal PackRuns Runs { get; }

    /// <summary>How the rows attend: to the rows of their group, or to what a cache holds.</summary>
    internal IRowAttention Attention { get; set; }

    /// <summary>(R) int64 each: the number of each row's segment, and its position within that, counted from its first row.</summary>
    internal (Tensor Segments, Tensor Positions) Places => places ??= (
        OfRows([.. Segments.SelectMany((s, number) => Enumerable.Repeat((long)number, s.Length))]), OfRows([.. Segments.SelectMany(s => s.Places)]));

    /// <summary>(M) int64 the rows of HeadRows, each once and rising, with others where they are fewer than that; and (N) where each of HeadRows is among them.</summary>
    /// <param name="least">Always the same.</param>
    internal (Tensor Rows, Tensor Places) Asked(long least)
    {
        if (asked is { } known) return known;
        var place = new long[Tokens.numel()]; // of each row among the asked ones, from 1; 0 = not asked
        foreach (var row in headRows) place[row] = 1;
        var count = 0L;
        foreach (var one in place) count += one;
        for (var row = 0L; count < Math.Min(least, place.Length); row++)
            if (place[row] == 0) (place[row], count) = (1, count + 1);
        var (rows, answers, next) = (new long[count], new long[headRows.Count], 0);
        for (var row = 0L; row < place.Length; row++)
            if (place[row] != 0) (rows[next], place[row]) = (row, ++next);
        for (var k = 0; k < answers.Length; k++) answers[k] = place[headRows[k]] - 1;
        return (asked = (OfRows(rows), OfRows(answers))).Value;
    }

    /// <summary>Rows of one decoding step.</summary>
    /// <param name="step">Tokens and positions.</param>
    /// <param name="place">What the pack is made for.</param>
    /// <param name="attention">Sees the rows' past.</param>
    internal static Pack Of(Step step, Place place, IRowAttention attention) => new(step, place, attention);

    /// <summary>
    /// Packs groups in order; a pack closes before it would pass <paramref name="maxRows"/>. Only tokens with a weight
    /// are asked for; groups without any make no rows. Each pack is made when it is asked for, and is the caller's.
    /// </summary>
    /// <param name="groups">The batch.</param>
    /// <param name="maxRows">Rows per pack; a group that is longer gets a pack of its own.</param>
    /// <param name="place">What the packs are made for.</param>
    /// <param name="fronts">What stands before the groups' text; null = nothing.</param>
    /// <param name="first">Position of each group's first token: how many tokens stand before it that are computed elsewhere.</param>
    /// <param name="dropout">Says which tokens later ones do not see; null = none.</param>
    internal static IEnumerable<Pack> Of(IReadOnlyList<CompletionGroup> groups, long maxRows, Place place, Fronts? fronts = null, int first = 0, DropoutKey? dropout = null)
    {
        var rows = new Rows(place.LengthClass, first, dropout);
        long slot = 0;
        for (var g = 0; g < groups.Count; g++)
        {
            Check(groups[g]);
            if (!groups[g].Completions.Any(c => c.Weights.Any(w => w != 0)))
            {
                slot += groups[g].Completions.Sum(c => (long)c.Tokens.Length);
                continue;
            }
            var front = fronts?[groups[g].Control] ?? default;
            if (rows.Tokens.Count > 0 && rows.Tokens.Count + front.Tokens + RowsOf(groups[g]) > maxRows)
            {
                yield return new Pack(rows, place);
                rows = new Rows(place.LengthClass, first, dropout);
            }
            rows.Add(groups[g], front, g, ref slot);
        }
        if (rows.Tokens.Count > 0) yield return new Pack(rows, place);
    }

    /// <summary>Rows that a group's tokens take where its completions share its prompt.</summary>
    public static long RowsOf(CompletionGroup group) => group.Prompt.Length + group.Completions.Sum(c => c.Tokens.Length - 1L);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor?[])[Tokens, Positions, HeadRows, Targets, Virtual]) tensor?.Dispose();
        foreach (var bucket in Buckets) bucket.Dispose();
        Runs.Dispose();
        foreach (var rows in underControl.Values) rows?.Dispose();
        places?.Segments.Dispose();
        places?.Positions.Dispose();
        asked?.Rows.Dispose();
        asked?.Places.Dispose();
    }

    /// <summary>(R, 1) bool: the rows of groups that name a control; null where no group does.</summary>
    internal Tensor? RowsUnder(string control)
    {
        if (underControl.TryGetValue(control, out var known)) return known;
        var any = Segments.Any(s => s.Control == control);
        var rows = Segments.SelectMany(s => Enumerable.Repeat(s.Control == control, s.Length)).ToArray();
        return underControl[control] = any ? torch.tensor(rows, device: Tokens.device).unsqueeze(1).DetachFromDisposeScope() : null;
    }

    private Tensor OfRows(long[] values) => torch.tensor(values, device: Tokens.device).DetachFromDisposeScope();

    private static Tensor Column(List<long> values, Place place) =>
        torch.tensor(values, device: place.Device).DetachFromDisposeScope();

    private static void Check(CompletionGroup group)
    {
        if (group.Prompt.Length == 0) throw new ArgumentException("a completion group needs at least one prompt token");
        foreach (var completion in group.Completions)
        {
            if (completion.Tokens.Length == 0) throw new ArgumentException("a completion needs at least one token");
            if (completion.Weights.Length != completion.Tokens.Length)
                throw new ArgumentException($"a completion has {completion.Tokens.Length} tokens and {completion.Weights.Length} weights; it needs one weight per token");
        }
    }

    // The rows while they are being collected.
    private sealed class Rows(Func<long, long>? lengthClass, int first, DropoutKey? dropout)
    {
        internal readonly List<long> Tokens = [];
        internal readonly List<long> Positions = [];
        internal readonly List<long> HeadRows = [];
        internal readonly List<long> Targets = [];
        internal readonly List<long> Slots = [];
        internal readonly List<bool> WithGradient = [];
        internal readonly List<Segment> Segments = [];
        internal readonly List<long> Virtual = []; // as long as Tokens once there is one

        internal void Add(CompletionGroup group, Front front, int record, ref long slot)
        {
            var answers = new List<Answer>();
            foreach (var completion in group.Completions)
            {
                answers.Add(new Answer(completion, slot));
                slot += completion.Tokens.Length;
            }
            if (lengthClass is null) Add(group, front, answers, record, 1);
            else foreach (var together in answers.GroupBy(a => lengthClass(front.Length + group.Prompt.Length + a.Completion.Tokens.Length))) Add(group, front, together.ToList(), record, together.Key);
        }

        private void Add(CompletionGroup group, Front front, List<Answer> completions, int record, long length)
        {
            var (prompt, start) = (group.Prompt, Tokens.Count);
            for (var t = 0; t < front.Tokens; t++) AppendVirtual(front.FirstToken + t, front.Prefix + t);
            for (var p = 0; p < prompt.Length; p++) Append(prompt[p], front.Length + p);
            var branches = new List<int> { front.Tokens + prompt.Length };
            foreach (var (completion, slot) in completions)
            {
                var before = start + branches[0] - 1; // the row that predicts the completion's first token
                for (var t = 0; t < completion.Tokens.Length; t++)
                {
                    if (completion.Weights[t] != 0) Ask(t == 0 ? before : Tokens.Count - 1, completion.Tokens[t], slot + t, completion.Gradient);
                    if (t < completion.Tokens.Length - 1) Append(completion.Tokens[t], front.Length + prompt.Length + t);
                }
                branches.Add(completion.Tokens.Length - 1);
            }
            var segment = new Segment(start, branches.ToArray(), record, length) { Control = group.Control, Front = front };
            Segments.Add(dropout is { HiddenPast: > 0 } key ? segment with { Hidden = HiddenPast.Of(key, segment) } : segment);
        }

        // A completion, and where its first token belongs among all of the batch.
        private sealed record Answer(Completion Completion, long Slot);

        private void Append(int token, int position)
        {
            Tokens.Add(token);
            Positions.Add(first + position);
            if (Virtual.Count > 0) Virtual.Add(-1);
        }

        // Some token of the vocabulary stands in the embedding's input; its vector is not used.
        private void AppendVirtual(int number, int position)
        {
            while (Virtual.Count < Tokens.Count) Virtual.Add(-1);
            Tokens.Add(0);
            Positions.Add(position);
            Virtual.Add(number);
        }

        private void Ask(int row, int target, long slot, bool gradient)
        {
            HeadRows.Add(row);
            Targets.Add(target);
            Slots.Add(slot);
            WithGradient.Add(gradient);
        }
    }
}

/// <summary>The rows of one decoding step.</summary>
/// <param name="Tokens">(R) the newest token of each sequence.</param>
/// <param name="Positions">(R) its position.</param>
internal sealed record Step(List<long> Tokens, List<long> Positions);
