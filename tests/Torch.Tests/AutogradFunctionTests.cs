// Functions whose forward and backward are managed code: derivatives, exceptions, lifetime, saved tensors.

using System.Runtime.CompilerServices;

namespace PeftAlign.Torch.Tests;

public sealed class AutogradFunctionTests
{
    private sealed class Cube : torch.autograd.SingleTensorFunction<Cube>
    {
        public override string Name => "Cube";

        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_for_backward([(Tensor)vars[0]]);
            return ((Tensor)vars[0]).pow(3);
        }

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
        {
            var x = ctx.get_saved_variables()[0];
            return [grad_output * x * x * 3];
        }
    }

    /// <summary>(a b + k, k b) with an integer result in between, an output saved, and a value kept.</summary>
    private sealed class Mixed : torch.autograd.MultiTensorFunction<Mixed>
    {
        public override string Name => "Mixed";

        public override List<Tensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            var (a, b, k) = ((Tensor)vars[0], (Tensor)vars[1], (double)vars[2]);
            var product = a * b + k;
            ctx.save_for_backward([a, b, product]);
            ctx.save_data("k", k);
            return [product, a.argmax(), b * k];
        }

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, List<Tensor> grad_outputs)
        {
            var saved = ctx.get_saved_variables();
            var k = (double)ctx.get_data("k")!;
            Assert.That(saved[2].grad_fn_name, Is.EqualTo("Mixed"), "a saved output is part of the graph");
            var direct = (saved[2] - k) / saved[1]; // a again, through the output
            return [grad_outputs[0] * saved[1], grad_outputs[0] * direct + grad_outputs[2] * k];
        }
    }

    private sealed class Failing : torch.autograd.SingleTensorFunction<Failing>
    {
        internal static readonly Exception Problem = new InvalidDataException("as it was thrown");

        public override string Name => "Failing";

        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            var x = (Tensor)vars[0];
            ctx.save_for_backward([x]);
            return (bool)vars[1] ? throw Problem : x * 2;
        }

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output) => throw Problem;
    }

    private sealed class Returns : torch.autograd.SingleTensorFunction<Returns>
    {
        public override string Name => "Returns";

        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars) => (Tensor)vars[0];

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output) => ctx.InputCount == 1 ? [grad_output, grad_output] : [grad_output, null];
    }

    [Test]
    public void First_and_second_derivatives_agree_with_finite_differences()
    {
        using var scope = torch.NewDisposeScope();
        Near.AssertGradients(t => Cube.apply(t[0]), Near.Random([4]));
        var x = torch.tensor(new[] { 2.0 }, requires_grad: true);
        var first = torch.autograd.grad([Cube.apply(x)], [x], create_graph: true)[0];
        var second = torch.autograd.grad([first], [x])[0];
        Assert.That((first.item<double>(), second.item<double>()), Is.EqualTo((12.0, 12.0)));
    }

    [Test]
    public void Several_results_and_saved_outputs_have_their_gradients()
    {
        using var scope = torch.NewDisposeScope();
        Near.AssertGradients(t =>
        {
            var results = Mixed.apply(t[0], t[1], 1.5);
            return results[0] * 2 + results[2];
        }, Near.Random([3], "a"), Near.Random([3], "b"));
        var (a, b) = (Near.Random([3], "a").requires_grad_(), Near.Random([3], "b"));
        var made = Mixed.apply(a, b, 1.5);
        Assert.That(made.Select(t => t.requires_grad), Is.EqualTo(new[] { true, false, true }));
        made[0].sum().backward();
        Near.AssertNear(a.grad!, b, 0);
    }

    [Test]
    public void Nothing_is_recorded_where_nobody_asks()
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(Cube.apply(torch.ones(2)).requires_grad, Is.False);
        using var off = torch.no_grad();
        Assert.That(Cube.apply(torch.ones([2], requires_grad: true)).requires_grad, Is.False);
    }

    [Test]
    public void Exceptions_reach_the_caller_unchanged_and_nothing_stays()
    {
        var total = Settled.Tensors();
        using (torch.NewDisposeScope())
        {
            var x = torch.ones([2], requires_grad: true);
            Assert.That(Assert.Catch(() => Failing.apply(x, true)), Is.SameAs(Failing.Problem));
            var y = Failing.apply(x, false).sum();
            Assert.That(Assert.Catch(() => y.backward()), Is.SameAs(Failing.Problem));
            Assert.That(Failing.Problem.StackTrace, Does.Contain(nameof(Failing.backward)));
            Assert.That(torch.is_grad_enabled(), Is.True);
        }
        Assert.That(Tensor.TotalCount, Is.EqualTo(total));
    }

    [Test]
    public void A_context_is_freed_with_its_graph()
    {
        var (context, alive) = ApplyOnce();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        Assert.That((context.IsAlive, alive), Is.EqualTo((false, true)));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (WeakReference Context, bool AliveBefore) ApplyOnce()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2], requires_grad: true);
        var y = Keeping.apply(x);
        y.sum().backward();
        var reference = new WeakReference(Keeping.Last);
        Keeping.Last = null;
        return (reference, reference.IsAlive);
    }

    private sealed class Keeping : torch.autograd.SingleTensorFunction<Keeping>
    {
        internal static torch.autograd.AutogradContext? Last;

        public override string Name => "Keeping";

        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            Last = ctx;
            ctx.save_for_backward([(Tensor)vars[0]]);
            return (Tensor)vars[0] * 1;
        }

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output) => [grad_output];
    }

    [Test]
    public void A_context_that_outlives_its_graph_says_so()
    {
        torch.autograd.AutogradContext context;
        using (torch.NewDisposeScope())
        {
            Keeping.apply(torch.ones([2], requires_grad: true)).sum().backward();
            context = Keeping.Last!;
        }
        Assert.That(() => context.get_saved_variables(), Throws.InvalidOperationException.With.Message.Contains("freed"));
        Keeping.Last = null;
    }

    [Test]
    public void A_saved_tensor_that_was_changed_in_place_is_found_out()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2], requires_grad: true);
        var middle = x * 1;
        var y = Cube.apply(middle).sum();
        middle.add_(1);
        Assert.That(() => y.backward(), Throws.InstanceOf<TorchException>().With.Message.Contains("modified by an inplace operation"));
    }

    [Test]
    public void A_second_backward_needs_the_graph_to_be_kept()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2], requires_grad: true);
        var y = Cube.apply(x).sum();
        y.backward(retain_graph: true);
        y.backward();
        Assert.That(x.grad![0].item<float>(), Is.EqualTo(6));
        Assert.That(() => y.backward(), Throws.InstanceOf<TorchException>());
        var z = Cube.apply(x);
        z.backward(torch.ones(2));
        Assert.That(() => z.backward(torch.ones(2)), Throws.InstanceOf<TorchException>().With.Message.Contains("retain_graph"));
    }

    [Test]
    public void Returning_an_input_leaves_the_input_as_it_was()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (torch.ones(2), torch.ones([2], requires_grad: true));
        var y = Returns.apply(x, w);
        Assert.That((x.IsInvalid, x.requires_grad, y.requires_grad, ReferenceEquals(x, y)), Is.EqualTo((false, false, true, false)));
        var z = Returns.apply(w, x);
        Assert.That((w.IsInvalid, w.is_leaf), Is.EqualTo((false, true)));
        z.sum().backward();
        Assert.That(w.grad!.sum().item<float>(), Is.EqualTo(2));
    }

    private sealed class Dropping : torch.autograd.SingleTensorFunction<Dropping>
    {
        public override string Name => "Dropping";

        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            using var scope = torch.NewDisposeScope();
            if ((bool)vars[1]) ctx.save_for_backward([(Tensor)vars[0], (Tensor)vars[0] * 1]);
            return ((Tensor)vars[0] * 2).MoveToOuterDisposeScope();
        }

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
        {
            using var scope = torch.NewDisposeScope();
            return [grad_output * 2];
        }
    }

    [Test]
    public void What_a_function_disposed_too_early_is_named()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2], requires_grad: true);
        Assert.That(() => Dropping.apply(x, true), Throws.InstanceOf<DisposedTensorException>().With.Message.Contains("save_for_backward: argument 1").And.Message.Contains("MoveToOuterDisposeScope"));
        var y = Dropping.apply(x, false).sum();
        Assert.That(() => y.backward(), Throws.InstanceOf<DisposedTensorException>().With.Message.Contains("Dropping.backward: argument 0"));
    }

    [Test]
    public void The_wrong_number_of_gradients_is_named()
    {
        using var scope = torch.NewDisposeScope();
        var y = Returns.apply(torch.ones([2], requires_grad: true)).sum();
        Assert.That(() => y.backward(), Throws.InstanceOf<TorchException>().With.Message.Contains("2 gradients for 1"));
    }

    [Test]
    public void Backward_runs_in_several_threads_at_once()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.full([1000], 2.0, requires_grad: true);
        var y = Cube.apply(x).sum();
        var problems = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        var threads = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            try
            {
                using var own = torch.NewDisposeScope();
                for (var k = 0; k < 50; k++)
                {
                    var shared = torch.autograd.grad([y], [x], retain_graph: true)[0];
                    var leaf = torch.full([10], 3.0, requires_grad: true);
                    Cube.apply(leaf).sum().backward();
                    if (shared[999].item<float>() != 12 || leaf.grad![9].item<float>() != 27) throw new InvalidOperationException("wrong gradient");
                }
            }
            catch (Exception e)
            {
                problems.Enqueue(e);
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Assert.That(problems, Is.Empty);
    }
}
