// Sparsifying a task vector d = x - origin: which entries are kept. The counts are mergekit's (0.1.5); entries of equal magnitude
// rank as in its stable sorts: where the largest are kept, the first of them stay.
namespace PeftAlign.Algebra

open PeftAlign.Torch
open PeftAlign.Torch.Extras

/// <summary>The kept entries of a task vector: one bit per entry.</summary>
[<Sealed>]
type Mask internal (bits: Tensor, sums: Tensor | null) =
    let norms =
        lazy
            (match sums with
             | null -> struct (1.0, 1.0)
             | sums -> struct (sums[0L].item<float>(), sums[1L].item<float>()))

    member internal _.Bits = bits

    /// <summary>True where nothing is dropped.</summary>
    member _.KeepsAll = isNull sums

    /// <summary>Sum of |d| over all entries; 1 where nothing is dropped.</summary>
    member _.Norm =
        let struct (all, _) = norms.Value
        all

    /// <summary>Sum of |d| over the kept entries; 1 where nothing is dropped.</summary>
    member _.KeptNorm =
        let struct (_, kept) = norms.Value
        kept

    /// <summary>Truth values of the entries from a multiple of 64 on.</summary>
    member _.Slice(first: int64, count: int64) : Tensor =
        if isNull sums then
            torch.ones ([| count |], torch.ScalarType.Bool)
        else
            Kernels.unpack bits first count

/// <summary>Ways to choose the kept entries. x and origin are of one shape, floating point, on the processor.</summary>
[<AbstractClass; Sealed>]
type Masks private () =
    static let make (bits, sums) = Mask(bits, sums)

    static let none (x: Tensor) = torch.empty ([| 0L |], x.dtype)

    /// <summary>Every entry.</summary>
    static member All: Mask = Mask(torch.empty ([| 0L |], torch.ScalarType.Int64), null)

    /// <summary>Those that are not zero in a mask of the same shape.</summary>
    static member Given(mask: Tensor, x: Tensor, origin: Tensor) : Mask = Kernels.pack mask x origin |> make

    /// <summary>The density * n largest of |d|, at least one (TIES' trim).</summary>
    /// <param name="x">The model's tensor.</param>
    /// <param name="origin">The base's tensor.</param>
    /// <param name="density">Share that is kept; 1 and more keeps all, 0 and less none.</param>
    static member Largest(x: Tensor, origin: Tensor, density: float) : Mask =
        let n = x.numel ()

        if density >= 1.0 then
            Masks.All
        else
            let kept =
                if density <= 0.0 || n = 0L then
                    0L
                else
                    max 1L (int64 (density * float n))

            Kernels.window x origin (n - kept) kept true |> make

    /// <summary>The k largest of |x|.</summary>
    static member LargestOf(x: Tensor, k: int64) : Mask =
        Kernels.window x (none x) (x.numel () - k) k true |> make

    /// <summary>The density * n entries below the gamma * n largest (Model Breadcrumbs); gamma gives way where both do not fit.</summary>
    /// <param name="x">The model's tensor.</param>
    /// <param name="origin">The base's tensor.</param>
    /// <param name="density">Share that is kept; 1 keeps all.</param>
    /// <param name="gamma">Share of the largest entries that is dropped.</param>
    static member Middle(x: Tensor, origin: Tensor, density: float, gamma: float) : Mask =
        let n = x.numel ()

        if density >= 1.0 then
            Masks.All
        else
            let kept, top = int64 (density * float n), int64 (gamma * float n)
            Kernels.window x origin (max 0L (n - kept - top)) kept false |> make

    /// <summary>Each entry with probability p (DARE); 1 draws nothing.</summary>
    static member Random(x: Tensor, origin: Tensor, p: float, stream: CounterStream) : Mask =
        if p >= 1.0 then
            Masks.All
        else
            Kernels.bernoulli x origin (max 0.0 p) stream |> make

    /// <summary>Each entry with a probability of its own, a tensor of x's shape.</summary>
    static member RandomBy(probabilities: Tensor, x: Tensor, origin: Tensor, stream: CounterStream) : Mask =
        use draws = stream.Uniform(probabilities.shape)
        use kept = draws.lt probabilities
        Kernels.pack kept x origin |> make

    /// <summary>DELLA's probabilities: from density - epsilon for the smallest |d| of a row to density + epsilon for the largest.</summary>
    /// <param name="x">The model's tensor; a vector is one row.</param>
    /// <param name="origin">The base's tensor.</param>
    /// <param name="density">Mean probability.</param>
    /// <param name="epsilon">Half the range.</param>
    /// <returns>float32, x's shape.</returns>
    static member RankProbabilities(x: Tensor, origin: Tensor, density: float, epsilon: float) : Tensor =
        use scope = torch.NewDisposeScope()
        let columns = if x.dim () = 0L then 1L else x.shape[x.shape.Length - 1]

        let d =
            (x.``to`` torch.float32 - origin.``to`` torch.float32).abs().reshape(-1L, columns)

        let order = d.argsort -1L
        // A row of one entry has no order: it gets the mean.
        let width, lowest =
            if columns > 1L then
                2.0 * epsilon / float (columns - 1L), density - epsilon
            else
                0.0, density

        let ranks = torch.empty (d.shape, torch.float32)
        let places = torch.arange(columns).``to``(torch.float32).expand(d.shape)
        ranks.scatter_ (1L, order, places.contiguous ()) |> ignore
        let share = ranks.mul (Numbers.num width)
        share.add(Numbers.num lowest).reshape(x.shape).MoveToOuterDisposeScope()
