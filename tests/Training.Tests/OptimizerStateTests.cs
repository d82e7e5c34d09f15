// Moments in 8 bits against bitsandbytes' recursion with exact codes (golden/nf4/optim), and paged moments against unpaged ones.

using PeftAlign.Abstractions;
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
            using var code = new Blockwise8(signed, torch.CPU);
            var (codes, absmax) = (torch.empty([x.numel()], torch.uint8), torch.empty([Blockwise8.Factors(x.numel())]));
            code.Encode(x, codes, absmax);
            Assert.That(absmax.equal(file.Tensor(name + ".absmax")), Is.True, name);
            var (ours, nearest, values) = (codes.data<byte>().ToArray(), file.Tensor(name + ".nearest").data<byte>().ToArray(), x.data<float>().ToArray());
            for (var k = 0; k < ours.Length; k++)
            {
                if (file.Tensor(name + ".absmax").data<float>()[k / 256] == 0) continue; // whatever the code, the value is 0
                var guarded = !signed && nearest[k] == 0 && values[k] > 0; // the least positive entry in place of 0
                Assert.That(ours[k], Is.EqualTo(guarded ? 1 : nearest[k]), $"{name}[{k}]");
            }
        }
    }

    // Bucket by bucket the same bits as all at once.
    [Test]
    public void RmsProp_IsTheRuleOverAll()
    {
        using var scope = torch.NewDisposeScope();
        Tensor Random(string name) => new CounterStream(5, name).Normal([(2 * new Paging().Bucket) + 1237], 0, 1);
        var (values, square) = (Random("values"), torch.zeros([(2 * new Paging().Bucket) + 1237]));
        using var parameters = new FlatParameters([("w", values, true)]);
        using var optimizer = FlatOptimizer.Of(parameters, new TrainingOptions { Optimizer = "rmsprop", WeightDecay = 0.01 });
        for (var step = 0; step < 2; step++)
        {
            parameters.Gradients.copy_(Random($"gradient {step}"));
            UpdateRules.RmsProp(values, Random($"gradient {step}").add_(values, 0.01), square, 0.01);
            optimizer.Step(0.01);
        }
        Assert.That(parameters.Values.equal(values) && optimizer.State.Single().Tensor.equal(square), Is.True);
    }

    [Test]
    public void AdamW8Bit_FollowsTheRecursionWithExactCodes()
    {
        using var file = SafetensorsFile.Open(Fixtures.Golden("nf4", "optim.safetensors"));
        using var parameters = new FlatParameters([("big", file.Tensor("adamw8bit.p0.big"), true), ("small", file.Tensor("adamw8bit.p0.small"), true)]);
        using var optimizer = new AdamW8Bit(parameters, Options, null);
        for (var step = 1; step <= 10; step++)
        {
            foreach (var (name, tensor) in parameters.Members) tensor.grad!.copy_(file.Tensor("adamw8bit.grads." + name).select(0, step - 1).to(torch.float32));
            optimizer.Step(0.01);
            if (step is not (1 or 2 or 10)) continue;
            var prefix = $"adamw8bit_nearest.step{step}.";
            Assert.That(Worst(parameters.Members[0].Tensor, file.Tensor(prefix + "big")), Is.LessThanOrEqualTo(1e-4), $"step {step}");
            Assert.That(Worst(parameters.Members[1].Tensor, file.Tensor($"adamw8bit.step{step}.small")), Is.LessThanOrEqualTo(1e-6), $"step {step}");
            foreach (var (ours, theirs) in new[] { ("exp_avg.big", "state1"), ("exp_avg_sq.big", "state2") })
            {
                var (codes, golden) = (optimizer.State.Single(s => s.Name == ours).Tensor, file.Tensor(prefix + theirs).view(-1));
                // A second moment that is not zero never becomes zero: there, and nowhere else, the code is another one.
                var expected = theirs == "state2" ? golden.maximum(codes.eq(1).to(torch.uint8)) : golden;
                Assert.That(codes.equal(expected), Is.True, $"step {step}: {theirs}");
                // Two places of float32 in ten steps: the moments follow by a lerp here, as torch.optim's do, by a product and a sum there.
                var (factors, known) = (optimizer.State.Single(s => s.Name == ours + ".absmax").Tensor, file.Tensor(prefix + theirs.Replace("state", "absmax", StringComparison.Ordinal)));
                Assert.That(Worst(factors, known), Is.LessThanOrEqualTo(2.4e-7 * known.max().item<float>()), theirs);
            }
        }
    }

    // bitsandbytes' min_8bit_size: tensors of fewer values keep float32.
    [TestCase(4096, true)]
    [TestCase(4095, false)]
    public void AdamW8Bit_TakesTensorsOf4096Values(int count, bool isNarrow)
    {
        using var parameters = new FlatParameters([("w", torch.zeros([count]), true)]);
        using var optimizer = new AdamW8Bit(parameters, Options, null);
        Assert.That(optimizer.State.Any(s => s.Name == "exp_avg.w.absmax"), Is.EqualTo(isNarrow));
        Assert.That(optimizer.State.Single(s => s.Name == "exp_avg.w").Tensor.dtype, Is.EqualTo(isNarrow ? torch.uint8 : torch.float32));
    }

    // transformers' Trainer has bitsandbytes keep the moments of nn.Embedding in float32: its steps are AdamW's, the other tensors' are not.
    [Test]
    public void AdamW8Bit_KeepsAnEmbeddingsMomentsInFull()
    {
        FlatParameters Made() => new([("embedding", torch.zeros([64, 128]), true), ("matrix", torch.zeros([64, 128]), true)]) { Embeddings = new HashSet<string> { "embedding" } };
        using var eight = Made();
        using var full = Made();
        using var narrow = new AdamW8Bit(eight, Options, null);
        using var wide = new AdamW(full, Options, null);
        for (var step = 0; step < 3; step++)
        {
            var gradient = new CounterStream(3, "g", $"{step}").Normal([eight.Count]);
            eight.Gradients.copy_(gradient);
            full.Gradients.copy_(gradient);
            narrow.Step(0.01);
            wide.Step(0.01);
        }
        Assert.That(eight.Members.Zip(full.Members, (a, b) => (a.Name, Same: a.Tensor.equal(b.Tensor))), Is.EquivalentTo(new[] { ("embedding", true), ("matrix", false) }));
    }

    // The embedding is the model's own or a copy beside an adapter (modules_to_save); the head, of the same size, is none.
    [Test]
    public void AdamW8Bit_FindsTheEmbeddingsOfARun([Values] bool adapter)
    {
        var run = Fixtures.SmallRun(Folder, Options with { Optimizer = "adamw_8bit", MaxSteps = 2, SaveEvery = 1, BatchSize = 4 }, adapter);
        Whole Copy(string module) => new(run.Model.Weights[module + ".weight"].clone(), null);
        if (adapter) run = run with { Adapter = [.. run.Adapter!, .. ((string[])["model.embed_tokens", "lm_head"]).Select(module => new AdapterSite(module, Copy(module)))] };
        Trainer.Train(run);
        using var state = SafetensorsFile.Open(Path.Combine(Folder, "checkpoints", "1", "optimizer.safetensors"));
        torch.ScalarType[] Types(string module) => [.. ((string[])["exp_avg.", "exp_avg_sq."]).Select(moment => state.Tensor($"{moment}{module}.weight").dtype)];
        Assert.That(Types("model.embed_tokens"), Is.All.EqualTo(torch.ScalarType.Float32));
        Assert.That(Types("lm_head"), Is.All.EqualTo(torch.ScalarType.Byte));
    }

    // In one block a gradient 10^5 times smaller than another's: its second moment, 10^-10 of the block's largest, must not become 0.
    [Test]
    public void AdamW8Bit_TakesNoHugeStepWhereASecondMomentIsSmall()
    {
        using var parameters = new FlatParameters([("w", torch.zeros([8192]), true)]);
        using var optimizer = new AdamW8Bit(parameters, Options with { WeightDecay = 0 }, null);
        for (var step = 0; step < 5; step++)
        {
            parameters.Gradients.fill_(1e-5);
            parameters.Gradients.narrow(0, 0, 1).fill_(1.0);
            optimizer.Step(0.01);
        }
        Assert.That(parameters.Values.abs().max().item<float>(), Is.LessThanOrEqualTo(5 * 0.01 * 1.5));
    }

    // A device that has no room for the moments: they stay in host memory and visit it in buckets. The lanes that copy are late by
    // chance, so that an order that nobody asked for would show.
    [TestCase("adamw", 1000)]
    [TestCase("adamw", 4096)]
    [TestCase("adamw", 1 << 20)]
    [TestCase("adamw_8bit", 512)]
    [TestCase("adamw_8bit", 4096)]
    [TestCase("adamw_8bit", 1 << 20)]
    public void Paged_GivesThePlainOnesBits(string name, int bucket)
    {
        var random = new Random(bucket);
        void Late() => Thread.Sleep(random.Next(3));
        var paging = new Paging { Free = 1000, Bucket = bucket, Lanes = (new CallerLane(), new TaskLane(Late), new TaskLane(Late)) };
        var ((p, a, _), (q, b, isPaged)) = (Make(name, paging with { Free = long.MaxValue }), Make(name, paging));
        Assert.That(isPaged, Is.True);
        for (var step = 0; step < 6; step++)
        {
            var gradient = new CounterStream(2, "g", $"{step}").Normal([p.Count]);
            p.Gradients.copy_(gradient);
            q.Gradients.copy_(gradient);
            a.Step(0.01);
            b.Step(0.01);
        }
        Assert.That(q.Values.equal(p.Values), Is.True, "values");
        foreach (var (here, away) in a.State.Zip(b.State)) Assert.That(away.Tensor.equal(here.Tensor), Is.True, here.Name);
        foreach (var made in new IDisposable[] { a, b, p, q }) made.Dispose();
    }

    // The lanes that a device has of its own: on a GPU streams, and moments in pinned memory.
    [Test]
    public void Paged_OnTheDevicesOwnLanes_GivesThePlainOnesBits([Values("adamw", "adamw_8bit")] string name)
    {
        FlatParameters Parameters() => new([("a", new CounterStream(1, "a", "").Normal([70, 130]).to(TestDevice.Here), true), ("b", new CounterStream(1, "b", "").Normal([333]).to(TestDevice.Here), false)]);
        using var plain = Parameters();
        using var away = Parameters();
        using var there = FlatOptimizer.Of(plain, Options with { Optimizer = name });
        using var paged = FlatOptimizer.Of(away, Options with { Optimizer = "paged_" + name }, new Paging { Free = 0, Bucket = 1024 });
        Assert.That(paged is AdamW { IsPaged: true } or AdamW8Bit { IsPaged: true });
        for (var step = 0; step < 4; step++)
        {
            foreach (var (parameters, optimizer) in ((FlatParameters, FlatOptimizer)[])[(plain, there), (away, paged)])
            {
                parameters.Gradients.copy_(new CounterStream(2, "g", $"{step}").Normal([parameters.Count]));
                optimizer.Step(0.01);
            }
        }
        Assert.That(away.Values.equal(plain.Values), "values");
        foreach (var ((known, here), (_, home)) in there.State.Zip(paged.State))
        {
            var isSmall = name == "adamw_8bit" && known.EndsWith(".b", StringComparison.Ordinal); // kept in full, and where it is used
            Assert.That(home.device_type, Is.EqualTo(isSmall ? TestDevice.Here.type : DeviceType.CPU), known);
            Assert.That(home.cpu().equal(here.cpu()), known);
        }
    }

    // Each copy waits for what it needs and for nothing else: the next piece is on its way while one is updated, whichever lane is
    // slow, and every update finds what the step before left.
    [Test]
    public void Pager_FetchesOneAhead_AndNeverTooEarly([Values] bool slowFetch)
    {
        using var home = torch.arange(0, 40, torch.float32);
        var fetches = 0;
        var (fetching, returning) = (new TaskLane(() => Interlocked.Add(ref fetches, Slowly(slowFetch))), new TaskLane(() => Slowly(!slowFetch)));
        using var pager = new MomentPager([.. Enumerable.Range(0, 10).Select(k => new[] { home.narrow(0, 4 * k, 4) })], torch.CPU, (new CallerLane(), fetching, returning));
        for (var step = 1; step <= 3; step++)
        {
            var (seen, first) = (new List<int>(), 10 * (step - 1));
            pager.Each((k, piece) =>
            {
                Assert.That(SpinWait.SpinUntil(() => Volatile.Read(ref fetches) >= first + Math.Min(k + 2, 10), TimeSpan.FromMinutes(1)), Is.True, $"step {step}, piece {k}: the next one is not fetched meanwhile");
                Assert.That(piece[0].data<float>().ToArray(), Is.EqualTo(Enumerable.Range(4 * k, 4).Select(x => x + 100f * (step - 1))), $"step {step}, piece {k}");
                seen.Add(k);
                piece[0].add_(100);
            });
            Assert.That(seen, Is.EqualTo(Enumerable.Range(0, 10)));
        }
        pager.Settle();
        Assert.That(home.data<float>().ToArray(), Is.EqualTo(Enumerable.Range(0, 40).Select(x => x + 300f)));

        static int Slowly(bool slow)
        {
            if (slow) Thread.Sleep(2);
            return 1;
        }
    }

    // What a step holds beside weights, gradients and moments is a piece's, not a copy of the weights.
    [Test]
    public void Pager_KeepsNothingOfThePieceBefore([Values] bool paged)
    {
        using var home = torch.zeros([40]);
        using var pager = new MomentPager([.. Enumerable.Range(0, 10).Select(k => new[] { home.narrow(0, 4 * k, 4) })], torch.CPU, paged ? (new CallerLane(), new CallerLane(), new CallerLane()) : null);
        var made = new List<Tensor>();
        pager.Each((k, piece) =>
        {
            Assert.That(made.Select(tensor => tensor.IsInvalid), Is.All.True, $"piece {k}");
            made.Add(piece[0].sqrt());
            Assert.That(made[^1].IsInvalid, Is.False, $"piece {k}");
        });
        Assert.That(made, Has.Count.EqualTo(10));
        Assert.That(made[^1].IsInvalid, Is.True);
    }

    [TestCase("adamw", false)]
    [TestCase("adamw_8bit", false)]
    [TestCase("paged_adamw", true)]
    [TestCase("paged_adamw_8bit", true)]
    public void Paging_IsForThePagedOnes(string name, bool expected)
    {
        using var parameters = new FlatParameters([("w", torch.zeros([8192]), true)]);
        using var optimizer = FlatOptimizer.Of(parameters, Options with { Optimizer = name }, new Paging { Free = 0 });
        Assert.That(optimizer is AdamW { IsPaged: true } or AdamW8Bit { IsPaged: true }, Is.EqualTo(expected));
    }

    private static (FlatParameters, FlatOptimizer, bool IsPaged) Make(string name, Paging paging)
    {
        var made = new FlatParameters([("a", new CounterStream(1, "a", "").Normal([70, 130]), true), ("b", new CounterStream(1, "b", "").Normal([333]), false), ("c", new CounterStream(1, "c", "").Normal([5000]), true)]) { Embeddings = new HashSet<string> { "c" } };
        if (name == "adamw") return new AdamW(made, Options, paging) is var plain ? (made, plain, plain.IsPaged) : default;
        return new AdamW8Bit(made, Options, paging) is var eight ? (made, eight, eight.IsPaged) : default;
    }

    // Whatever holds the moments, a checkpoint holds them, and goes on with the bits of a run that was never stopped nor paged: from
    // either place to either, with values that the model computes with and with float32 masters of bfloat16 ones.
    [Test]
    public void Checkpoint_GoesOnWithTheSameBits([Values("adamw", "adamw_8bit")] string name, [Values] bool pagedBefore, [Values] bool pagedAfter, [Values] bool narrow)
    {
        var options = Options with { Optimizer = "paged_" + name };
        FlatOptimizer Make(FlatParameters parameters, bool paged) => FlatOptimizer.Of(parameters, options, new Paging { Free = paged ? 0 : long.MaxValue, Bucket = 2048 });
        using var whole = Parameters();
        using var straight = FlatOptimizer.Of(whole, Options with { Optimizer = name });
        for (var step = 0; step < 6; step++) Step(whole, straight, step);
        using var first = Parameters();
        using var before = Make(first, pagedBefore);
        for (var step = 0; step < 3; step++) Step(first, before, step);
        using var second = new FlatParameters(first.Members.Select(m => (m.Name, m.Tensor.detach(), m.Name != "b")), narrow ? torch.bfloat16 : null);
        using var after = Make(second, pagedAfter);
        foreach (var ((known, to), (same, from)) in after.State.Zip(before.State))
        {
            Assert.That(known, Is.EqualTo(same));
            to.copy_(from);
        }
        after.Steps = 3;
        for (var step = 3; step < 6; step++) Step(second, after, step);
        Assert.That((before is AdamW { IsPaged: true } or AdamW8Bit { IsPaged: true }, after is AdamW { IsPaged: true } or AdamW8Bit { IsPaged: true }), Is.EqualTo((pagedBefore, pagedAfter)));
        Assert.That(second.Values.equal(whole.Values), Is.True);
        foreach (var ((_, ours), (_, theirs)) in second.Leaves.Zip(whole.Leaves))
            Assert.That(ours.dtype == (narrow ? torch.bfloat16 : torch.float32) && ours.equal(theirs), Is.True, "what the model computes with");
        foreach (var (ours, theirs) in after.State.Zip(straight.State)) Assert.That(ours.Tensor.equal(theirs.Tensor), Is.True, ours.Name);

        FlatParameters Parameters() =>
            new([("a", new CounterStream(5, "a", "").Normal([80, 100]), true), ("b", new CounterStream(5, "b", "").Normal([50]), false)], narrow ? torch.bfloat16 : null);

        static void Step(FlatParameters parameters, FlatOptimizer optimizer, int step)
        {
            parameters.Gradients.zero_();
            foreach (var (leaf, tensor) in parameters.Leaves) tensor.grad!.copy_(new CounterStream(6, leaf, $"{step}").Normal(tensor.shape));
            parameters.Collect();
            optimizer.Step(0.01);
            parameters.Round();
        }
    }

    private static double Worst(Tensor actual, Tensor expected) => (actual.detach().view(-1) - expected.view(-1)).abs().max().item<double>();
}
