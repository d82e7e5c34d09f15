// How far the merged model is from a parent on probe texts: the Kullback-Leibler divergence of the parent's next-token distribution
// from the merged one's, and how often both put the same token first; means over all positions. A parent with an adapter is looked
// at over its full base and, where the adapter was trained over that base in 4 bits, over the decoded one too.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

/// <summary>How far a model is from another.</summary>
/// <param name="Kl">KL(one || other) per token, in nats.</param>
/// <param name="Agreement">Share of positions with the same first choice.</param>
internal readonly record struct Distance(double Kl, double Agreement);

/// <param name="Parent">The parent's name.</param>
/// <param name="Tokens">Positions compared; 0 where they could not be.</param>
/// <param name="Merged">From the parent to the merged model.</param>
/// <param name="Reason">Why there are no numbers; null where there are.</param>
internal sealed record DriftResult(string Parent, long Tokens, Distance Merged, string? Reason)
{
    /// <summary>From the parent's adapter over the decoded 4-bit base to the same over the full base, and to the merged model; null where that was not asked for.</summary>
    public (Distance Full, Distance Merged)? OverFourBits { get; init; }
}

internal static class Drift
{
    /// <summary>Compares; two parents at most are in memory beside the merged model.</summary>
    /// <param name="plan">The merge.</param>
    /// <param name="merged">Folder of the merged model.</param>
    /// <param name="probe">The texts.</param>
    /// <param name="architectures">What reads the models.</param>
    /// <param name="trainedOver">What quantised the bases of adapters when these were trained; null = nothing did.</param>
    public static IReadOnlyList<DriftResult> Measure(MergePlan plan, string merged, Probe probe, ModelArchitectures architectures, IQuantization? trainedOver)
    {
        IReadOnlyList<DriftResult> None(string reason) => [.. plan.Models.Select(parent => new DriftResult(parent.Name, 0, default, reason))];
        if (Obstacle(plan, probe, architectures) is { } reason) return None(reason);
        try
        {
            using var scope = torch.NewDisposeScope();
            using var noGrad = torch.no_grad();
            var ours = new LogProbEngine(ModelFolder.Load(merged, architectures: architectures));
            var groups = Groups(plan.Leader.Folder, probe)!;
            return [.. plan.Models.Select(parent => Against(parent, ours, groups, architectures, trainedOver))];
        }
        catch (UserErrorException e)
        {
            return None(e.Message);
        }
    }

    /// <summary>Why a probe cannot be measured on a merge, known before anything is merged; null where it can.</summary>
    public static string? Obstacle(MergePlan plan, Probe probe, ModelArchitectures architectures)
    {
        if (plan.Vocabulary is not null) return "the merge has a vocabulary of its own, whose ids mean other tokens in the parents";
        try
        {
            var spec = architectures.Describe(plan.Leader.Config);
            if (Groups(plan.Leader.Folder, probe) is not { } groups) return "the merged model has no tokenizer; give a probe of token ids: rows {\"ids\": [...]}";
            if (groups.Count == 0) return $"no row of the probe {probe.Name} has two tokens; give longer ones";
            var outside = probe.Rows.SelectMany(row => row.Ids ?? []).Where(id => id < 0 || id >= spec.Vocabulary).ToList();
            return outside.Count == 0 ? null : $"the probe {probe.Name} has the id {outside[0]}, and the merged model a vocabulary of {spec.Vocabulary}";
        }
        catch (UserErrorException e)
        {
            return e.Message;
        }
    }

    private static List<CompletionGroup>? Groups(string folder, Probe probe)
    {
        var tokenizer = ModelFolder.HasTokenizer(folder) ? TokenizerLoader.Load(folder) : null;
        if (tokenizer is null && probe.Rows.Any(row => row.Ids is null)) return null;
        var rows = probe.Rows.Select(row => row.Ids ?? [.. tokenizer!.EncodeToIds(row.Text!)]).Where(ids => ids.Length > 1);
        return [.. rows.Select(ids => new CompletionGroup([ids[0]], [Completion.Of(ids[1..])]))];
    }

    private static DriftResult Against(InputModel parent, LogProbEngine ours, List<CompletionGroup> groups, ModelArchitectures architectures, IQuantization? trainedOver)
    {
        try
        {
            using var scope = torch.NewDisposeScope();
            var mode = parent.Adapter is { } adapter ? new ForwardMode { Deltas = adapter.Deltas() } : ForwardMode.Plain;
            var full = new Side(new LogProbEngine(ModelFolder.Load(parent.Folder, architectures: architectures)), mode);
            var result = new Side(ours, ForwardMode.Plain);
            var (merged, tokens) = Between(full, result, groups);
            var drift = new DriftResult(parent.Name, tokens, merged, null);
            if (trainedOver is null || parent.Adapter is null || parent.Decoded > 0) return drift;
            var four = new Side(new LogProbEngine(ModelFolder.Load(parent.Folder, architectures: architectures, quantization: trainedOver)), mode);
            return drift with { OverFourBits = (Between(four, full, groups).Distance, Between(four, result, groups).Distance) };
        }
        catch (UserErrorException e)
        {
            return new DriftResult(parent.Name, 0, default, e.Message);
        }
    }

    private static (Distance Distance, long Tokens) Between(Side one, Side other, List<CompletionGroup> groups)
    {
        var (kl, same, tokens) = (0.0, 0L, 0L);
        foreach (var group in groups)
        {
            using var inner = torch.NewDisposeScope();
            var (p, q) = (one.LogProbs(group), other.LogProbs(group));
            kl += (p.exp() * (p - q)).sum().item<double>();
            same += p.argmax(-1).eq(q.argmax(-1)).to(torch.ScalarType.Int64).sum().item<long>();
            tokens += p.shape[0];
        }
        return (new Distance(Math.Max(0, kl / tokens), same / (double)tokens), tokens);
    }

    private sealed record Side(LogProbEngine Engine, ForwardMode Mode)
    {
        // (rows, V) in float64.
        internal Tensor LogProbs(CompletionGroup group) => Engine.Logits([group], Mode)[0].to(torch.float64).log_softmax(-1);
    }
}
