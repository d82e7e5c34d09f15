// Options of meet, and the ablations that they spell (docs/objectives.md has the table).

using PeftAlign.Abstractions;

namespace PeftAlign.Methods.Meet;

/// <summary>Options of meet.</summary>
[ContractTraits("controls", "control-adapters")]
public sealed class MeetOptions
{
    /// <summary>both: the controls alone, then controls and model together; controls or joint: that phase alone.</summary>
    [OptionChoices("both", "controls", "joint")]
    public string Stages { get; set; } = "both";

    /// <summary>Share of the updates in which only the controls are trained; 0.5 where it is left out.</summary>
    [OptionRange(0, 1, ExclusiveMinimum = true)]
    [OptionOnlyWith("stages", "both")]
    public double? ControlShare { get; set; }

    /// <summary>The controls: good is trained on chosen or desirable answers, bad on the others; without bad the others are left out.</summary>
    [OptionChoices("good", "bad")]
    public IReadOnlyList<string> Controls { get; set; } = ["good", "bad"];

    /// <summary>Learning rate of the model's weights in the joint phase, 1e-5 where it is left out; learning_rate is the controls'.</summary>
    [OptionRange(0, 3.4e38, ExclusiveMinimum = true)]
    [OptionOnlyWith("stages", "both", "joint")]
    public double? ModelLearningRate { get; set; }

    /// <summary>In the joint phase, the controls' learning rate as a factor of learning_rate, 0.1 where it is left out; 0 keeps the controls as they are.</summary>
    [OptionRange(0)]
    [OptionOnlyWith("stages", "both", "joint")]
    public double? JointControlFactor { get; set; }

    /// <summary>What the joint phase minimises: nll (the default), as in the first phase; or dpo, which prefers the chosen answer under good and the rejected one under bad, with the policy at the start of the phase as reference.</summary>
    [OptionChoices("nll", "dpo")]
    [OptionOnlyWith("stages", "both", "joint")]
    public string? JointLoss { get; set; }

    /// <summary>DPO's beta; 0.1 where it is left out.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    [OptionOnlyWith("joint_loss", "dpo")]
    public double? Beta { get; set; }

    /// <summary>Whether an answer's loss is the mean of -log p over its tokens or the sum; batches take the mean over answers.</summary>
    [OptionChoices("mean", "sum")]
    public string LossType { get; set; } = "mean";
}
