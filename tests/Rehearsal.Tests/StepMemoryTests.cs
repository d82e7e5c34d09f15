// What a device holds while an optimiser steps: beside values, gradients and moments a bucket's worth, however much is trained.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using PeftAlign.Training;

namespace PeftAlign.Tests;

[NonParallelizable]
public sealed class StepMemoryTests
{
    [SetUp]
    public void Require() => TestDevice.RequireRehearsal();

    [TestCase("adamw")]
    [TestCase("rmsprop")]
    [TestCase("sgd")]
    public void A_step_holds_a_buckets_worth(string optimizer)
    {
        using var scope = torch.NewDisposeScope();
        var bucket = new Paging().Bucket;
        using var parameters = new FlatParameters([("w", torch.ones([(3 * bucket) + 5], torch.float32, TestDevice.Here), true)]);
        using var stepping = FlatOptimizer.Of(parameters, new TrainingOptions { Optimizer = optimizer, WeightDecay = 0.1 });
        stepping.Step(0.1);
        Settled.Tensors();
        var before = Rehearsal.Memory(reset: true).Now;
        stepping.Step(0.1);
        var (now, peak) = Rehearsal.Memory();
        Assert.That(now, Is.EqualTo(before));
        Assert.That(peak - before, Is.LessThanOrEqualTo(4 * bucket));
    }
}
