// The policy while it is trained: its trainable tensors as views of one flat buffer, put into the model or the deltas; the policy
// where training starts, frozen, if the method refers to it; and the way of the trained values back to their owners.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training;

internal sealed class TrainedPolicy : IDisposable
{
    private readonly TrainingRun run;
    private readonly List<Tensor> frozen = []; // former weights, kept for the reference alone

    /// <summary>Takes over the run's model and adapter. The model's former weights are disposed where nothing refers to them.</summary>
    internal TrainedPolicy(TrainingRun run)
    {
        this.run = run;
        Parameters = new FlatParameters(Initial(), run.Adapter is null ? run.Options.Dtype : null);
        Reference = run.Method.Needs.Reference && !IsStoredWhole ? run.Reference ?? Start() : null;
        Mode = Install();
    }

    internal FlatParameters Parameters { get; }

    /// <summary>The policy's adapters, without dropout.</summary>
    internal ForwardMode Mode { get; }

    /// <summary>What the method refers to; null where it needs none.</summary>
    internal ReferencePolicy? Reference { get; }

    /// <summary>Whether policy and reference are the same function before the first update.</summary>
    internal bool StartsAtReference => run.Method.Needs.Reference && run.Reference is null && !run.IsReferenceElsewhere;

    /// <summary>The trained values outlive the flat buffer: back into the adapter's own tensors, or as weights of the model.</summary>
    internal void Hand()
    {
        using var off = torch.no_grad();
        foreach (var (name, tensor) in Parameters.Members)
        {
            if (run.Adapter is null) run.Model.SetWeight(name, tensor.detach().clone().DetachFromDisposeScope());
        }
        var tensors = Parameters.Members.ToDictionary(m => m.Name, m => m.Tensor);
        foreach (var site in run.Adapter ?? [])
            foreach (var (role, own) in site.Delta.Parameters) own.copy_(tensors[$"{site.Module}.{role}"]);
    }

    /// <summary>Lends the adapter as it is now; null where all weights are trained, which the model holds itself.</summary>
    internal void Show(Action<IReadOnlyList<AdapterSite>?> look)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        if (run.Adapter is { } sites)
        {
            look(Over(sites, tensor => tensor.detach()));
            return;
        }
        foreach (var (name, tensor) in Parameters.Members) run.Model.SetWeight(name, tensor);
        look(null);
        foreach (var (name, tensor) in Parameters.Leaves) run.Model.SetWeight(name, tensor);
    }

    public void Dispose()
    {
        Parameters.Dispose();
        foreach (var tensor in frozen) tensor.Dispose();
    }

    // A second copy of the weights is what stored log-probs save. Rows for evaluation are not among them.
    private bool IsStoredWhole => run.IsReferenceElsewhere || (run.StoredReference is not null && run.Adapter is null && run.EvalRecords.Count == 0);

    private IEnumerable<(string, Tensor, bool)> Initial() => run.Adapter is { } sites
        ? sites.SelectMany(s => s.Delta.Parameters.Select(p => ($"{s.Module}.{p.Key}", p.Value, WeightDecay.AppliesTo(s.Module, p.Key, p.Value))))
        : run.Model.Weights.Select(w => (w.Key, w.Value, w.Value.dim() > 1));

    // An adapter's own tensors keep their first values until Hand. One that changes nothing yet need not be computed. Full
    // fine-tuning keeps the former weights as a second model.
    private ReferencePolicy Start()
    {
        if (run.Adapter is not { } sites)
        {
            if (!Parameters.IsRounded) return new ReferencePolicy(new DecoderModel(run.Model.Spec, run.Model.Weights), ForwardMode.Plain);
            var rounded = run.Model.Weights.ToDictionary(w => w.Key, w => w.Value.to(run.Options.Dtype).DetachFromDisposeScope());
            frozen.AddRange(rounded.Values);
            return new ReferencePolicy(new DecoderModel(run.Model.Spec, rounded), ForwardMode.Plain);
        }
        return new ReferencePolicy(run.Model, new ForwardMode { Deltas = AdapterLayers.Deltas(sites.All(site => ChangesNothing(site.Delta)) ? run.Beneath : [.. run.Beneath, sites]) });
    }

    // Only where switched off and as it starts are the same numbers: no trained bias, no row norms, no weights of its own.
    private static bool ChangesNothing(Delta delta) => delta switch
    {
        Stack stack => stack.Layers.All(ChangesNothing),
        LowRank { Magnitude: null, Bias: null, Start: null } low => low.B.count_nonzero().item<long>() == 0,
        LowRank { Magnitude: null, Bias: null, Start: var (a, b) } low => low.A.equal(a) && low.B.equal(b),
        _ => false,
    };

    // The model, or the deltas, compute with the flat buffer's tensors from here on.
    private ForwardMode Install()
    {
        if (run.Adapter is { } sites) return new ForwardMode { Deltas = AdapterLayers.Deltas([.. run.Beneath, Over(sites, tensor => tensor)]) };
        foreach (var (name, tensor) in Parameters.Leaves)
        {
            var before = run.Model.Weights[name];
            run.Model.SetWeight(name, tensor);
            if (StartsAtReference && Reference is not null && !Parameters.IsRounded) frozen.Add(before);
            else before.Dispose(); // else two copies of the model stay in memory
        }
        return ForwardMode.Plain;
    }

    // The deltas over the flat buffer's tensors.
    private List<AdapterSite> Over(IReadOnlyList<AdapterSite> sites, Func<Tensor, Tensor> view)
    {
        var tensors = Parameters.Members.ToDictionary(m => m.Name, m => view(m.Tensor));
        return [.. sites.Select(s => s with { Delta = s.Delta.With(role => tensors[$"{s.Module}.{role}"]) })];
    }
}
