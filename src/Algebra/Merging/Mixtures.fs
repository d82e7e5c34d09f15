// Linear mixtures of models whose weights follow from their inner products: averages, spherical interpolation, Karcher means. Two
// passes over the tensors, and no temporary as large as one of them.
namespace PeftAlign.Algebra

open PeftAlign.Torch

/// <summary>Inner products and weighted sums of tensors of one shape.</summary>
[<AbstractClass; Sealed>]
type Mixtures private () =
    /// <summary>Inner products of all pairs, summed in float64.</summary>
    /// <param name="inputs">n tensors.</param>
    /// <param name="origin">Subtracted from each first; null for none.</param>
    /// <returns>n by n.</returns>
    static member Products(inputs: Tensor[], origin: Tensor | null) : float[,] =
        use products =
            Kernels.gram
                inputs
                (match origin with
                 | null -> [||]
                 | origin -> [| origin |])

        let n = inputs.Length
        Array2D.init n n (fun i j -> products[int64 i, int64 j].item<float>())

    /// <summary>Sum of weight * tensor, in float32, rounded once.</summary>
    static member Sum(inputs: Tensor[], weights: float[], dtype: torch.ScalarType) : Tensor = Kernels.combine inputs weights dtype

    /// <summary>origin + sum of weight * (tensor - origin), in float32, rounded once.</summary>
    static member SumOver(origin: Tensor, inputs: Tensor[], weights: float[], dtype: torch.ScalarType) : Tensor =
        let masks = inputs |> Array.map (fun _ -> Masks.All.Bits)
        let ones = weights |> Array.map (fun _ -> 1.0)
        Kernels.taskVectors origin inputs masks weights ones false false 1.0 dtype
