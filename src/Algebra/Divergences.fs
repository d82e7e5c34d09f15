// The score g(r) of a log-ratio r = log pi - log pi_ref under an f-divergence (Wang et al. 2023, f-DPO). Preference losses see
// differences of scores; where scores are divided by lengths their constants matter too, so they stand here as TRL 1.16 has them.
namespace PeftAlign.Algebra

open System
open PeftAlign.Torch
open PeftAlign.Algebra.Numbers

/// <summary>Scores of log-ratios under f-divergences.</summary>
[<AbstractClass; Sealed>]
type Divergences private () =

    static let names = [| "reverse_kl"; "forward_kl"; "js_divergence"; "alpha_divergence" |]

    /// Largest exponent of alpha_divergence; beyond it the score is constant.
    static let largestExponent = 80.0

    /// <summary>Every known name.</summary>
    static member Names: string[] = Array.copy names

    /// <summary>r itself.</summary>
    /// <param name="r">Log-ratios, any shape.</param>
    static member ReverseKl(r: Tensor) : Tensor = r

    /// <summary>1 - exp(-r)</summary>
    /// <param name="r">Log-ratios, any shape.</param>
    static member ForwardKl(r: Tensor) : Tensor = (-r).exp() |> from 1.0

    /// <summary>log 2 + log sigmoid(r)</summary>
    /// <param name="r">Log-ratios, any shape.</param>
    static member JsDivergence(r: Tensor) : Tensor = logSigmoid r |> plus (log 2.0)

    /// <summary>(exp(min((alpha - 1) r, 80)) - 1) / (alpha - 1), and r for alpha = 1.</summary>
    /// <param name="r">Log-ratios, any shape.</param>
    /// <param name="alpha">1 is the reverse, 0 the forward Kullback-Leibler divergence.</param>
    static member AlphaDivergence(r: Tensor, alpha: float) : Tensor =
        let slope = alpha - 1.0

        if abs slope < 1e-6 then
            r
        else
            (r |> times slope).clamp(max = num largestExponent).expm1()
            |> times (1.0 / slope)

    /// <summary>The score by the divergence's name.</summary>
    /// <param name="name">One of <see cref="P:PeftAlign.Algebra.Divergences.Names"/>.</param>
    /// <param name="r">Log-ratios, any shape.</param>
    /// <param name="alpha">For alpha_divergence.</param>
    /// <exception cref="T:System.ArgumentException">The name is not known.</exception>
    static member Score(name: string, r: Tensor, alpha: float) : Tensor =
        match name with
        | "reverse_kl" -> Divergences.ReverseKl r
        | "forward_kl" -> Divergences.ForwardKl r
        | "js_divergence" -> Divergences.JsDivergence r
        | "alpha_divergence" -> Divergences.AlphaDivergence(r, alpha)
        | _ -> invalidArg (nameof name) $"""divergence '{name}' is not known; use one of {String.Join(", ", names)}"""
