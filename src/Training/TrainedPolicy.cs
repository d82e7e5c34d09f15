// The policy while it is trained: its trainable tensors as views of one flat buffer, put into the model or the deltas; a frozen copy of
// the policy where training starts, if the method needs a reference; and how the trained values get back to their owners.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training;

internal sealed class TrainedPolicy : IDisposable
{
    private readonly TrainingRun run;
    private readonly bool trainsModel, trainsControls, rounds;
    private readonly FlatParameters? weights; // the model's
    private readonly FlatParameters? sites; // the adapter's, or the controls'
    private readonly List<Tensor> frozen = []; // former weights, kept for the reference alone

    /// <summary>Takes over the run's model and adapter. The model's former weights are disposed where nothing refers to them.</summary>
    /// <param name="run">The training, with the phase's method.</param>
    /// <param name="phase">Which parts learn; null where the method has no phases.</param>
    internal TrainedPolicy(TrainingRun run, TrainingPhase? phase = null)
    {
        this.run = run;
        trainsModel = phase is null ? run.Adapter is null : phase.ModelRate > 0;
        trainsControls = phase is { ControlRate: > 0 };
        rounds = trainsModel && run.Options.Dtype == torch.ScalarType.BFloat16;
        Reference = run.Method.Needs.Reference && !IsStoredWhole ? run.Reference ?? Start() : null;
        if (trainsModel)
        {
            using var freed = new FreedMemory();
            var embeddings = Embeddings.Of(run.Model);
            weights = new FlatParameters(run.Model.Weights.Select(w => (w.Key, w.Value, w.Value.dim() > 1)), rounds ? run.Options.Dtype : null, KeepsFormer ? null : freed.Dispose) { Embeddings = embeddings };
        }
        if (run.Adapter is not null || trainsControls) sites = new FlatParameters(Own.Select(p => (p.Name, p.Tensor, WeightDecay.AppliesTo(p.Module, p.Role, p.Tensor)))) { Embeddings = Own.Where(p => Embeddings.Has(run.Model, p.Module, p.Role)).Select(p => p.Name).ToHashSet() };
        var (both, rate) = (weights is not null && sites is not null, run.Options.LearningRate);
        Groups = [.. sites is null ? (ParameterGroup[])[] : [new(both ? "controls" : "", sites, rate * (phase?.ControlRate ?? 1))], .. weights is null ? (ParameterGroup[])[] : [new(both ? "model" : "", weights, phase?.ModelRate ?? rate)]];
        Mode = Install();
    }

    /// <summary>What is trained.</summary>
    internal IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>The policy's adapters, without dropout.</summary>
    internal ForwardMode Mode { get; }

    /// <summary>What the method refers to; null where it needs none.</summary>
    internal ReferencePolicy? Reference { get; }

    /// <summary>Whether policy and reference are the same function before the first update.</summary>
    internal bool StartsAtReference => run.Method.Needs.Reference && run.Reference is null && !run.IsReferenceElsewhere;

    /// <summary>The controls as they were when the phase began.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)> OwnControls => run.Controls is null ? [] : [.. Own.Select(p => (p.Name, p.Tensor))];

    /// <summary>The trained values outlive this: back into the adapter's own tensors, or as weights of the model, views that keep the buffer.</summary>
    internal void Hand()
    {
        using var off = torch.no_grad();
        foreach (var (name, tensor) in weights?.Members ?? []) run.Model.SetWeight(name, tensor.detach().DetachFromDisposeScope());
        if (sites is null) return;
        var trained = sites.Members.ToDictionary(m => m.Name, m => m.Tensor);
        foreach (var (name, _, _, own) in Own) own.copy_(trained[name]);
    }

