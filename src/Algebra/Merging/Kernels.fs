// The merge operators of native/, by name. They take tensors of any floating-point type, compute in float32 and round once.
module internal PeftAlign.Algebra.Kernels

open PeftAlign.Torch
open PeftAlign.Torch.Extras

let private gramOf = TensorOperator "peftalign::merge_gram"
let private combineOf = TensorOperator "peftalign::merge_combine"
let private windowOf = TensorOperator "peftalign::merge_window"
let private bernoulliOf = TensorOperator "peftalign::merge_bernoulli"
let private packOf = TensorOperator "peftalign::merge_pack"
let private unpackOf = TensorOperator "peftalign::merge_unpack"
let private taskVectorsOf = TensorOperator "peftalign::merge_task_vectors"

let private one (results: objnull[]) : Tensor = unbox (nonNull results[0])

let private two (results: objnull[]) : Tensor * Tensor =
    unbox (nonNull results[0]), unbox (nonNull results[1])

let gram (inputs: Tensor[]) (origin: Tensor[]) = gramOf.Call(inputs, origin) |> one

let combine (inputs: Tensor[]) (weights: float[]) (dtype: torch.ScalarType) =
    combineOf.Call(inputs, weights, dtype) |> one

let window (x: Tensor) (origin: Tensor) (first: int64) (count: int64) (firstIsLargest: bool) =
    windowOf.Call(x, origin, first, count, firstIsLargest) |> two

let bernoulli (x: Tensor) (origin: Tensor) (p: float) (stream: CounterStream) =
    let struct (key, upper) = stream.Address
    bernoulliOf.Call(x, origin, p, int64 key, int64 upper) |> two

let pack (mask: Tensor) (x: Tensor) (origin: Tensor) = packOf.Call(mask, x, origin) |> two

let unpack (bits: Tensor) (first: int64) (count: int64) =
    unpackOf.Call(bits, first, count) |> one

let taskVectors
    origin
    (inputs: Tensor[])
    (masks: Tensor[])
    (weights: float[])
    (scales: float[])
    elect
    normalize
    lambda
    (dtype: torch.ScalarType)
    =
    taskVectorsOf.Call(origin, inputs, masks, weights, scales, elect, normalize, lambda, dtype)
    |> one
