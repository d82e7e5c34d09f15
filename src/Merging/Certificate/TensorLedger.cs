// What a merge did to each tensor, taken while it is made: lengths of the models' and the result's differences from the base (or of
// the tensors themselves where there is none), and how often models pull an entry in opposite directions.

using System.Collections.Concurrent;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

/// <param name="Inputs">Length (L2) of each input's difference from the base, or of the input.</param>
/// <param name="Result">The same of the result.</param>
/// <param name="Conflicts">Share of entries at which two inputs differ from the base in opposite directions (without a base: are of opposite sign).</param>
/// <param name="Changed">Share of entries in which the result differs from the base; null without one.</param>
internal sealed record TensorAccount(IReadOnlyList<double> Inputs, double Result, double Conflicts, double? Changed);

internal sealed class TensorLedger
{
    private readonly ConcurrentDictionary<string, TensorAccount> accounts = [];

    public IReadOnlyDictionary<string, TensorAccount> Accounts => accounts;

    /// <summary>Takes one tensor down.</summary>
    public void Observe(PlannedTensor tensor, IReadOnlyList<Tensor> inputs, Tensor? origin, Tensor result)
    {
        // What is copied holds whole numbers.
        using var scope = torch.NewDisposeScope();
        Tensor[] all = result.is_floating_point() ? [.. inputs, result] : [.. inputs.Append(result).Select(one => one.to(torch.ScalarType.Float64))];
        double[] squares = new double[all.Length];
        var (conflicts, changed) = (0.0, 0.0);
        // Each entry of the Gram matrix beside the diagonal would be computed for nothing.
        for (var k = 0; k < all.Length; k++) squares[k] = Mixtures.Products([all[k]], origin)[0, 0];
        Pieces.ForEach(origin is null ? all : [.. all, origin], (_, parts) =>
        {
            var differences = parts.Take(inputs.Count).Select(part => origin is null ? part : part - parts[^1]).ToList();
            var (up, down) = (differences.Select(d => d.gt(0)).Aggregate((a, b) => a.logical_or(b)), differences.Select(d => d.lt(0)).Aggregate((a, b) => a.logical_or(b)));
            conflicts += Count(up.logical_and(down));
            if (origin is not null) changed += Count(parts[inputs.Count].ne(parts[^1]));
        });
        var n = Math.Max(1, tensor.Count);
        accounts[tensor.Name] = new TensorAccount([.. squares.Take(inputs.Count).Select(Math.Sqrt)], Math.Sqrt(squares[^1]), conflicts / n, origin is null ? null : changed / n);
    }

    private static double Count(Tensor flags) => flags.to(torch.ScalarType.Int64).sum().item<long>();
}
