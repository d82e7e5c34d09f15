// MEET (arXiv 2310.00819): a good and a bad control, each an adapter, are trained by likelihood on preferred and on dispreferred answers,
// first alone, then together with the model; the policy is used under a control. Phase 1 minimises over the controls, phase 2 over
// controls and model: the mean over answers of -log p(y | x, its control) per token. Where the paper is silent (layout, initial values,
// ablations), the choices are the field's usual ones; see docs/objectives.md.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Meet.MeetPlugin))]

namespace PeftAlign.Methods.Meet;

/// <summary>Provides the methods meet and vanilla.</summary>
public sealed class MeetPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IAlignmentMethod, MeetOptions>("meet", resultVersion: 2, (_, options) => new MeetMethod(options));
        registry.Add<IAlignmentMethod, VanillaOptions>("vanilla", resultVersion: 3, (_, options) => new VanillaMethod(options));
    }
}

/// <summary>MEET: two phases with a method each; its own Prepare is the first phase's.</summary>
internal sealed class MeetMethod : IAlignmentMethod, ITrainsControls
{
    private readonly ControlledLikelihood likelihood;
    private readonly bool pairsOnly;

    internal MeetMethod(MeetOptions options)
    {
        if (!options.Controls.Contains("good")) throw new UserErrorException($"meet: controls [{string.Join(", ", options.Controls)}] lack good; name good, or good and bad.");
        if (options.Controls.Distinct().Count() < options.Controls.Count) throw new UserErrorException($"meet: controls names one twice ({string.Join(", ", options.Controls)}); name each once.");
        if (options is { Stages: "both", ControlShare: >= 1 }) throw new UserErrorException("meet: control_share 1 leaves no update for the joint phase; lower it, or say stages: controls.");
        Controls = options.Controls;
        var last = new TrainingPhase("joint", likelihood = new ControlledLikelihood(options), 1) { ControlRate = options.JointControlFactor ?? 0.1, ModelRate = options.ModelLearningRate ?? 1e-5 };
        pairsOnly = options is { Stages: not "controls", JointLoss: "dpo" };
        if (pairsOnly) last = last with { Method = new ControlledPreference(options) };
        var share = options.Stages switch { "controls" => 1, "joint" => 0, _ => options.ControlShare ?? 0.5 };
        Phases = [.. share > 0 ? (TrainingPhase[])[new("controls", likelihood, share)] : [], .. share < 1 ? (TrainingPhase[])[last with { Share = 1 - share }] : []];
    }

    public IReadOnlyList<string> Controls { get; }

    public IReadOnlyList<TrainingPhase> Phases { get; }

    public MethodNeeds Needs => likelihood.Needs;

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context)
    {
        if (pairsOnly && records.FirstOrDefault(r => !r.Has("chosen") && !r.Has("chosen_ids") && !r.Has("chosen_input_ids")) is { } single)
            throw single.Wrong("chosen", "there, since joint_loss: dpo compares two answers");
        return likelihood.Prepare(records, context);
    }

    public MethodLoss Loss(ScoredBatch batch) => likelihood.Loss(batch);
}
