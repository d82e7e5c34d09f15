// log(1 + x), exp(x) - 1 and the logistic functions without loss of digits near zero (Kahan's correction).
// The platform has neither in full precision, and MathNet.Numerics' are good to 1e-8 only.
module internal PeftAlign.Core.Statistics.Elementary

/// log(1 + x).
let log1p (x: float) =
    let u = 1.0 + x

    if u = 1.0 then x
    elif u <= 0.0 then log u
    else log u * (x / (u - 1.0))

/// exp(x) - 1.
let expm1 (x: float) =
    let u = exp x

    if u = 1.0 then x
    elif abs x > 1.0 then u - 1.0
    else (u - 1.0) * (x / log u)

/// log(1 + exp z) without overflow.
let softplus z =
    if z > 0.0 then z + log1p (exp -z) else log1p (exp z)

/// 1 / (1 + exp -z) without overflow.
let sigmoid z =
    if z >= 0.0 then
        1.0 / (1.0 + exp -z)
    else
        exp z / (1.0 + exp z)
