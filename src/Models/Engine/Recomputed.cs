// A part of a pass whose graph is not kept: forward keeps what flows into it alone, and backward computes the part again on a graph
// that lives no longer than its turn (Chen et al. 2016). Both times the same operators run on the same numbers, dropout being keyed
// by place, so that results are those of a kept graph, bit for bit.

using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>apply(part, what flows in ..., what is trained ...): the part's outputs.</summary>
internal sealed class Recomputed : torch.autograd.MultiTensorFunction<Recomputed>
{
    public override string Name => "Recomputed";

    private sealed record Part(Func<IReadOnlyList<Tensor>, Tensor[]> Compute, IReadOnlyList<Tensor> Trained);

    /// <summary>The outputs of a part.</summary>
    /// <param name="compute">From what flows in to the outputs; it is called twice, and reads no other tensor that a dispose scope owns.</param>
    /// <param name="flowing">What other parts made: kept for the backward pass.</param>
    /// <param name="trained">Each tensor once that compute reads and a gradient may reach; they outlive the backward pass.</param>
    internal static Tensor[] Of(Func<IReadOnlyList<Tensor>, Tensor[]> compute, IReadOnlyList<Tensor> flowing, IReadOnlyList<Tensor> trained)
    {
        if (!torch.is_grad_enabled()) return compute(flowing);
        return [.. apply([new Part(compute, [.. trained.Where(t => t.requires_grad)]), .. flowing, .. trained.Where(t => t.requires_grad)])];
    }

    // With gradients on: without them some products take other kernels, which round differently.
    public override List<Tensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var part = (Part)vars[0];
        var flowing = vars.Skip(1).SkipLast(part.Trained.Count).Cast<Tensor>().ToList();
        var flows = flowing.ConvertAll(t => t.requires_grad);
        ctx.save_for_backward(flowing);
        ctx.save_data("part", part);
        ctx.save_data("flows", flows);
        using var scope = torch.NewDisposeScope();
        using var on = torch.enable_grad();
        return [.. part.Compute(Leaves(flowing, flows)).Select(output => output.detach().MoveToOuterDisposeScope())];
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        var (part, flows) = ((Part)ctx.get_data("part")!, (List<bool>)ctx.get_data("flows")!);
        using var on = torch.enable_grad();
        var leaves = Leaves(ctx.get_saved_variables(), flows);
        var wanted = leaves.Where((_, k) => flows[k]).Concat(part.Trained).ToList();
        var outputs = part.Compute(leaves).Zip(grad_outputs).Where(o => o.First.requires_grad).ToList(); // a change may be of rows that are not here
        var found = outputs.Count == 0 ? wanted.Select(_ => (Tensor?)null) : torch.autograd.grad([.. outputs.Select(o => o.First)], wanted, [.. outputs.Select(o => o.Second)], allow_unused: true);
        var gradients = new Queue<Tensor?>(found);
        return [.. flows.Select(flow => flow ? gradients.Dequeue() : null), .. part.Trained.Select(_ => gradients.Dequeue())];
    }

    private static List<Tensor> Leaves(IReadOnlyList<Tensor> flowing, IReadOnlyList<bool> flows) =>
        [.. flowing.Select((t, k) => flows[k] ? t.detach().requires_grad_() : t)];
}
