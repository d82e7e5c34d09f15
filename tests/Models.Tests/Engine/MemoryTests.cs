// A long run must not grow: 2,000 engine calls, half of them with a backward pass, leave no tensor and no memory behind.

using System.Diagnostics;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

[NonParallelizable]
public sealed class MemoryTests
{
    private const long AllowedGrowth = 24L << 20;

    [Test]
    public void Calls_leave_nothing_behind()
    {
        using var scope = torch.NewDisposeScope();
        var model = Tiny.Model(torch.float32);
        var deltas = Tiny.Deltas(model, torch.float32, dropout: 0.1).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].requires_grad_()));
        var engine = new LogProbEngine(model, packRows: 64);
        var groups = Tiny.Groups(6);
        void Calls(int count)
        {
            for (var k = 0; k < count; k++)
            {
                using var inner = torch.NewDisposeScope();
                engine.LogProbs(groups, new ForwardMode { Deltas = deltas, Dropout = new DropoutKey(1, k) }).sum().backward();
                engine.Score(groups, new ForwardMode { Deltas = deltas });
            }
        }
        Calls(100);
        var (tensors, bytes) = Settled();
        Calls(1000);
        var (after, afterBytes) = Settled();
        Assert.That(after, Is.EqualTo(tensors), "tensors");
        Assert.That(afterBytes - bytes, Is.LessThan(AllowedGrowth), "resident bytes");
    }

    private static (long Tensors, long Bytes) Settled()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return (Tensor.TotalCount, Process.GetCurrentProcess().WorkingSet64);
    }
}
