// Per-token values of a batch, (N), folded into one number per completion, (K). Sums are taken in float64: an answer has hundreds
// of tokens, and a loss sees small differences of large sums. Gradients flow back to the per-token values.
namespace PeftAlign.Algebra

open System
open PeftAlign.Torch
open PeftAlign.Algebra.Numbers

/// <summary>Which of a batch's N per-token values belong to which of its K completions.</summary>
[<Sealed>]
type Sequences private (count: int64, width: int64, ids: Tensor, places: Tensor, mask: Tensor) =

    /// (K): sums of (N) float64 values. Each value has a place of its own in a padded (K, L), so the result does not depend on the
    /// order in which threads add.
    let fold (values: Tensor) =
        torch
            .zeros([| count * width |], torch.ScalarType.Float64, mask.device)
            .index_add(0L, places, values, Scalar.op_Implicit 1L)
            .view(count, width)
            .sum
            1L

    let tokens = fold mask

    /// (N) float64: each token's number among the scored tokens of its completion, from 0.
    let rank () =
        let before = tokens.cumsum 0L - tokens
        (mask.cumsum 0L - before.index_select (0L, ids)) |> plus -1.0

    /// <summary>The completions of a batch, in order.</summary>
    /// <param name="lengths">K lengths in tokens, each at least 1, N in all.</param>
    /// <param name="weights">(N) weights; a token of weight 0 is not scored and counts nowhere.</param>
    /// <exception cref="T:System.ArgumentException">The lengths do not add up to N.</exception>
    static member Of(lengths: int[], weights: Tensor) : Sequences =
        let total = Array.sumBy int64 lengths

        if
            lengths.Length = 0
            || total <> weights.numel ()
            || Array.exists (fun length -> length < 1) lengths
        then
            invalidArg
                (nameof lengths)
                $"{lengths.Length} completions have {total} tokens in all, but there are {weights.numel ()} weights; each completion needs at least one token and one weight per token"

        let width = int64 (Array.max lengths)
        let device = weights.device

        let ids =
            [| for k in 0 .. lengths.Length - 1 -> Array.create lengths[k] (int64 k) |]
            |> Array.concat

        let places =
            [|
                for k in 0 .. lengths.Length - 1 -> Array.init lengths[k] (fun t -> int64 k * width + int64 t)
            |]
            |> Array.concat

        let mask =
            weights.detach().ne(Scalar.op_Implicit 0L).``to`` torch.ScalarType.Float64

        Sequences(
            int64 lengths.Length,
            width,
            torch.tensor<int64>(ids, ReadOnlySpan<int64>(), Nullable(), device),
            torch.tensor<int64>(places, ReadOnlySpan<int64>(), Nullable(), device),
            mask
        )

    /// <summary>K, the number of completions.</summary>
    member _.Count: int64 = count

    /// <summary>(K) float64: scored tokens of each completion.</summary>
    member _.Tokens: Tensor = tokens

    /// <summary>(K) float64: the sum of each completion's values.</summary>
    /// <param name="values">(N) per token, for instance log-probs.</param>
    member _.Sum(values: Tensor) : Tensor =
        fold (values.``to`` torch.ScalarType.Float64 * mask)

    /// <summary>(K) float64: the mean of each completion's values over its scored tokens; 0 where it has none.</summary>
    /// <param name="values">(N) per token.</param>
    member this.Mean(values: Tensor) : Tensor =
        this.Sum values / tokens.clamp (num 1.0)

    /// <summary>(K) float64: sums in which the scored tokens after the first <paramref name="full"/> of a completion count
    /// <paramref name="rest"/> times (LD-DPO, Liu et al. 2024, with full = the shorter answer's length).</summary>
    /// <param name="values">(N) per token.</param>
    /// <param name="full">(K) how many tokens of each completion count fully.</param>
    /// <param name="rest">The weight of the others.</param>
    member _.SumWithDiscountedTail(values: Tensor, full: Tensor, rest: float) : Tensor =
        let head = (rank ()).lt(full.index_select (0L, ids)).``to`` torch.ScalarType.Float64
        let weight = head |> times (1.0 - rest) |> plus rest
        fold (values.``to`` torch.ScalarType.Float64 * mask * weight)

    /// <summary>Scalar float64: the mean over all scored tokens of the batch.</summary>
    /// <param name="values">(N) per token.</param>
    member _.TokenMean(values: Tensor) : Tensor =
        (values.``to`` torch.ScalarType.Float64 * mask).sum()
        / mask.sum().clamp(num 1.0)

    /// <summary>The values of every second completion, from the first: the chosen ones where completions come in pairs.</summary>
    /// <param name="values">(K), K even.</param>
    /// <returns>(K / 2)</returns>
    static member First(values: Tensor) : Tensor = values.view(-1L, 2L).select(1L, 0L)

    /// <summary>The values of every second completion, from the second: the rejected ones where completions come in pairs.</summary>
    /// <param name="values">(K), K even.</param>
    /// <returns>(K / 2)</returns>
    static member Second(values: Tensor) : Tensor = values.view(-1L, 2L).select(1L, 1L)
