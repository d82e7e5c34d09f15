// Distribution functions with accurate tails: normal, Student t, chi-squared, F, beta, binomial, hypergeometric.
// Special functions come from MathNet.Numerics; upper tails are computed as such, never as 1 - cdf; inverses are our own.
namespace PeftAlign.Core.Statistics

open System
open MathNet.Numerics

/// Cumulative distribution functions (Cdf), upper tails (Sf) and quantiles. Arguments out of a distribution's domain give NaN.
[<AbstractClass; Sealed>]
type Distributions =
    /// Standard normal P(Z <= x).
    static member NormalCdf(x: float) : float =
        0.5 * SpecialFunctions.Erfc(-x / sqrt 2.0)

    /// Standard normal P(Z > x).
    static member NormalSf(x: float) : float =
        0.5 * SpecialFunctions.Erfc(x / sqrt 2.0)

    /// Standard normal quantile; -infinity at 0, +infinity at 1.
    static member NormalQuantile(p: float) : float =
        if not (p >= 0.0 && p <= 1.0) then
            nan
        elif p = 0.0 then
            -infinity
        elif p = 1.0 then
            infinity
        elif p = 0.5 then
            0.0
        else
            let start = -sqrt 2.0 * SpecialFunctions.ErfcInv(2.0 * p)
            // One Newton step on the smaller tail takes the library's approximation to full precision.
            let density = exp (-0.5 * start * start) / sqrt (2.0 * Math.PI)

            if p < 0.5 then
                start - (Distributions.NormalCdf start - p) / density
            else
                start + (Distributions.NormalSf start - (1.0 - p)) / density

    /// Natural logarithm of the gamma function.
    static member LogGamma(x: float) : float = SpecialFunctions.GammaLn x

    /// Student t P(T <= x) with `df` degrees of freedom (real, > 0).
    static member StudentTCdf(x: float, df: float) : float = Distributions.StudentTSf(-x, df)

    /// Student t P(T > x).
    static member StudentTSf(x: float, df: float) : float =
        if not (df > 0.0) || Double.IsNaN x then
            nan
        elif Double.IsInfinity x then
            (if x > 0.0 then 0.0 else 1.0)
        else
            let square = x * x
            // Half the two-sided tail, from the argument of the beta function that keeps its digits.
            let tail =
                if square < 1.0 then
                    0.5
                    * (1.0 - SpecialFunctions.BetaRegularized(0.5, 0.5 * df, square / (df + square)))
                else
                    0.5 * SpecialFunctions.BetaRegularized(0.5 * df, 0.5, df / (df + square))

            if x >= 0.0 then tail else 1.0 - tail

    /// Student t quantile. Our own bracket: the library's inverse fails for few degrees of freedom.
    static member StudentTQuantile(p: float, df: float) : float =
        if not (p >= 0.0 && p <= 1.0 && df > 0.0) then
            nan
        elif p = 0.5 then
            0.0
        elif p = 0.0 then
            -infinity
        elif p = 1.0 then
            infinity
        else
            let q = min p (1.0 - p)

            let logScale =
                Distributions.LogGamma(0.5 * (df + 1.0))
                - Distributions.LogGamma(0.5 * df)
                - 0.5 * log (df * Math.PI)

            let density x =
                exp (logScale - 0.5 * (df + 1.0) * Elementary.log1p (x * x / df))

            let mutable upper = 1.0

            while Distributions.StudentTSf(upper, df) > q && upper < 1e300 do
                upper <- upper * 4.0

            let x =
                Roots.increasing (fun x -> q - Distributions.StudentTSf(x, df)) density 0.0 upper (0.5 * upper)

            if p < 0.5 then -x else x

    /// Chi-squared P(X > x).
    static member ChiSquaredSf(x: float, df: float) : float =
        if not (df > 0.0) || Double.IsNaN x then
            nan
        elif x <= 0.0 then
            1.0
        elif Double.IsInfinity x then
            0.0
        else
            SpecialFunctions.GammaUpperRegularized(0.5 * df, 0.5 * x)

    /// Fisher's F P(X > x) with numerator and denominator degrees of freedom.
    static member FSf(x: float, numerator: float, denominator: float) : float =
        if not (numerator > 0.0 && denominator > 0.0) || Double.IsNaN x then
            nan
        elif x <= 0.0 then
            1.0
        elif Double.IsInfinity x then
            0.0
        else
            SpecialFunctions.BetaRegularized(0.5 * denominator, 0.5 * numerator, denominator / (denominator + numerator * x))

    /// Beta P(X <= x) with shapes a, b > 0.
    static member BetaCdf(x: float, a: float, b: float) : float =
        if not (a > 0.0 && b > 0.0) || Double.IsNaN x then nan
        elif x <= 0.0 then 0.0
        elif x >= 1.0 then 1.0
        else SpecialFunctions.BetaRegularized(a, b, x)

    /// Beta quantile with shapes a, b > 0.
    static member BetaQuantile(p: float, a: float, b: float) : float =
        if not (p >= 0.0 && p <= 1.0 && a > 0.0 && b > 0.0) then
            nan
        elif p = 0.0 then
            0.0
        elif p = 1.0 then
            1.0
        else
            let logScale =
                Distributions.LogGamma(a + b)
                - Distributions.LogGamma a
                - Distributions.LogGamma b

            let density x =
                exp (logScale + (a - 1.0) * log x + (b - 1.0) * Elementary.log1p -x)

            let start = a / (a + b)

            if p <= 0.5 then
                Roots.increasing (fun x -> Distributions.BetaCdf(x, a, b) - p) density 0.0 1.0 start
            else
                let q = 1.0 - p
                Roots.increasing (fun x -> q - Distributions.BetaCdf(1.0 - x, b, a)) density 0.0 1.0 start

    /// Binomial P(K = k) for n trials with success probability p.
    static member BinomialPmf(k: int, n: int, p: float) : float =
        if n < 0 || not (p >= 0.0 && p <= 1.0) then
            nan
        elif k < 0 || k > n then
            0.0
        elif p = 0.0 then
            (if k = 0 then 1.0 else 0.0)
        elif p = 1.0 then
            (if k = n then 1.0 else 0.0)
        else
            let k', n' = float k, float n
            exp (SpecialFunctions.BinomialLn(n, k) + k' * log p + (n' - k') * Elementary.log1p -p)

    /// Binomial P(K <= k).
    static member BinomialCdf(k: int, n: int, p: float) : float =
        if n < 0 || not (p >= 0.0 && p <= 1.0) then
            nan
        elif k < 0 then
            0.0
        elif k >= n then
            1.0
        else
            Distributions.BetaCdf(1.0 - p, float (n - k), float (k + 1))

    /// Binomial P(K > k).
    static member BinomialSf(k: int, n: int, p: float) : float =
        if n < 0 || not (p >= 0.0 && p <= 1.0) then nan
        elif k < 0 then 1.0
        elif k >= n then 0.0
        else Distributions.BetaCdf(p, float (k + 1), float (n - k))

    /// Noncentral t P(T <= x) with noncentrality `delta`: Lenth's series (Applied Statistics algorithm 243),
    /// each term computed by itself in the log domain so that large noncentralities do not underflow.
    /// Absolute accuracy 1e-15: a tail on the side opposite to delta has digits down to there only.
    static member NoncentralTCdf(x: float, df: float, delta: float) : float =
        if not (df > 0.0) || Double.IsNaN x || Double.IsNaN delta then
            nan
        elif delta = 0.0 then
            Distributions.StudentTCdf(x, df)
        elif Double.IsInfinity x then
            (if x > 0.0 then 1.0 else 0.0)
        elif x < 0.0 then
            1.0 - Distributions.NoncentralTCdf(-x, df, -delta)
        else
            let y = x * x / (df + x * x)
            let half = 0.5 * delta * delta
            let last = int (half + 12.0 * sqrt (half + 1.0) + 60.0)
            let mutable sum = 0.0

            if y > 0.0 then
                for j in 0..last do
                    let k = float j
                    let even = exp (k * log half - half - Distributions.LogGamma(k + 1.0))

                    let odd =
                        delta / sqrt 2.0 * exp (k * log half - half - Distributions.LogGamma(k + 1.5))

                    sum <-
                        sum
                        + even * SpecialFunctions.BetaRegularized(k + 0.5, 0.5 * df, y)
                        + odd * SpecialFunctions.BetaRegularized(k + 1.0, 0.5 * df, y)

            Math.Clamp(Distributions.NormalCdf -delta + 0.5 * sum, 0.0, 1.0)
