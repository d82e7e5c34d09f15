// A long run must not grow: 2,000 engine calls, half of them with a backward pass, leave no tensor and no memory behind. Nor must a deep
// pass: what a block made is gone before the next one.

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
        var (tensors, bytes) = State();
        Calls(1000);
        var (after, afterBytes) = State();
        Assert.That(after, Is.EqualTo(tensors), "tensors");
        Assert.That(afterBytes - bytes, Is.LessThan(AllowedGrowth), "resident bytes");
    }

    [Test]
    public void Without_gradients_no_block_leaves_a_tensor_to_the_next()
    {
        using var scope = torch.NewDisposeScope();
        using var off = torch.no_grad();
        var model = Tiny.Model(torch.float32, Tiny.Spec("llama", """{"num_hidden_layers":8}"""));
        using var pack = Pack.Of(Tiny.Groups(6), 2048, Place.Of(model)).Single();
        var counting = new Counting(pack.Attention);
        pack.Attention = counting;
        Settled.Tensors();
        model.Forward(pack, new ForwardMode());
        Assert.That(counting.Tensors, Has.Count.EqualTo(8), "blocks");
        Assert.That(counting.Tensors.Skip(1), Is.All.LessThanOrEqualTo(counting.Tensors[1]), "tensors alive at each block's attention; the first one makes what all share");
    }

    private sealed class Counting(IRowAttention attention) : IRowAttention
    {
        internal List<long> Tensors { get; } = [];

        public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form)
        {
            Tensors.Add(Tensor.TotalCount);
            return attention.Attend(layer, q, k, v, form);
        }
    }

    private static (long Tensors, long Bytes) State() => (Settled.Tensors(), Process.GetCurrentProcess().WorkingSet64);
}
