// F# spellings for tensor arithmetic with plain numbers, so that a formula reads as it is written in a paper.
module internal PeftAlign.Algebra.Numbers

open PeftAlign.Torch

/// A number as an operator takes it.
let inline num (value: float) : Scalar = Scalar.op_Implicit value

let sigmoid (x: Tensor) = x.sigmoid ()

let logSigmoid (x: Tensor) = torch.nn.functional.logsigmoid x

/// c - x
let from (c: float) (x: Tensor) : Tensor = (-x).add(num c)

/// c * x
let times (c: float) (x: Tensor) : Tensor = x.mul (num c)

/// x + c
let plus (c: float) (x: Tensor) : Tensor = x.add (num c)
