// The losses by name, one value per pair, and what cannot be combined. Formulas of single losses are Algebra's.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using L = PeftAlign.Algebra.PreferenceLosses;

namespace PeftAlign.Methods.Dpo;

internal static class DpoLosses
{
    // A divergence other than reverse KL leaves a term beta log Z(x), which cancels only in differences of scores.
    private static readonly string[] OfDivergences = ["sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft", "cdpo", "ipo_sum"];

    private static readonly string[] WithoutPairs = ["aot", "aot_unpaired", "sft"];

    /// <summary>(P), or a scalar where the loss has no value per pair.</summary>
    internal static Tensor Of(string name, PairScores pairs, DpoOptions options)
    {
        var (beta, e, w, l) = (options.Beta, options.LabelSmoothing ?? 0, pairs.Chosen, pairs.Rejected);
        Tensor Z() => pairs.Margins * beta;
        return name switch
        {
            "sigmoid" => L.Logistic(Z()),
            "sigmoid_norm" => L.Logistic((w.Scores / w.Tokens - l.Scores / l.Tokens) * beta),
            "sigmoid_reference_free" => L.Logistic((w.LogProbs - l.LogProbs) * beta),
            "cdpo" => L.Smoothed(Z(), e),
            "robust" => L.Robust(Z(), e),
            "hinge" => L.Hinge(Z()),
            "ipo" => L.SquaredToMargin(w.Scores / w.Tokens - l.Scores / l.Tokens, beta),
            "ipo_sum" => L.SquaredToMargin(pairs.Margins, beta),
            "exo_pair" => L.Exo(Z(), e),
            "nca_pair" => L.Nca(w.Ratios * beta, l.Ratios * beta),
            "bco_pair" => L.Bco(w.Ratios * beta, l.Ratios * beta, torch.zeros([1], w.Ratios.dtype, w.Ratios.device)),
            "bco_pair_shift" => L.Bco(w.Ratios * beta, l.Ratios * beta, (torch.cat([w.Ratios, l.Ratios]).mean() * beta).detach()),
            "sppo_hard" => L.Sppo(w.Ratios, l.Ratios, beta),
            "aot" => L.Smoothed(L.SortedDifferences(w.LogProbs - l.LogProbs, w.Reference - l.Reference) * beta, e),
            "aot_unpaired" => L.Smoothed(L.SortedDifferences(w.Ratios, l.Ratios) * beta, e),
            "apo_zero" => L.ApoZero(w.Ratios * beta, l.Ratios * beta),
            "apo_down" => L.ApoDown(w.Ratios * beta, l.Ratios * beta),
            "discopop" => L.DiscoPop(Z(), options.DiscopopTau ?? 0.05),
            "sft" => pairs.ChosenNll,
            _ => throw new UserErrorException($"There is no loss '{name}' of dpo; 'plugins info methods.dpo' lists them."),
        };
    }

    /// <exception cref="UserErrorException">The options contradict each other; all faults at once.</exception>
    internal static void Check(DpoOptions options)
    {
        var faults = Faults(options).ToList();
        if (faults.Count > 0) throw new UserErrorException(string.Join(Environment.NewLine, faults.Select(f => "dpo: " + f)));
    }

    private static IEnumerable<string> Faults(DpoOptions options)
    {
        var losses = options.LossType;
        if (losses.Count == 0) yield return "loss_type is empty; name a loss, for instance sigmoid.";
        if (options.LossWeights is { } weights && weights.Count != losses.Count)
            yield return $"loss_weights has {weights.Count} entries and loss_type {losses.Count}; give one weight for each loss.";
        if (losses.Contains("exo_pair") && options.LabelSmoothing is null or 0)
            yield return "exo_pair needs label_smoothing above 0: log(label_smoothing) is part of the loss; its paper uses 1e-3.";
        if (losses.Contains("robust") && options.LabelSmoothing >= 0.5)
            yield return $"robust divides by 1 - 2 label_smoothing, which must be positive; label_smoothing is {options.LabelSmoothing}, give less than 0.5.";
        if (options.FDivergenceType is not (null or "reverse_kl") && losses.FirstOrDefault(name => !OfDivergences.Contains(name)) is { } plain)
            yield return $"f_divergence_type {options.FDivergenceType} has no meaning for {plain}: its term log Z(x) cancels only in differences of scores; the losses that use it are {string.Join(", ", OfDivergences)}.";
        if (options.UseWeighting && losses.FirstOrDefault(WithoutPairs.Contains) is { } whole)
            yield return $"use_weighting weighs single pairs, but {whole} {(whole == "sft" ? "is a mean over the batch's tokens" : "sorts the batch, so its terms belong to no pair")}; leave one of them out.";
    }
}
