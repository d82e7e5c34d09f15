// Merges entry by entry or row by row with libtorch's operators, a piece at a time, so that temporaries stay small.
namespace PeftAlign.Algebra

open System
open PeftAlign.Torch

/// <summary>Works on pieces of tensors of one shape, in float32 (float64 where all are).</summary>
[<AbstractClass; Sealed>]
type Pieces private () =
    /// Entries of one piece: a multiple of 64, as masks need.
    static let size = 1L <<< 20

    static let wide (x: Tensor) (dim: int) first count =
        let part = x.narrow (int64 dim, first, count)

        if x.dtype = torch.ScalarType.Float64 then
            part.alias ()
        else
            part.``to`` torch.float32

    static let pieces total piece =
        seq { for first in 0L .. piece .. total - 1L -> struct (first, min piece (total - first)) }

    /// <summary>Calls body(first entry, pieces) over the flattened tensors.</summary>
    static member ForEach(tensors: Tensor[], body: Action<int64, Tensor[]>) : unit =
        let flat = tensors |> Array.map (fun x -> x.reshape -1L)

        for struct (first, count) in pieces (flat[0].numel()) size do
            use scope = torch.NewDisposeScope()
            body.Invoke(first, flat |> Array.map (fun x -> wide x 0 first count))

    /// <summary>A tensor of the inputs' shape, piece by piece of the flattened tensors.</summary>
    static member Map(tensors: Tensor[], dtype: torch.ScalarType, body: Func<int64, Tensor[], Tensor>) : Tensor =
        let result = torch.empty (tensors[0].shape, dtype)
        use flat = result.view -1L

        Pieces.ForEach(
            tensors,
            fun first parts ->
                flat.narrow(0L, first, parts[0].numel()).copy_(body.Invoke(first, parts))
                |> ignore
        )

        result

    /// <summary>A tensor of the inputs' shape, some slices along a dimension at a time.</summary>
    /// <param name="tensors">Of one shape; a scalar or vector counts as one row.</param>
    /// <param name="byColumns">Slices of the last dimension's columns instead of rows of the first.</param>
    /// <param name="dtype">Type of the result.</param>
    /// <param name="body">From slices (rows, columns) to a slice of the same shape.</param>
    static member MapRows(tensors: Tensor[], byColumns: bool, dtype: torch.ScalarType, body: Func<Tensor[], Tensor>) : Tensor =
        let result = torch.empty (tensors[0].shape, dtype)
        let shape = tensors[0].shape
        let columns = if shape.Length = 0 then 1L else shape[shape.Length - 1]
        let matrix (x: Tensor) = x.reshape (-1L, max 1L columns)
        use target = matrix result
        let dim, other = if byColumns then 1, target.shape[0] else 0, columns

        for struct (first, count) in pieces target.shape[dim] (max 1L (size / max 1L other)) do
            use scope = torch.NewDisposeScope()
            let parts = tensors |> Array.map (fun x -> wide (matrix x) dim first count)
            target.narrow(int64 dim, first, count).copy_(body.Invoke parts) |> ignore

        result
