// Options of cpo and simpo under TRL's names. Null means "not given": an option that the loss does not use is refused, never ignored.

using PeftAlign.Abstractions;

namespace PeftAlign.Methods.Cpo;

/// <summary>Options of cpo.</summary>
public sealed class CpoOptions
{
    /// <summary>The loss of the difference of the answers' log-probs: of their sums for sigmoid and hinge, of their means per token for ipo and simpo.</summary>
    [OptionChoices("sigmoid", "hinge", "ipo", "simpo")]
    public string LossType { get; set; } = "sigmoid";

    /// <summary>Scale of the difference; rewards are beta times log-probs.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double Beta { get; set; } = 0.1;

    /// <summary>Weight of the chosen answers' negative log-likelihood, added to the preference loss; 0 = not added.</summary>
    [OptionRange(0)]
    public double CpoAlpha { get; set; } = 1;

    /// <summary>Target margin between the answers' mean log-probs times beta (0.5 where not given).</summary>
    [OptionOnlyWith("loss_type", "simpo")]
    public double? SimpoGamma { get; set; }

    /// <summary>AlphaPO: rewards (1 - p^-alpha) / alpha in the place of log p; 0 = log p.</summary>
    public double Alpha { get; set; }

    /// <summary>Share of pairs taken to be labelled the wrong way round (0 where not given).</summary>
    [OptionRange(0, 0.999999)]
    [OptionOnlyWith("loss_type", "sigmoid", "simpo")]
    public double? LabelSmoothing { get; set; }

    /// <summary>Leave the adapter's dropout off.</summary>
    public bool DisableDropout { get; set; } = true;
}

/// <summary>Options of simpo: cpo with the loss simpo, as SimPO's paper uses it.</summary>
public sealed class SimpoOptions
{
    /// <summary>simpo, as in TRL's CPO.</summary>
    [OptionChoices("simpo")]
    public string LossType { get; set; } = "simpo";

    /// <summary>Scale of the difference of mean log-probs; rewards are beta times mean log-probs.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double Beta { get; set; } = 2;

    /// <summary>Weight of the chosen answers' negative log-likelihood, added to the preference loss; above 0 it is CPO-SimPO.</summary>
    [OptionRange(0)]
    public double CpoAlpha { get; set; }

    /// <summary>Target margin between the answers' mean log-probs times beta.</summary>
    public double SimpoGamma { get; set; } = 0.5;

    /// <summary>AlphaPO: rewards (1 - p^-alpha) / alpha in the place of log p; 0 = log p.</summary>
    public double Alpha { get; set; }

    /// <summary>Share of pairs taken to be labelled the wrong way round.</summary>
    [OptionRange(0, 0.999999)]
    public double LabelSmoothing { get; set; }

    /// <summary>Leave the adapter's dropout off.</summary>
    public bool DisableDropout { get; set; } = true;

    internal CpoOptions AsCpo => new()
    {
        LossType = LossType,
        Beta = Beta,
        CpoAlpha = CpoAlpha,
        SimpoGamma = SimpoGamma,
        Alpha = Alpha,
        LabelSmoothing = LabelSmoothing,
        DisableDropout = DisableDropout,
    };
}
