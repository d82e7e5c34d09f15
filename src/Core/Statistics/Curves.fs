// Curves over sample quantity: power law, slope per doubling, area, log-log slope, isotonic regression, smoothing.
namespace PeftAlign.Core.Statistics

open System
open MathNet.Numerics
open MathNet.Numerics.LinearAlgebra

/// y = A - B (n / n_first)^-C with standard errors from s^2 (J'J)^-1, s^2 = SSE / (N - 3), in the order A, B, C.
type PowerLawResult =
    {
        A: float
        B: float
        C: float
        StandardErrors: float[]
        SumOfSquares: float
    }

/// A straight line over log2 n: change per doubling.
type SlopeResult =
    {
        Intercept: float
        Slope: float
        InterceptError: float
        SlopeError: float
        InterceptP: float
        SlopeP: float
        SlopeInterval: Interval
    }

module private PowerLaw =
    /// Best a and b for a given c: the model is linear in both.
    let linearPart (x: float[]) (y: float[]) c =
        let z = x |> Array.map (fun v -> -(v ** -c))
        let mz, my = Array.average z, Array.average y
        let szz = z |> Array.sumBy (fun v -> (v - mz) * (v - mz))
        let b = Array.fold2 (fun s u v -> s + (u - mz) * (v - my)) 0.0 z y / szz
        let a = my - b * mz
        let sse = Array.fold2 (fun s u v -> s + (v - a - b * u) ** 2.0) 0.0 z y
        a, b, sse

    let jacobian (x: float[]) b c =
        x
        |> Array.map (fun v -> [| 1.0; -(v ** -c); b * log v * v ** -c |])
        |> Matrix<float>.Build.DenseOfRowArrays

    /// Gauss-Newton from a starting point near the optimum.
    let rec polish (x: float[]) (y: float[]) (a, b, c) steps =
        let j = jacobian x b c

        let residuals =
            Array.map2 (fun v w -> w - (a - b * v ** -c)) x y
            |> Vector<float>.Build.DenseOfArray

        let step = j.QR().Solve residuals
        let next = a + step[0], b + step[1], c + step[2]
        let small = step.L2Norm() <= 1e-14 * (abs a + abs b + abs c)

        if steps = 0 || small then
            next
        else
            polish x y next (steps - 1)

    /// The best c: a grid over log c finds the valley of the sum of squares, which is smooth, and a ternary search its floor.
    let bestExponent (x: float[]) (y: float[]) =
        let sse logC =
            let _, _, s = linearPart x y (exp logC) in s

        let grid = [| -4.0 .. 0.1..2.0 |]
        let best = grid |> Array.minBy sse
        let mutable low, high = best - 0.1, best + 0.1

        for _ in 1..60 do
            let third = (high - low) / 3.0

            if sse (low + third) < sse (high - third) then
                high <- high - third
            else
                low <- low + third

        exp (0.5 * (low + high))

    let standardErrors (x: float[]) b c variance =
        let inverse = (jacobian x b c).QR().R.Inverse()

        (inverse * inverse.Transpose()).Diagonal()
        |> Seq.map (fun d -> sqrt (variance * d))
        |> Array.ofSeq

