// log(1 + x) and exp(x) - 1 without loss of digits near zero (the correction of Kahan, after HP-15C Advanced Functions);
// the platform has neither in full precision, and the library's are good to 1e-8 only.
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
