// Task arithmetic as one algebra: sparsify each d_k = x_k - origin, rescale it, weigh it, agree on a sign or not, normalise, scale by
// lambda, add to the origin. TIES, DARE, DELLA and Breadcrumbs are points of it (Ilharco et al. 2023 and after; mergekit 0.1.5).
namespace PeftAlign.Algebra

open PeftAlign.Torch

/// <summary>One model's part in a merge of task vectors.</summary>
/// <param name="tensor">The model's tensor.</param>
/// <param name="mask">Which entries of its task vector are kept.</param>
/// <param name="scale">Factor that makes up for the dropped ones.</param>
/// <param name="weight">Weight.</param>
[<Sealed>]
type TaskVector(tensor: Tensor, mask: Mask, scale: float, weight: float) =
    member internal _.Tensor = tensor
    member internal _.Mask = mask
    member internal _.Scale = scale
    member internal _.Weight = weight

/// <summary>Sums of task vectors.</summary>
[<AbstractClass; Sealed>]
type TaskVectors private () =
    /// mergekit's smallest norm that is rescaled.
    static let tiny = 1e-7

    /// <summary>The factor that keeps the sum of magnitudes; 1 where nothing is dropped or either sum is below 1e-7.</summary>
    static member L1Scale(mask: Mask) : float =
        if mask.Norm < tiny || mask.KeptNorm < tiny then
            1.0
        else
            mask.Norm / mask.KeptNorm

    /// <summary>origin + lambda * sum of the vectors.</summary>
    /// <param name="origin">The base's tensor.</param>
    /// <param name="vectors">The models' parts, at least one.</param>
    /// <param name="elect">Keep, entry by entry, only what has the sign of the weighted sum (plus where that is 0).</param>
    /// <param name="normalize">Divide by the sum of the weights that took part; 1 where they cancel.</param>
    /// <param name="lambda">Factor of the sum.</param>
    /// <param name="dtype">Type of the result; the arithmetic is float32.</param>
    static member Sum
        (origin: Tensor, vectors: TaskVector[], elect: bool, normalize: bool, lambda: float, dtype: torch.ScalarType)
        : Tensor =
        Kernels.taskVectors
            origin
            (vectors |> Array.map _.Tensor)
            (vectors |> Array.map _.Mask.Bits)
            (vectors |> Array.map _.Weight)
            (vectors |> Array.map _.Scale)
            elect
            normalize
            lambda
            dtype
