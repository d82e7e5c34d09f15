// Losses on pairs of answers, one value per pair, as TRL 1.16 computes them. All inputs are (P): the margin D = S_w - S_l of scores,
// log-ratios r_w and r_l of the chosen and the rejected answer; beta is the strength of the pull to the reference.
namespace PeftAlign.Algebra

open PeftAlign.Torch
open PeftAlign.Algebra.Numbers

/// <summary>Losses per pair, each (P) to (P).</summary>
[<AbstractClass; Sealed>]
type PreferenceLosses private () =

    /// <summary>-log sigmoid(z): Bradley and Terry's likelihood; DPO (Rafailov et al. 2023) with z = beta D.</summary>
    static member Logistic(z: Tensor) : Tensor = -(logSigmoid z)

    /// <summary>-(1 - e) log sigmoid(z) - e log sigmoid(-z): a share e of the pairs is labelled the wrong way round (cDPO, Mitchell 2023).</summary>
    static member Smoothed(z: Tensor, e: float) : Tensor =
        (logSigmoid z |> times (e - 1.0)) - (logSigmoid -z |> times e)

    /// <summary>(-(1 - e) log sigmoid(z) + e log sigmoid(-z)) / (1 - 2 e): unbiased under such noise (Chowdhury et al. 2024); e below 0.5.</summary>
    static member Robust(z: Tensor, e: float) : Tensor =
        (logSigmoid z |> times (e - 1.0)) + (logSigmoid -z |> times e)
        |> times (1.0 / (1.0 - 2.0 * e))

    /// <summary>max(0, 1 - z) (SLiC, Zhao et al. 2023).</summary>
    static member Hinge(z: Tensor) : Tensor = (z |> from 1.0).relu()

    /// <summary>(d - 1 / (2 beta))^2 (IPO, Azar et al. 2023).</summary>
    static member SquaredToMargin(d: Tensor, beta: float) : Tensor = (d |> plus (-0.5 / beta)).square()

    /// <summary>KL divergence of (sigmoid z, sigmoid -z) from (1 - e, e) (EXO, Ji et al. 2024); e above 0.</summary>
    static member Exo(z: Tensor, e: float) : Tensor =
        sigmoid z * (logSigmoid z |> plus -(log (1.0 - e)))
        + sigmoid -z * (logSigmoid -z |> plus -(log e))

    /// <summary>NCA for pairs (Chen et al. 2024), of beta r_w and beta r_l.</summary>
    static member Nca(chosen: Tensor, rejected: Tensor) : Tensor =
        -(logSigmoid chosen)
        - (logSigmoid -chosen |> times 0.5)
        - (logSigmoid -rejected |> times 0.5)

    /// <summary>BCO for pairs (Jung et al. 2024), of beta r_w and beta r_l less a common shift.</summary>
    static member Bco(chosen: Tensor, rejected: Tensor, shift: Tensor) : Tensor =
        -(logSigmoid (chosen - shift)) - logSigmoid (shift - rejected)

    /// <summary>(r_w - 1 / (2 beta))^2 + (r_l + 1 / (2 beta))^2 (SPPO, Wu et al. 2024).</summary>
    static member Sppo(chosen: Tensor, rejected: Tensor, beta: float) : Tensor =
        (chosen |> plus (-0.5 / beta)).square()
        + (rejected |> plus (0.5 / beta)).square()

    /// <summary>1 - sigmoid(beta r_w) + sigmoid(beta r_l) (APO-zero, D'Oosterlinck et al. 2024), of beta r_w and beta r_l.</summary>
    static member ApoZero(chosen: Tensor, rejected: Tensor) : Tensor = sigmoid -chosen + sigmoid rejected

    /// <summary>sigmoid(beta r_w) + 1 - sigmoid(beta (r_w - r_l)) (APO-down), of beta r_w and beta r_l.</summary>
    static member ApoDown(chosen: Tensor, rejected: Tensor) : Tensor =
        sigmoid chosen + sigmoid (rejected - chosen)

    /// <summary>DiscoPOP (Lu et al. 2024): logistic for small |z|, exponential for large, blended by sigmoid(z / tau). The product
    /// sigmoid(z / tau) exp(-z) is one exponential, which does not overflow where z is very negative.</summary>
    static member DiscoPop(z: Tensor, tau: float) : Tensor =
        let blend = z |> times (1.0 / tau)
        sigmoid -blend * -(logSigmoid z) + (logSigmoid blend - z).exp()

    /// <summary>Sorted differences of two samples: distribution-wise comparison (AOT, Melnyk et al. 2024).</summary>
    /// <param name="upper">(P) the sample that should lie above.</param>
    /// <param name="lower">(P) the other.</param>
    static member SortedDifferences(upper: Tensor, lower: Tensor) : Tensor =
        let struct (above, _) = upper.sort 0L
        let struct (below, _) = lower.sort 0L
        above - below

    /// <summary>log(1 - exp(x)) for x below 0, without cancellation at either end (Maechler 2012): the log-odds of ORPO.</summary>
    static member Log1mExp(x: Tensor) : Tensor =
        // each branch gets harmless values where the other is taken, so that no NaN flows back
        let near = x.gt (num -(log 2.0))
        let one = x.masked_fill (near.logical_not (), num -0.5)
        let other = x.masked_fill (near, num -1.0)
        torch.where (near, (-one.expm1()).log(), (-other.exp()).log1p())

    /// <summary>log(p / (1 - p)) of p = exp(x), x a log-prob: x - log(1 - exp(x)). A probability that rounding made 1 has log-odds of
    /// 20.7 and no gradient, where they would be infinite.</summary>
    static member LogOdds(x: Tensor) : Tensor =
        // log(1 - exp(-1e-9)) is -20.7
        let below = x.clamp (max = num -1e-9)
        below - PreferenceLosses.Log1mExp below

    /// <summary>(1 - p^-alpha) / alpha of p = exp(x), and x for alpha = 0: the reward of AlphaPO (Gupta et al. 2025).</summary>
    static member AlphaReward(x: Tensor, alpha: float) : Tensor =
        if alpha = 0.0 then
            x
        else
            (x |> times -alpha).expm1() |> times (-1.0 / alpha)

    /// <summary>1 - sigmoid(z): KTO's loss of an answer (Ethayarajh et al. 2024), z = beta (r - z0) of a desirable one, beta (z0 - r) of
    /// an undesirable one; APO-zero's with z0 = 0.</summary>
    static member Kto(z: Tensor) : Tensor = sigmoid -z
