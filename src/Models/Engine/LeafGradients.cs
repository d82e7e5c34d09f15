// Gradients of large tables, added where they are summed. A table's gradient as a tensor of its own is as large as the table, is made
// once for its lookups and once for a head that is tied to it, and is then added to the sum: a copy or three of what may be most of the
// model. A training's pass adds rows and products to the sum itself.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Where a pass may add to a leaf's gradient by itself.</summary>
internal static class LeafGradients
{
    /// <summary>Whether parts are added to the leaf's own gradient, since the mode says that a backward pass ends there. Else a gradient is
    /// returned: there may be none yet, or it is in a narrow type, which would round each part of a sum.</summary>
    /// <param name="leaf">A trained table.</param>
    /// <param name="mode">Of the pass.</param>
    internal static bool Take(Tensor leaf, ForwardMode mode)
    {
        if (!mode.AddsToLeaves || leaf is not { requires_grad: true, is_leaf: true, dtype: torch.ScalarType.Float32 or torch.ScalarType.Float64 }) return false;
        using var sum = leaf.grad;
        return sum is not null;
    }
}

/// <summary>apply(tokens (R), table (V, d), padding token or -1): (R, d) rows of a table whose own gradient, which it has, is added to, each
/// token's rows summed before; nothing for the padding token.</summary>
internal sealed class LookedUp : torch.autograd.SingleTensorFunction<LookedUp>
{
    public override string Name => "LookedUp";

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (tokens, table) = ((Tensor)vars[0], (Tensor)vars[1]);
        ctx.save_data("tokens", tokens.data<long>().ToArray());
        ctx.save_for_backward([table]);
        ctx.save_data("padding", vars[2]);
        return torch.nn.functional.embedding(tokens, table);
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var (tokens, padding) = ((long[])ctx.get_data("tokens")!, (long)ctx.get_data("padding")!);
        using var scope = torch.NewDisposeScope();
        var number = new Dictionary<long, long>();
        var (rows, slots) = (new List<long>(), new List<long>());
        foreach (var (row, token) in tokens.Index())
        {
            if (token == padding) continue;
            if (!number.TryGetValue(token, out var slot)) number[token] = slot = number.Count;
            rows.Add(row);
            slots.Add(slot);
        }
        if (rows.Count == 0) return [null, null];
        var parts = rows.Count == tokens.Length ? grad_output : grad_output.index_select(0, torch.tensor(rows));
        var each = torch.zeros([number.Count, grad_output.size(1)], grad_output.dtype).index_add_(0, torch.tensor(slots), parts, 1);
        ctx.get_saved_variables()[0].grad!.index_add_(0, torch.tensor(number.Keys.ToList()), each, 1);
        return [null, null];
    }
}
