// Options of dpo under TRL's names. Null means "not given": an option that no chosen loss uses is refused, never ignored.

using PeftAlign.Abstractions;

namespace PeftAlign.Methods.Dpo;

/// <summary>Options of dpo.</summary>
[ContractTraits("reference")]
public sealed class DpoOptions
{
    /// <summary>
    /// The loss, or several whose weighted sum is minimised. Names mean what they mean in TRL 1.16. cdpo, ipo_sum,
    /// sigmoid_reference_free and bco_pair_shift are what sigmoid with label_smoothing, ipo, reference_free and bco_pair meant in
    /// older versions and other tools (docs/dpo.md).
    /// </summary>
    [OptionChoices("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "cdpo", "ipo_sum", "sigmoid_reference_free", "bco_pair_shift")]
    public IReadOnlyList<string> LossType { get; set; } = ["sigmoid"];

    /// <summary>One weight for each loss of loss_type; 1 each where not given.</summary>
    public IReadOnlyList<double>? LossWeights { get; set; }

    /// <summary>How strongly the policy is kept near its reference; rewards are beta times log-ratios.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double Beta { get; set; } = 0.1;

    /// <summary>Share of pairs taken to be labelled the wrong way round (0 where not given).</summary>
    [OptionRange(0, 0.999999)]
    [OptionOnlyWith("loss_type", "cdpo", "exo_pair", "robust", "aot", "aot_unpaired")]
    public double? LabelSmoothing { get; set; }

    /// <summary>The divergence that keeps the policy near its reference (reverse_kl where not given).</summary>
    [OptionChoices("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence")]
    [OptionOnlyWith("loss_type", "sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "cdpo", "ipo_sum")]
    public string? FDivergenceType { get; set; }

    /// <summary>Alpha of alpha_divergence: 1 is reverse_kl, 0 is forward_kl (0.5 where not given).</summary>
    [OptionOnlyWith("f_divergence_type", "alpha_divergence")]
    public double? FAlphaDivergenceCoef { get; set; }

    /// <summary>LD-DPO: weight of an answer's tokens beyond the length of the shorter answer, in policy and reference (1 where not given).</summary>
    [OptionRange(0, 1)]
    [OptionOnlyWith("loss_type", "sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "cdpo", "ipo_sum", "sigmoid_reference_free", "bco_pair_shift")]
    public double? LdAlpha { get; set; }

    /// <summary>WPO: weigh each pair by how probable its answers are under the policy.</summary>
    public bool UseWeighting { get; set; }

    /// <summary>Temperature of discopop's blend (0.05 where not given).</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    [OptionOnlyWith("loss_type", "discopop")]
    public double? DiscopopTau { get; set; }

    /// <summary>Leave the adapter's dropout off, so that policy and reference are compared as they are.</summary>
    public bool DisableDropout { get; set; } = true;
}
