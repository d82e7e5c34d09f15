// log p(target) from logits that are in memory, by the kernel that an unchanged head's rows would go through.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

/// <summary>
/// apply(logits (N, V) float32 or bfloat16 on the processor, targets (N), whether means are asked for, whether <see cref="HeadLogProbs"/> needs no logits
/// here); returns (N) log-probs, then, where asked for, (N) means of the log-probs of the whole vocabulary; float32. The backward pass overwrites the logits.
/// </summary>
internal sealed class LogitLogProbs : torch.autograd.MultiTensorFunction<LogitLogProbs>
{
    public override string Name => "LogitLogProbs";

    public override List<Tensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (logits, targets, means) = ((Tensor)vars[0], (Tensor)vars[1], (bool)vars[2]);
        ctx.save_for_backward([logits, targets]);
        using var scope = torch.NewDisposeScope();
        var figures = (bool)vars[3] ? Fused.LogitsFigures(logits, targets) : Fused.TargetLogProbs(logits.contiguous(), targets, keep: false);
        Tensor Figure(TargetFigure figure) => figures.select(0, (long)figure).clone().MoveToOuterDisposeScope();
        return means ? [Figure(TargetFigure.LogProb), Figure(TargetFigure.MeanLogProb)] : [Figure(TargetFigure.LogProb)];
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        var saved = ctx.get_saved_variables();
        var byMean = grad_outputs.Count > 1 ? grad_outputs[1].unsqueeze(1) : null;
        return [TokenDistributions.Of(saved[0].contiguous(), saved[1], gradients: true, cap: 0).ByLogits(grad_outputs[0].unsqueeze(1), byMean), null];
    }
}
