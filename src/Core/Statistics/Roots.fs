// Roots of monotone functions with a bracket of our own; library inverses of t and beta fail in the tails.
module internal PeftAlign.Core.Statistics.Roots

open System

/// Newton steps kept inside a shrinking bracket, bisection where they leave it or stall.
/// `f` is increasing on [lower, upper] and changes sign there; converges to neighbouring floats or to a residual of zero.
let increasing (f: float -> float) (slope: float -> float) lower upper start =
    let mutable low, high, x = lower, upper, start
    let mutable fx = f x
    let mutable count = 0
    let mutable settled = false

    while not settled && fx <> 0.0 && count < 2000 do
        count <- count + 1
        if fx < 0.0 then low <- x else high <- x
        let newton = x - fx / slope x
        let middle = low + 0.5 * (high - low)
        let next = if newton > low && newton < high then newton else middle
        let fnext = f next
        // A Newton step that does not halve the residual is followed by a bisection.
        let stalled = abs fnext > 0.5 * abs fx
        settled <- next = x || abs (next - x) <= 1e-16 * abs next || middle = low || middle = high

        if stalled && not settled then
            if fnext < 0.0 then low <- next else high <- next
            x <- low + 0.5 * (high - low)
            fx <- f x
            settled <- x = low || x = high
        else
            x <- next
            fx <- fnext

    x

/// Root of an increasing function without a known bracket: steps outward from [lower, upper] by doubling, then bisects.
/// NaN where no sign change is found within 200 doublings.
let bracketed (f: float -> float) lower upper =
    let mutable low, high, count = lower, upper, 0

    while f high < 0.0 && count < 200 do
        low <- high
        high <- high + 2.0 * (abs high + 1.0)
        count <- count + 1

    if f low > 0.0 || f high < 0.0 then
        nan
    else
        let mutable best = nan
        // Brent's method of the library, run to the last bit that it can tell apart.
        if MathNet.Numerics.RootFinding.Brent.TryFindRoot(Func<_, _> f, low, high, 1e-13, 500, &best) then
            best
        else
            nan
