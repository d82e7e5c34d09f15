// Dispose scopes: TorchSharp's semantics, one test for each.

namespace PeftAlign.Torch.Tests;

public sealed class DisposeScopeTests
{
    [Test]
    public void The_end_of_a_scope_disposes_what_was_made_in_it()
    {
        var total = Settled.Tensors();
        Tensor a, b;
        using (var scope = torch.NewDisposeScope())
        {
            a = torch.ones(2);
            b = a + 1;
            Assert.That((scope.DisposablesCount, Tensor.TotalCount), Is.EqualTo((2, total + 2)));
        }
        Assert.That((a.IsInvalid, b.IsInvalid, Tensor.TotalCount), Is.EqualTo((true, true, total)));
    }

    [Test]
    public void A_tensor_moves_to_the_outer_scope()
    {
        using var outer = torch.NewDisposeScope();
        Tensor a;
        using (torch.NewDisposeScope()) a = torch.ones(2).MoveToOuterDisposeScope();
        Assert.That((a.IsInvalid, outer.DisposablesCount), Is.EqualTo((false, 1)));
        outer.Dispose();
        Assert.That(a.IsInvalid, Is.True);
    }

    [Test]
    public void Without_an_outer_scope_moving_detaches()
    {
        Tensor a;
        using (torch.NewDisposeScope()) a = torch.ones(2).MoveToOuterDisposeScope();
        Assert.That(a.IsInvalid, Is.False);
        a.Dispose();
    }

    [Test]
    public void A_detached_tensor_belongs_to_nobody()
    {
        Tensor a;
        using (var scope = torch.NewDisposeScope())
        {
            a = scope.Detach(torch.ones(2));
            Assert.That(scope.DisposablesCount, Is.Zero);
        }
        Assert.That(a.IsInvalid, Is.False);
        a.Dispose();
    }

    [Test]
    public void An_attached_tensor_belongs_to_the_scope()
    {
        var a = torch.ones(2);
        using (var scope = torch.NewDisposeScope())
        {
            scope.Attach(a);
            scope.Attach(a);
            Assert.That(scope.DisposablesCount, Is.EqualTo(1));
        }
        Assert.That(a.IsInvalid, Is.True);
    }

    [Test]
    public void A_tensor_moves_to_another_scope()
    {
        using var first = torch.NewDisposeScope();
        var second = torch.NewDisposeScope();
        var a = torch.ones(2);
        second.MoveToOther(first, a);
        second.Dispose();
        Assert.That((a.IsInvalid, first.DisposablesCount), Is.EqualTo((false, 1)));
    }

    [Test]
    public void Scopes_may_close_out_of_order()
    {
        var outer = torch.NewDisposeScope();
        var a = torch.ones(2);
        var inner = torch.NewDisposeScope();
        var b = torch.ones(2);
        outer.Dispose();
        Assert.That((a.IsInvalid, b.IsInvalid), Is.EqualTo((true, false)));
        var c = torch.ones(2);
        Assert.That(inner.DisposablesCount, Is.EqualTo(2), "the inner scope is still the innermost");
        c.MoveToOuterDisposeScope();
        inner.Dispose();
        inner.Dispose();
        Assert.That((b.IsInvalid, c.IsInvalid), Is.EqualTo((true, false)), "the outer scope is closed, so the move detached");
        c.Dispose();
        using var after = torch.ones(2);
        Assert.That(after.IsInvalid, Is.False);
    }

    [Test]
    public void A_closed_scope_takes_nothing_over()
    {
        var closed = torch.NewDisposeScope();
        closed.Dispose();
        using var a = torch.ones(2);
        Assert.That(() => closed.Attach(a), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(a.IsInvalid, Is.False);
    }

    [Test]
    public void Everything_but_some_is_disposed_and_the_scope_stays_open()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b, c) = (torch.ones(1), torch.ones(1), torch.ones(1));
        scope.DisposeEverythingBut(b);
        Assert.That((a.IsInvalid, b.IsInvalid, c.IsInvalid, scope.DisposablesCount), Is.EqualTo((true, false, true, 1)));
        _ = torch.ones(1);
        Assert.That(scope.DisposablesCount, Is.EqualTo(2));
        scope.DisposeEverything();
        Assert.That((b.IsInvalid, scope.DisposablesCount), Is.EqualTo((true, 0)));
    }

    [Test]
    public void Every_thread_has_its_own_scopes()
    {
        using var scope = torch.NewDisposeScope();
        Tensor? there = null, inside = null;
        var thread = new Thread(() =>
        {
            there = torch.ones(1);
            using (torch.NewDisposeScope()) inside = torch.ones(1);
        });
        thread.Start();
        thread.Join();
        Assert.That((scope.DisposablesCount, there!.IsInvalid, inside!.IsInvalid), Is.EqualTo((0, false, true)));
        there.Dispose();
    }

    [Test]
    public void The_gradient_is_a_new_object_each_time()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2], requires_grad: true);
        x.sum().backward();
        var (first, second) = (x.grad!, x.grad!);
        Assert.That(ReferenceEquals(first, second), Is.False);
        first.Dispose();
        Assert.That(second.sum().item<float>(), Is.EqualTo(2));
    }

    [Test]
    public void The_graph_keeps_what_it_needs_after_the_wrappers_are_gone()
    {
        using var outer = torch.NewDisposeScope();
        var x = torch.full([2], 3.0, requires_grad: true);
        Tensor y;
        using (torch.NewDisposeScope()) y = (x * x).exp().sum().MoveToOuterDisposeScope();
        y.backward();
        Assert.That(x.grad![0].item<float>(), Is.EqualTo(6 * Math.Exp(9)).Within(0.1));
    }

    [Test]
    public void Only_what_the_scope_owns_leaves_a_wrapped_body()
    {
        using var outer = torch.NewDisposeScope();
        var mine = torch.ones(2);
        Assert.That(torch.WrappedTensorDisposeScope(() => mine), Is.SameAs(mine));
        var made = torch.WrappedTensorDisposeScope(() => torch.ones(2) + 1);
        Assert.That((mine.IsInvalid, made.IsInvalid, outer.DisposablesCount), Is.EqualTo((false, false, 2)));
    }

    [Test]
    public void A_long_lived_scope_does_not_grow_with_what_was_disposed_in_it()
    {
        using var scope = torch.NewDisposeScope();
        var kept = torch.ones(1);
        for (var k = 0; k < 10_000; k++) torch.ones(1).Dispose();
        Assert.That(scope.DisposablesCount, Is.EqualTo(1));
        scope.Dispose();
        Assert.That(kept.IsInvalid, Is.True);
    }
}