/// Curve fits and summaries.
[<AbstractClass; Sealed>]
type Curves =
    /// Least-squares power law; `n` holds positive sample counts, n[0] the first. Error: fewer than four points.
    static member PowerLaw(n: float[], y: float[]) : PowerLawResult =
        Guard.sameLength "n" n "y" y
        Guard.sample "n" 4 n
        Guard.sample "y" 4 y

        if n |> Array.exists (fun v -> v <= 0.0) || Array.length (Array.distinct n) < 4 then
            Guard.fail "a power law needs at least four different positive sample counts. Evaluate more checkpoints."

        let x = n |> Array.map (fun v -> v / n[0])
        let c = PowerLaw.bestExponent x y
        let a, b, profile = PowerLaw.linearPart x y c
        // Gauss-Newton finds the last digits; its result counts where it is no worse.
        let a', b', c' = PowerLaw.polish x y (a, b, c) 100

        let value (a, b, c) =
            Array.fold2 (fun s v w -> s + (w - (a - b * v ** -c)) ** 2.0) 0.0 x y

        let polished = value (a', b', c')

        let a, b, c, sum =
            if polished <= profile then
                a', b', c', polished
            else
                a, b, c, profile

        {
            A = a
            B = b
            C = c
            StandardErrors = PowerLaw.standardErrors x b c (sum / float (n.Length - 3))
            SumOfSquares = sum
        }

    /// Least-squares line over log2 n, with a t interval for its slope at the given confidence.
    static member SlopePerDoubling(n: float[], y: float[], confidence: float) : SlopeResult =
        Guard.probability "confidence" confidence
        let fit = Regression.Line(Array.map Math.Log2 n, y, CovarianceKind.Classic, [||])
        let slope, error = fit.Coefficients[1], fit.StandardErrors[1]

        let half =
            error
            * Distributions.StudentTQuantile(0.5 + 0.5 * confidence, fit.DegreesOfFreedom)

        {
            Intercept = fit.Coefficients[0]
            Slope = slope
            InterceptError = fit.StandardErrors[0]
            SlopeError = error
            InterceptP = fit.PValues[0]
            SlopeP = fit.PValues[1]
            SlopeInterval =
                {
                    Lower = slope - half
                    Upper = slope + half
                }
        }

    /// Area under y over log2 n by trapezoids, divided by the range: the mean height of the curve.
    static member MeanHeight(n: float[], y: float[]) : float =
        Guard.sameLength "n" n "y" y
        Guard.sample "n" 2 n
        let x = n |> Array.map Math.Log2

        let area =
            Seq.init (x.Length - 1) (fun i -> 0.5 * (y[i] + y[i + 1]) * (x[i + 1] - x[i]))
            |> Seq.sum

        area / (x[x.Length - 1] - x[0])

    /// Line through (log n, log y): the slope is the exponent of a plain power law.
    static member LogLog(n: float[], y: float[]) : SlopeResult =
        let fit =
            Regression.Line(Array.map log n, Array.map log y, CovarianceKind.Classic, [||])

        let half =
            fit.StandardErrors[1]
            * Distributions.StudentTQuantile(0.975, fit.DegreesOfFreedom)

        {
            Intercept = fit.Coefficients[0]
            Slope = fit.Coefficients[1]
            InterceptError = fit.StandardErrors[0]
            SlopeError = fit.StandardErrors[1]
            InterceptP = fit.PValues[0]
            SlopeP = fit.PValues[1]
            SlopeInterval =
                {
                    Lower = fit.Coefficients[1] - half
                    Upper = fit.Coefficients[1] + half
                }
        }

    /// Isotonic regression by pooling adjacent violators, with positive weights, rising or falling.
    static member Isotonic(y: float[], weights: float[], increasing: bool) : float[] =
        Guard.sameLength "y" y "weights" weights
        Guard.sample "y" 1 y
        let sign = if increasing then 1.0 else -1.0
        // Blocks of (mean, weight, length), each mean above the one before it.
        let blocks = Collections.Generic.Stack<struct (float * float * int)>()

        for i in 0 .. y.Length - 1 do
            if not (weights[i] > 0.0) then
                Guard.fail $"weights[{i}] is {weights[i]}; weights are positive. Leave that point out."

            let mutable mean, weight, count = sign * y[i], weights[i], 1

            while blocks.Count > 0 && (let struct (m, _, _) = blocks.Peek() in m >= mean) do
                let struct (m, w, c) = blocks.Pop()
                mean <- (mean * weight + m * w) / (weight + w)
                weight <- weight + w
                count <- count + c

            blocks.Push(struct (mean, weight, count))

        blocks.ToArray()
        |> Array.rev
        |> Array.collect (fun (struct (m, _, c)) -> Array.create c (sign * m))
