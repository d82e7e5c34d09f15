// Power and sample size: t tests through the noncentral t distribution, two proportions through Cohen's h and the normal.
// Two-sided power counts both tails. Source of the definitions: Cohen (1988).
namespace PeftAlign.Core.Statistics

module private PowerCurve =
    /// Power of a t test with noncentrality `delta`.
    let t delta df alpha alternative =
        let above level shift =
            1.0
            - Distributions.NoncentralTCdf(Distributions.StudentTQuantile(1.0 - level, df), df, shift)

        match alternative with
        | Alternative.Greater -> above alpha delta
        | Alternative.Less -> above alpha -delta
        | _ -> above (0.5 * alpha) delta + above (0.5 * alpha) -delta

    let normal shift alpha alternative =
        let above level shift =
            Distributions.NormalSf(Distributions.NormalQuantile(1.0 - level) - shift)

        match alternative with
        | Alternative.Greater -> above alpha shift
        | Alternative.Less -> above alpha -shift
        | _ -> above (0.5 * alpha) shift + above (0.5 * alpha) -shift

    let checkTarget effect alpha power =
        Guard.probability "alpha" alpha
        Guard.probability "power" power

        if power <= alpha then
            Guard.fail $"power {power} is not above alpha {alpha}; any sample has that. Ask for more, for example 0.8."

        if effect = 0.0 || not (System.Double.IsFinite effect) then
            Guard.fail $"effect is {effect}; no sample finds an effect of zero. Give the smallest effect that matters."

    /// Smallest n (a real number) at which a growing power curve reaches the target.
    let solve (power: float -> float) target smallest =
        if power smallest >= target then
            smallest
        else
            let n = Roots.bracketed (fun n -> power n - target) smallest (2.0 * smallest + 10.0)

            if System.Double.IsNaN n then
                Guard.fail $"no sample size reaches power {target}. Give a larger effect or a lower power."

            n

/// Power of planned comparisons. Effects are standardised; sample sizes may be real numbers (round them up).
[<AbstractClass; Sealed>]
type Power =
    /// Paired (or one-sample) t test with n pairs and effect d_z.
    static member PairedT(d: float, n: float, alpha: float, alternative: Alternative) : float =
        Guard.probability "alpha" alpha

        if not (n > 1.0) then
            Guard.fail $"n is {n}; a paired test needs at least two pairs."

        PowerCurve.t (d * sqrt n) (n - 1.0) alpha alternative

    /// Independent t test with n1 and n2 observations and effect d.
    static member IndependentT(d: float, n1: float, n2: float, alpha: float, alternative: Alternative) : float =
        Guard.probability "alpha" alpha

        if not (n1 + n2 > 2.0 && n1 > 0.0 && n2 > 0.0) then
            Guard.fail $"n1 is {n1} and n2 {n2}; an independent test needs more than two observations in all."

        PowerCurve.t (d * sqrt (n1 * n2 / (n1 + n2))) (n1 + n2 - 2.0) alpha alternative

    /// Comparison of two proportions with n observations each, effect h (Proportions.CohenH).
    static member TwoProportions(h: float, n: float, alpha: float, alternative: Alternative) : float =
        Guard.probability "alpha" alpha
        PowerCurve.normal (h * sqrt (0.5 * n)) alpha alternative

    /// Pairs that a two-sided paired t test needs.
    static member PairsNeeded(d: float, alpha: float, power: float) : float =
        PowerCurve.checkTarget d alpha power
        PowerCurve.solve (fun n -> Power.PairedT(abs d, n, alpha, Alternative.TwoSided)) power 2.0

    /// Observations per group that a two-sided independent t test needs.
    static member EachNeeded(d: float, alpha: float, power: float) : float =
        PowerCurve.checkTarget d alpha power
        PowerCurve.solve (fun n -> Power.IndependentT(abs d, n, n, alpha, Alternative.TwoSided)) power 2.0

    /// Observations per group that a two-sided comparison of two proportions needs.
    static member EachNeededForProportions(h: float, alpha: float, power: float) : float =
        PowerCurve.checkTarget h alpha power
        PowerCurve.solve (fun n -> Power.TwoProportions(abs h, n, alpha, Alternative.TwoSided)) power 1.0

    /// Smallest d_z that a two-sided paired t test with n pairs detects with the given power.
    static member SmallestPairedEffect(n: int, alpha: float, power: float) : float =
        PowerCurve.checkTarget 1.0 alpha power
        Roots.bracketed (fun d -> Power.PairedT(d, float n, alpha, Alternative.TwoSided) - power) 0.0 1.0
