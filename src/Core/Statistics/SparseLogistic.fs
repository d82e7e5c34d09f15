// Logistic regression with an L1 penalty on few coefficients, minimised exactly: proximal Newton steps whose quadratic
// subproblems coordinate descent solves (the method of Yuan, Ho and Lin 2012, carried to convergence).
module internal PeftAlign.Core.Statistics.SparseLogistic

/// Rows of features X, targets p in [0, 1] and weights s.
type Data =
    { X: float[][]; P: float[]; S: float[] }

let dot (x: float[]) (w: float[]) =
    let mutable sum = 0.0

    for k in 0 .. x.Length - 1 do
        sum <- sum + x[k] * w[k]

    sum

/// |w|_1 + C sum s (p log(1 + exp(-x.w)) + (1 - p) log(1 + exp(x.w))).
let value data c w =
    let mutable loss = 0.0

    for i in 0 .. data.X.Length - 1 do
        let z = dot data.X[i] w

        loss <-
            loss
            + data.S[i]
              * (data.P[i] * Elementary.softplus -z + (1.0 - data.P[i]) * Elementary.softplus z)

    Array.sumBy abs w + c * loss

/// Gradient and Hessian of the smooth part.
let derivatives data c w =
    let k = Array.length w
    let gradient, hessian = Array.zeroCreate<float> k, Array2D.zeroCreate<float> k k

    for i in 0 .. data.X.Length - 1 do
        let x = data.X[i]
        let q = Elementary.sigmoid (dot x w)
        let slope, curve = c * data.S[i] * (q - data.P[i]), c * data.S[i] * q * (1.0 - q)

        for a in 0 .. k - 1 do
            gradient[a] <- gradient[a] + slope * x[a]

            for b in 0 .. k - 1 do
                hessian[a, b] <- hessian[a, b] + curve * x[a] * x[b]

    gradient, hessian

/// Minimiser of the quadratic model plus |w + d|_1 over d, by coordinate descent (a handful of coordinates).
let private quadraticStep (gradient: float[]) (hessian: float[,]) (w: float[]) =
    let k = w.Length
    let d = Array.zeroCreate<float> k
    let mutable sweeps, moved = 0, infinity

    while sweeps < 100000 && moved > 1e-17 * (1.0 + Array.sumBy abs w + Array.sumBy abs d) do
        moved <- 0.0
        sweeps <- sweeps + 1

        for a in 0 .. k - 1 do
            let h = hessian[a, a] + 1e-300

            let slope =
                gradient[a] + Seq.sumBy (fun b -> hessian[a, b] * d[b]) (seq { 0 .. k - 1 })
            // Soft threshold of the coordinate's own optimum.
            let free = w[a] + d[a] - slope / h
            let target = float (sign free) * max 0.0 (abs free - 1.0 / h)
            let next = target - w[a]
            moved <- max moved (abs (next - d[a]))
            d[a] <- next

    d

/// The exact minimiser by proximal Newton steps with halving.
let fit data c (start: float[]) =
    let mutable w, current = start, value data c start
    let mutable steps, settled = 0, false

    while not settled && steps < 200 do
        steps <- steps + 1
        let gradient, hessian = derivatives data c w
        let d = quadraticStep gradient hessian w
        let from = w

        let move scale =
            Array.map2 (fun a b -> a + scale * b) from d
        // Full steps keep exact zeros; near the optimum rounding hides the last descent, so a hair's rise is allowed.
        let mutable scale = 1.0
        let limit = current + 1e-13 * abs current

        while scale > 1e-12 && not (value data c (move scale) <= limit) do
            scale <- 0.5 * scale

        let next = if scale > 1e-12 then move scale else w
        settled <- Array.forall2 (fun a b -> abs (a - b) <= 1e-13 * (1.0 + abs b)) next w
        w <- next
        current <- value data c w

    w
