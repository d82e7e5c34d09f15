// The one log-prob engine: groups in, log-probs of their completions' tokens out, for training and evaluation alike.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Scores completion groups with a model.</summary>
/// <param name="model">The model.</param>
/// <param name="packRows">Most rows of one forward pass (peak memory follows it; results do not depend on it).</param>
/// <param name="chunkRows">Most rows whose logits are in memory at once, where logits are needed (likewise).</param>
public sealed partial class LogProbEngine(DecoderModel model, long packRows = 2048, long chunkRows = HeadLogProbs.ChunkRows)
{
    /// <summary>Rows whose logits are in memory at once where no other number is asked for.</summary>
    public const long HeadRows = HeadLogProbs.ChunkRows;

    /// <summary>Whether rotary frequencies that depend on a sequence's length count its last token: training gives the model whole sequences,
    /// lm-evaluation-harness leaves out the last token. A model with a score head never counts it, since it only asks for the score.</summary>
    public bool LastCounts { get; init; } = true;

    // In a pass that recomputes blocks, the blocks' inputs of this many rows are kept; packs after them keep nothing.
    private const long KeptRows = 1 << 13;

    /// <summary>
    /// Log-probs of every completion token of the groups, in order of groups, completions, tokens; 0 where a token's
    /// weight is 0. A model with a score head gives the score of what stands before a token in its place. With gradients where the mode's deltas or the weights ask for them and the completion does.
    /// </summary>
    /// <param name="groups">The groups.</param>
    /// <param name="mode">Adapters and dropout.</param>
    /// <returns>(N) float32, float64 for a model in float64.</returns>
    public Tensor LogProbs(IReadOnlyList<CompletionGroup> groups, ForwardMode mode)
    {
        Check(groups, mode);
        using var scope = torch.NewDisposeScope();
        var (values, slots) = (new List<Tensor>(), new List<long>());
        foreach (var pack in Pack.Of(groups, packRows, Place, Fronts.Of(model.Spec, mode), dropout: mode.Dropout))
        {
            using (pack) values.Add(LogProbs(pack, mode));
            slots.AddRange(pack.Slots);
        }
        var result = torch.zeros([TokensOf(groups)], ResultType, model.Device);
        if (values.Count > 0) result = result.index_add(0, torch.tensor(slots, device: model.Device), torch.cat(values), 1);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The same log-probs as leaves, with what else a method's loss needs, and the way back through the model. In the caller's
    /// dispose scope; the pass is the caller's to dispose.
    /// </summary>
    /// <param name="groups">The micro-batch.</param>
    /// <param name="mode">The policy's adapters and dropout.</param>
    /// <param name="needs">Reference, statistics, memory.</param>
    /// <exception cref="UserErrorException">A statistic that the engine does not have.</exception>
    public BatchPass Pass(IReadOnlyList<CompletionGroup> groups, ForwardMode mode, PassNeeds needs)
    {
        Check(groups, mode);
        mode = mode with { Recomputes = needs.Recompute || mode.Recomputes, AddsToLeaves = true };
        var stored = needs.Stored?.Find(groups, model.Device);
        if (stored is not null) needs = needs with { Reference = null };
        else if (needs is { Stored: not null, Reference: null })
            throw new UserErrorException("The stored reference log-probs lack an answer of this batch, and the reference itself is not loaded; leave precompute_reference out.");
        var sharing = needs.Reference is { } same && ReferenceEquals(same.Model, model) && mode.Dropout is not { HiddenPast: > 0 } && Fronts.Of(model.Spec, mode).SameFor(groups, Fronts.Of(model.Spec, same.Mode)) ? same : null;
        var (parts, answers, reference) = (new List<BatchPass.Part>(), new List<HeadAnswers>(), new List<Tensor>());
        var (logProbs, means, rows) = (new List<Tensor>(), new List<Tensor>(), 0L);
        foreach (var pack in Pack.Of(groups, packRows, Place, Fronts.Of(model.Spec, mode), dropout: mode.Dropout))
        {
            using var off = pack.WithGradient.Contains(true) ? null : torch.no_grad();
            var (asked, keeps) = (Asked(model, needs.Statistics), off is null && (!needs.Recompute || (rows += pack.Tokens.numel()) <= KeptRows));
            using var start = sharing is null ? null : model.StartOf(mode, sharing.Mode);
            if (sharing is not null) reference.Add(Frozen(sharing.Mode with { Start = start }, pack));
            var outputs = Outputs(pack, mode with { Start = start }, asked);
            parts.Add(new BatchPass.Part(pack, torch.tensor(pack.Slots.ToArray(), device: model.Device), keeps ? outputs : null));
            answers.Add(asked);
            logProbs.Add(outputs[0].detach());
            if (asked.MeanLogProb) means.Add(outputs[1].detach());
            if (keeps) continue;
            foreach (var output in outputs) output.Dispose(); // and its graph
        }
        Tensor Joined(IReadOnlyList<Tensor> values) => values.Count == 0
            ? torch.zeros([TokensOf(groups)], ResultType, model.Device)
            : torch.zeros([TokensOf(groups)], ResultType, model.Device).index_add(0, torch.cat(parts.Select(p => p.Slots).ToList()), torch.cat(values.ToList()), 1);
        var statistics = needs.Statistics.Where(name => name != HeadAnswers.MeanLogProbName).Distinct().ToDictionary(name => name, name => Joined(answers.Select(a => a.Statistics[name]).ToList()));
        if (needs.Statistics.Contains(HeadAnswers.MeanLogProbName)) statistics[HeadAnswers.MeanLogProbName] = Joined(means).requires_grad_();
        var under = stored ?? (sharing is not null ? Joined(reference) : needs.Reference is { } other ? Apart(other, groups) : null);
        return new BatchPass(Joined(logProbs).requires_grad_(), under, statistics, parts,
            pack => Outputs(pack, mode, Asked(model, [.. needs.Statistics.Where(name => name == HeadAnswers.MeanLogProbName)])));
    }

    /// <summary>(N) the completions' weights, in the order of <see cref="LogProbs(IReadOnlyList{CompletionGroup}, ForwardMode)"/>.</summary>
    public Tensor Weights(IReadOnlyList<CompletionGroup> groups) =>
        torch.tensor(groups.SelectMany(g => g.Completions).SelectMany(c => c.Weights).ToArray(), device: model.Device);

    /// <summary>The logits of every row, for small questions: all of a group's rows' full distributions at once.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="mode">Adapters and dropout.</param>
    /// <returns>For each group in order (rows, V): the prompt's tokens, then each completion's but its last.</returns>
    public IReadOnlyList<Tensor> Logits(IReadOnlyList<CompletionGroup> groups, ForwardMode mode)
    {
        Check(groups, mode);
        mode = mode with { Alone = !torch.is_grad_enabled() };
        var results = new List<Tensor>();
        foreach (var pack in Pack.Of(groups, packRows, Place, Fronts.Of(model.Spec, mode)))
        {
            using (pack)
            {
                using var scope = torch.NewDisposeScope();
                var logits = model.HeadUnder(mode).Logits(model.Forward(pack, mode), model.Spec.LogitCap ?? 0);
                results.AddRange(pack.Segments.Select(s => logits.narrow(0, s.Start + s.Front.Tokens, s.Length - s.Front.Tokens).MoveToOuterDisposeScope()));
            }
        }
        return results;
    }

    /// <summary>The first token id of a group that the model does not have, or null.</summary>
    /// <param name="group">The group.</param>
    public int? UnknownToken(CompletionGroup group)
    {
        bool Unknown(int id) => id < 0 || id >= model.Spec.Vocabulary;
        foreach (var tokens in group.Completions.Select(c => c.Tokens).Prepend(group.Prompt))
            if (Array.FindIndex(tokens, Unknown) is >= 0 and var place) return tokens[place];
        return null;
    }

    /// <summary>Positions that an adapter takes before the text of groups without a control.</summary>
    /// <param name="mode">The adapter.</param>
    public int PositionsBefore(ForwardMode mode) => Fronts.Of(model.Spec, mode)[null].Length;

    // What would be computed wrongly, or not at all, is refused before anything is computed.
    private void Check(IReadOnlyList<CompletionGroup> groups, ForwardMode mode)
    {
        var fronts = Fronts.Of(model.Spec, mode);
        foreach (var group in groups)
        {
            if (group.Control is { } control && !mode.IsOff && !mode.Controls.ContainsKey(control))
                throw new UserErrorException($"Control '{control}' is none of this adapter's: {(mode.Controls.Count == 0 ? "it has none" : string.Join(", ", mode.Controls.Keys))}.");
            if (UnknownToken(group) is { } id) throw new UserErrorException($"Token id {id} is not in the model's vocabulary of {model.Spec.Vocabulary}; the rows were made with another tokenizer, or the model's tokenizer_config.json names a token that its embedding has no row for.");
            if (model.Spec.Names.Positions is not null && Longest(group) is var rows && fronts[group.Control].Length is var before && before + rows > model.Spec.MaxPositions)
                throw new UserErrorException($"A row of {rows + 1} tokens is too long: the model has learned positions for {model.Spec.MaxPositions}{(before > 0 ? $", of which {before} are the adapter's" : "")}. Lower max_length, or shorten the row.");
        }
        foreach (var control in mode.Controls.Values) ThrowIfNotTaken(control);
        ThrowIfNotTaken(mode.Deltas);
        foreach (var control in mode.Controls.Values)
            foreach (var (module, delta) in control)
                if (model.ChangesHead(module, delta)) throw new UserErrorException($"A control's adapter changes {module}; the output head is the same for all rows. Leave it out of the adapter's targets.");
    }

    private void ThrowIfNotTaken(IReadOnlyDictionary<string, Delta> changes)
    {
        foreach (var (module, delta) in changes)
            if (!model.TakesDelta(module, delta)) throw new UserErrorException($"The adapter has a change of the kind {delta.GetType().Name} at {module}, where this model cannot compute one.");
    }

    // The last token of a completion needs no position.
    private static long Longest(CompletionGroup group) => group.Prompt.Length + group.Completions.Max(c => c.Tokens.Length) - 1;

    private torch.ScalarType ResultType => model.Head.dtype == torch.float64 ? torch.float64 : torch.float32;

    // Asked each time, since a training may change the type of the weights.
    private Place Place => LastCounts && model.Spec.Labels is null ? Engine.Place.Of(model) : Engine.Place.Of(model).BeforeLast;

    private static long TokensOf(IReadOnlyList<CompletionGroup> groups) => groups.Sum(g => g.Completions.Sum(c => (long)c.Tokens.Length));

    private Tensor LogProbs(Pack pack, ForwardMode mode)
    {
        using var scope = torch.NewDisposeScope();
        using var off = pack.WithGradient.Contains(true) ? null : torch.no_grad();
        var values = Outputs(pack, mode, Asked(model))[0];
        if (off is null && pack.WithGradient.Contains(false))
            values = torch.where(torch.tensor(pack.WithGradient.ToArray(), device: model.Device), values, values.detach());
        return values.MoveToOuterDisposeScope();
    }

    // The head's outputs for a pack, on a graph where gradients are on.
    private Tensor[] Outputs(Pack pack, ForwardMode mode, HeadAnswers answers)
    {
        using var scope = torch.NewDisposeScope();
        var outputs = Answers(model.Answering(pack, mode), pack, mode, answers);
        foreach (var tensor in outputs.Concat(answers.Statistics.Values)) tensor.MoveToOuterDisposeScope();
        return [.. outputs];
    }

    private IReadOnlyList<Tensor> Answers(Tensor rows, Pack pack, ForwardMode mode, HeadAnswers answers)
    {
        var head = model.HeadUnder(mode);
        if (head.Change is null && model.Spec.Labels is null)
        {
            object[] inputs = [rows, head.Layer.Weight, pack.Targets, answers, LeafGradients.Take(head.Layer.Weight, mode)];
            return HeadLogProbs.apply(head.Layer.Bias is { } bias ? [.. inputs, bias] : inputs);
        }
        Tensor Mask(double rate) => DropoutMask.Of(mode.Dropout!, model.Spec.Names.Head, rate, pack, rows).index_select(0, pack.HeadRows);
        if (model.Spec.Labels is null) return AdaptedHead.LogProbs(head, rows, pack.Targets, answers, mode.Dropout is { Activations: true } ? Mask : null);
        return [head.Logits(rows, 0, (x, rate) => rate > 0 && mode.Dropout is { Activations: true } ? x * Mask(rate) : x).select(1, 0).to(ResultType)];
    }

    // A reference with other weights or other virtual tokens has packs of its own, since its positions, and the rotary frequencies that a
    // row's length gives, may differ.
    private Tensor Apart(ReferencePolicy reference, IReadOnlyList<CompletionGroup> groups)
    {
        using var off = torch.no_grad();
        return new LogProbEngine(reference.Model, packRows, chunkRows).LogProbs(groups, reference.Mode);
    }

    private Tensor Frozen(ForwardMode reference, Pack pack)
    {
        using var off = torch.no_grad();
        return Outputs(pack, reference, Asked(model))[0];
    }

    private HeadAnswers Asked(DecoderModel of, params IReadOnlyList<string> statistics) => new(statistics, chunkRows, of.Spec.LogitCap ?? 0);
}
