// Moments in 8 bits against bitsandbytes' recursion with exact codes (golden/nf4/optim), and paged moments against unpaged ones.

using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training.Tests;

public sealed class OptimizerStateTests : TrainingTest
{
    private static readonly TrainingOptions Options = new() { AdamBeta1 = 0.9, AdamBeta2 = 0.999, AdamEpsilon = 1e-8, WeightDecay = 0.01 };

    [Test]
    public void Codes_AreTheNearest()
    {
        using var file = SafetensorsFile.Open(Fixtures.Golden("nf4", "blockwise8.safetensors"));
        foreach (var (name, signed) in new[] { ("signed", true), ("unsigned", false), ("bf16", true) })
        {
            Assert.That(Blockwise8.Map(signed), Is.EqualTo(file.Tensor(signed ? "signed_map" : "unsigned_map").data<float>().ToArray()), name);
            var x = file.Tensor(name + ".x").to(torch.float32);
            using var vector = new Blockwise8(x.numel(), signed, torch.CPU);
            vector.Encode(x);
            Assert.That(vector.Absmax.equal(file.Tensor(name + ".absmax")), Is.True, name);
            var (ours, nearest, values) = (vector.Codes.data<byte>().ToArray(), file.Tensor(name + ".nearest").data<byte>().ToArray(), x.data<float>().ToArray());
            for (var k = 0; k < ours.Length; k++)
            {
                if (file.Tensor(name + ".absmax").data<float>()[k / 256] == 0) continue; // whatever the code, the value is 0
                var guarded = !signed && nearest[k] == 0 && values[k] > 0; // the least positive entry in place of 0
                Assert.That(ours[k], Is.EqualTo(guarded ? 1 : nearest[k]), $"{name}[{k}]");
            }
        }
    }

    [Test]
    public void AdamW8Bit_FollowsTheRecursionWithExactCodes()
    {
        using var file = SafetensorsFile.Open(Fixtures.Golden("nf4", "optim.safetensors"));
        using var parameters = new FlatParameters([("big", file.Tensor("adamw8bit.p0.big"), true), ("small", file.Tensor("adamw8bit.p0.small"), true)]);
        using var optimizer = new AdamW8Bit(parameters, Options);
        for (var step = 1; step <= 10; step++)
        {
            foreach (var (name, tensor) in parameters.Members) tensor.grad!.copy_(file.Tensor("adamw8bit.grads." + name).select(0, step - 1).to(torch.float32));
            optimizer.Step(0.01);
            if (step is not (1 or 2 or 10)) continue;
            var prefix = $"adamw8bit_nearest.step{step}.";
            // A value next to a midpoint may get the neighbouring code, which moves that one parameter by a part of the rate.
            var off = (parameters.Members[0].Tensor.detach() - file.Tensor(prefix + "big")).abs();
            Assert.That(off.gt(1e-4).count_nonzero().item<long>(), Is.LessThanOrEqualTo(10), $"step {step}: parameters apart, of 4100");
            Assert.That(off.max().item<float>(), Is.LessThanOrEqualTo(0.01), $"step {step}");
            Assert.That(Worst(parameters.Members[1].Tensor, file.Tensor($"adamw8bit.step{step}.small")), Is.LessThanOrEqualTo(1e-6), $"step {step}");
            foreach (var (ours, theirs) in new[] { ("exp_avg.big", "state1"), ("exp_avg_sq.big", "state2") })
            {
                var apart = (optimizer.State.Single(s => s.Name == ours).Tensor.to(torch.int32) - file.Tensor(prefix + theirs).view(-1).to(torch.int32)).abs();
                Assert.That(apart.count_nonzero().item<long>(), Is.LessThanOrEqualTo(10), theirs); // of 4100, after ten steps
            }
        }
    }

