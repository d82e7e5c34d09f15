// How far the merged model is from a parent on probe texts: the Kullback-Leibler divergence of the parent's next-token distribution
// from the merged one's, and how often both put the same token first; means over all positions.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

/// <param name="Parent">The parent's name.</param>
/// <param name="Tokens">Positions compared; 0 where they could not be.</param>
/// <param name="Kl">KL(parent || merged) per token, in nats.</param>
/// <param name="Agreement">Share of positions with the same first choice.</param>
/// <param name="Reason">Why there are no numbers; null where there are.</param>
internal sealed record DriftResult(string Parent, long Tokens, double Kl, double Agreement, string? Reason);

internal static class Drift
{
    /// <summary>Compares; one parent is in memory at a time beside the merged model.</summary>
    /// <param name="plan">The merge.</param>
    /// <param name="merged">Folder of the merged model.</param>
    /// <param name="probe">The texts.</param>
    /// <param name="architectures">What reads the models.</param>
    public static IReadOnlyList<DriftResult> Measure(MergePlan plan, string merged, Probe probe, ModelArchitectures architectures)
    {
        IReadOnlyList<DriftResult> None(string reason) => [.. plan.Models.Select(parent => new DriftResult(parent.Name, 0, 0, 0, reason))];
        if (plan.Vocabulary is not null) return None("the merge has a vocabulary of its own, whose ids mean other tokens in the parents");
        try
        {
            if (Groups(merged, probe) is not { } groups) return None("the merged model has no tokenizer; give a probe of token ids: rows {\"ids\": [...]}");
            if (groups.Count == 0) return None($"no row of the probe {probe.Name} has two tokens; give longer ones");
            using var scope = torch.NewDisposeScope();
            using var noGrad = torch.no_grad();
            var ours = new LogProbEngine(ModelFolder.Load(merged, architectures: architectures));
            return [.. plan.Models.Select(parent => Against(parent, ours, groups, architectures))];
        }
        catch (UserErrorException e)
        {
            return None(e.Message);
        }
    }

    private static List<CompletionGroup>? Groups(string folder, Probe probe)
    {
        var tokenizer = ModelFolder.HasTokenizer(folder) ? TokenizerLoader.Load(folder) : null;
        if (tokenizer is null && probe.Rows.Any(row => row.Ids is null)) return null;
        var rows = probe.Rows.Select(row => row.Ids ?? [.. tokenizer!.EncodeToIds(row.Text!)]).Where(ids => ids.Length > 1);
        return [.. rows.Select(ids => new CompletionGroup([ids[0]], [Completion.Of(ids[1..])]))];
    }

    private static DriftResult Against(InputModel parent, LogProbEngine ours, List<CompletionGroup> groups, ModelArchitectures architectures)
    {
        try
        {
            using var scope = torch.NewDisposeScope();
            var theirs = new LogProbEngine(ModelFolder.Load(parent.Folder, architectures: architectures));
            var mode = parent.Adapter is { } adapter ? new ForwardMode { Deltas = adapter.Deltas() } : ForwardMode.Plain;
            var (kl, same, tokens) = (0.0, 0L, 0L);
            foreach (var group in groups)
            {
                using var inner = torch.NewDisposeScope();
                var (p, q) = (LogProbs(theirs, group, mode), LogProbs(ours, group, ForwardMode.Plain));
                kl += (p.exp() * (p - q)).sum().item<double>();
                same += p.argmax(-1).eq(q.argmax(-1)).to(torch.ScalarType.Int64).sum().item<long>();
                tokens += p.shape[0];
            }
            return new DriftResult(parent.Name, tokens, Math.Max(0, kl / tokens), same / (double)tokens, null);
        }
        catch (UserErrorException e)
        {
            return new DriftResult(parent.Name, 0, 0, 0, e.Message);
        }
    }

    // (rows, V) in float64.
    private static Tensor LogProbs(LogProbEngine engine, CompletionGroup group, ForwardMode mode) =>
        engine.Logits([group], mode)[0].to(torch.float64).log_softmax(-1);
}