    /// <summary>Lends what is trained as it is now.</summary>
    internal void Show(Action<TrainedParts> look)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        Tensor Now(Tensor tensor) => tensor.detach();
        foreach (var (name, tensor) in weights?.Members ?? []) run.Model.SetWeight(name, tensor);
        look(new TrainedParts(run.Adapter is { } adapter ? Over(adapter, "", Now) : null, run.Controls?.ToDictionary(c => c.Key, c => (IReadOnlyList<AdapterSite>)(sites is null ? c.Value : Over(c.Value, c.Key, Now))), trainsModel));
        foreach (var (name, tensor) in weights?.Leaves ?? []) run.Model.SetWeight(name, tensor);
    }

    public void Dispose()
    {
        weights?.Dispose();
        sites?.Dispose();
        foreach (var tensor in frozen) tensor.Dispose();
    }

    // The adapter's or the controls' own tensors, which keep the phase's first values until Hand.
    private IEnumerable<(string Name, string Module, string Role, Tensor Tensor)> Own =>
        (run.Controls?.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => (Prefix: Prefix(c.Key), Sites: c.Value)) ?? [(Prefix: "", Sites: run.Adapter ?? [])])
        .SelectMany(part => part.Sites.SelectMany(site => site.Delta.Parameters.Select(p => ($"{part.Prefix}{site.Module}.{p.Key}", site.Module, p.Key, p.Value))));

    private static string Prefix(string control) => control.Length == 0 ? "" : control + "/";

    // A second copy of the weights is what stored log-probs save. Rows for evaluation are not among them.
    private bool IsStoredWhole => run.IsReferenceElsewhere || (run.StoredReference is not null && trainsModel && run.EvalRecords.Count == 0);

    // Own tensors keep their first values until Hand. An adapter that changes nothing yet need not be computed. Where the weights
    // are trained, the former ones are kept as a second model.
    private ReferencePolicy Start()
    {
        var model = trainsModel ? new DecoderModel(run.Model.Spec, rounds ? Rounded() : run.Model.Weights) : run.Model;
        if (run.Controls is { } controls) return new ReferencePolicy(model, ModeOf(run.Beneath, controls));
        return new ReferencePolicy(model, ModeOf(run.Adapter is not { } own || own.All(site => ChangesNothing(site.Delta)) ? run.Beneath : [.. run.Beneath, own], null));
    }

    // Whether the reference computes with the model's former weights themselves.
    private bool KeepsFormer => StartsAtReference && Reference is not null && !rounds;

    // The former weights as the policy computes with them at its start.
    private Dictionary<string, Tensor> Rounded()
    {
        var rounded = run.Model.Weights.ToDictionary(w => w.Key, w => w.Value.to(run.Options.Dtype).DetachFromDisposeScope());
        frozen.AddRange(rounded.Values);
        return rounded;
    }

    // Only where switched off and as it starts are the same numbers: no trained bias, no row norms, no weights of its own.
    private static bool ChangesNothing(Delta delta) => delta switch
    {
        Stack stack => stack.Layers.All(ChangesNothing),
        LowRank { Magnitude: null, Bias: null, Start: null } low => low.B.count_nonzero().item<long>() == 0,
        LowRank { Magnitude: null, Bias: null, Start: var (a, b) } low => low.A.equal(a) && low.B.equal(b),
        _ => false,
    };

    // The model and the deltas compute with the flat buffers' tensors from here on.
    private ForwardMode Install()
    {
        foreach (var (name, tensor) in weights?.Leaves ?? [])
        {
            var before = run.Model.Weights[name];
            run.Model.SetWeight(name, tensor);
            if (KeepsFormer) frozen.Add(before);
        }
        if (run.Adapter is { } adapter) return ModeOf([.. run.Beneath, Over(adapter, "", tensor => tensor)], null);
        return ModeOf(run.Beneath, run.Controls?.ToDictionary(c => c.Key, c => (IReadOnlyList<AdapterSite>)(sites is null ? c.Value : Over(c.Value, c.Key, tensor => tensor))));
    }

    private static ForwardMode ModeOf(IReadOnlyList<IReadOnlyList<AdapterSite>> layers, IReadOnlyDictionary<string, IReadOnlyList<AdapterSite>>? controls) => new()
    {
        Deltas = AdapterLayers.Deltas(layers),
        Controls = controls?.ToDictionary(c => c.Key, c => AdapterLayers.Deltas([c.Value])) ?? [],
    };

    // The deltas over the flat buffer's tensors.
    private List<AdapterSite> Over(IReadOnlyList<AdapterSite> own, string control, Func<Tensor, Tensor> view)
    {
        var tensors = sites!.Members.ToDictionary(m => m.Name, m => view(m.Tensor));
        return [.. own.Select(s => s with { Delta = s.Delta.With(role => tensors[$"{Prefix(control)}{s.Module}.{role}"]) })];
    }
}