    // In one block a gradient 10^5 times smaller than another's: its second moment, 10^-10 of the block's largest, must not become 0.
    [Test]
    public void AdamW8Bit_TakesNoHugeStepWhereASecondMomentIsSmall()
    {
        using var parameters = new FlatParameters([("w", torch.zeros([8192]), true)]);
        using var optimizer = new AdamW8Bit(parameters, Options with { WeightDecay = 0 });
        for (var step = 0; step < 5; step++)
        {
            parameters.Gradients.fill_(1e-5);
            parameters.Gradients.narrow(0, 0, 1).fill_(1.0);
            optimizer.Step(0.01);
        }
        Assert.That(parameters.Values.abs().max().item<float>(), Is.LessThanOrEqualTo(5 * 0.01 * 1.5));
    }

    // A device that has no room for the moments: they stay in host memory and visit it in buckets.
    [TestCase(1000)]
    [TestCase(4096)]
    [TestCase(1 << 20)]
    public void PagedAdamW_GivesThePlainOnesBits(int bucket)
    {
        (FlatParameters, PagedAdamW) Make(long free)
        {
            var made = new FlatParameters([("a", new CounterStream(1, "a", "").Normal([70, 130]), true), ("b", new CounterStream(1, "b", "").Normal([333]), false)]);
            return (made, new PagedAdamW(made, Options, free, bucket));
        }
        var ((p, a), (q, b)) = (Make(long.MaxValue), Make(1000));
        Assert.That((a.IsPaged, b.IsPaged), Is.EqualTo((false, true)));
        for (var step = 0; step < 6; step++)
        {
            var gradient = new CounterStream(2, "g", $"{step}").Normal([p.Count]);
            p.Gradients.copy_(gradient);
            q.Gradients.copy_(gradient);
            a.Step(0.01);
            b.Step(0.01);
        }
        Assert.That(q.Values.equal(p.Values), Is.True, "values");
        for (var k = 0; k < 2; k++) Assert.That(b.State[k].Tensor.equal(a.State[k].Tensor), Is.True, a.State[k].Name);
        foreach (var made in new IDisposable[] { a, b, p, q }) made.Dispose();
    }

    // Whatever holds the moments, a checkpoint holds them, and goes on with the same bits, in place or paged.
    [TestCase("adamw")]
    [TestCase("paged_adamw")]
    [TestCase("adamw_8bit")]
    [TestCase("paged_adamw_8bit")]
    public void Checkpoint_GoesOnWithTheSameBits(string name)
    {
        var options = Options with { Optimizer = name };
        using var whole = Parameters();
        using var straight = FlatOptimizer.Of(whole, options);
        for (var step = 0; step < 6; step++) Step(whole, straight, step);
        using var first = Parameters();
        using var before = FlatOptimizer.Of(first, options);
        for (var step = 0; step < 3; step++) Step(first, before, step);
        using var second = new FlatParameters(first.Members.Select(m => (m.Name, m.Tensor.detach(), true)));
        using var after = name == "paged_adamw" ? new PagedAdamW(second, options, free: 0, bucket: 2048) : FlatOptimizer.Of(second, options);
        foreach (var ((known, to), (same, from)) in after.State.Zip(before.State))
        {
            Assert.That(known, Is.EqualTo(same));
            to.copy_(from);
        }
        after.Steps = 3;
        for (var step = 3; step < 6; step++) Step(second, after, step);
        Assert.That(second.Values.equal(whole.Values), Is.True);

        static FlatParameters Parameters() => new([("a", new CounterStream(5, "a", "").Normal([80, 100]), true), ("b", new CounterStream(5, "b", "").Normal([50]), true)]);

        static void Step(FlatParameters parameters, FlatOptimizer optimizer, int step)
        {
            parameters.Gradients.copy_(new CounterStream(6, "g", $"{step}").Normal([parameters.Count]));
            optimizer.Step(0.01);
        }
    }

    private static double Worst(Tensor actual, Tensor expected) => (actual.detach().view(-1) - expected.view(-1)).abs().max().item<double>();
}
