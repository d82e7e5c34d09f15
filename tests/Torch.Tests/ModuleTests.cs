// nn.Module: registration, names, state, modes, conversion, hooks.

using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch.Tests;

public sealed class ModuleTests
{
    private sealed class Block : torch.nn.Module<Tensor, Tensor>
    {
        private readonly Linear first = torch.nn.Linear(3, 4);
        private readonly Parameter scale = torch.nn.Parameter(torch.ones(4));
        private readonly Tensor offset = torch.zeros(4);

        [ComponentName(Name = "out_proj")]
        private readonly Linear last = torch.nn.Linear(4, 2, hasBias: false);

        internal Block() : base(nameof(Block))
        {
            RegisterComponents();
            register_buffer("cache", torch.ones(1), persistent: false);
        }

        public override Tensor forward(Tensor input) => last.call(first.call(input) * scale + offset);
    }

    [Test]
    public void Components_are_registered_under_the_names_of_their_fields()
    {
        using var scope = torch.NewDisposeScope();
        var block = new Block();
        Assert.That(block.named_parameters().Select(p => p.name), Is.EqualTo(new[] { "scale", "first.weight", "first.bias", "out_proj.weight" }));
        Assert.That(block.named_buffers().Select(b => b.name), Is.EqualTo(new[] { "offset", "cache" }));
        Assert.That(block.named_children().Select(c => c.name), Is.EqualTo(new[] { "first", "out_proj" }));
        Assert.That(block.named_modules().Select(m => m.name), Is.EqualTo(new[] { "", "first", "out_proj" }));
        Assert.That(block.state_dict().Keys, Is.EqualTo(new[] { "scale", "offset", "first.weight", "first.bias", "out_proj.weight" }));
        Assert.That(block.state_dict(prefix: "model").Keys.First(), Is.EqualTo("model.scale"));
        Assert.That(block.parameters(recurse: false).Count(), Is.EqualTo(1));
    }

    [Test]
    public void A_shared_parameter_comes_once_and_stands_in_the_state_under_each_name()
    {
        using var scope = torch.NewDisposeScope();
        var (embedding, head) = (torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5, hasBias: false));
        var tied = new ModuleList<torch.nn.Module>(embedding, head, embedding);
        Assert.That(tied.parameters().Count(), Is.EqualTo(2));
        Assert.That(tied.state_dict().Keys, Is.EqualTo(new[] { "0.weight", "1.weight", "2.weight" }));
    }

    [Test]
    public void State_is_copied_and_mistakes_copy_nothing()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (new Block(), new Block());
        b.load_state_dict(a.state_dict());
        foreach (var (key, tensor) in b.state_dict()) Assert.That(tensor.equal(a.state_dict()[key]), Is.True, key);
        Assert.That(ReferenceEquals(b.state_dict()["scale"], a.state_dict()["scale"]), Is.False);

        var wrong = a.state_dict();
        wrong["scale"] = torch.full([4], 9.0);
        wrong["first.bias"] = torch.ones(7);
        Assert.That(() => b.load_state_dict(wrong), Throws.ArgumentException.With.Message.Contains("first.bias").And.Message.Contains("[7]"));
        wrong.Remove("first.bias");
        wrong["more"] = torch.ones(1);
        Assert.That(() => b.load_state_dict(wrong), Throws.ArgumentException.With.Message.Contains("missing [first.bias]").And.Message.Contains("unexpected [more]"));
        Assert.That(b.state_dict()["scale"].equal(torch.ones(4)), Is.True);
        var (missing, unexpected) = b.load_state_dict(wrong, strict: false);
        Assert.That((missing.Single(), unexpected.Single()), Is.EqualTo(("first.bias", "more")));
        Assert.That(b.state_dict()["scale"].equal(torch.full([4], 9.0)), Is.True);
    }

    [Test]
    public void Train_and_eval_reach_every_module()
    {
        using var scope = torch.NewDisposeScope();
        var dropout = torch.nn.Dropout(1);
        var chain = torch.nn.Sequential(("keep", torch.nn.Identity()), ("drop", dropout));
        var x = torch.ones(5);
        Assert.That(chain.call(x).sum().item<float>(), Is.Zero);
        chain.eval();
        Assert.That(dropout.training, Is.False);
        Assert.That(chain.call(x).sum().item<float>(), Is.EqualTo(5));
        chain.train();
        Assert.That(chain.modules().All(m => m.training), Is.True);
    }

    [Test]
    public void Conversion_keeps_the_objects_and_their_gradients()
    {
        using var scope = torch.NewDisposeScope();
        var linear = torch.nn.Linear(3, 2);
        linear.call(torch.ones(1, 3)).sum().backward();
        var (weight, before) = (linear.weight, linear.weight.detach().clone());
        linear.to(torch.float64);
        Assert.That(linear.weight, Is.SameAs(weight));
        Assert.That((weight.dtype, weight.requires_grad, weight.is_leaf, weight.grad!.dtype), Is.EqualTo((torch.float64, true, true, torch.float64)));
        Near.AssertNear(weight, before, 0);
        Assert.That(linear.call(torch.ones([1, 3], torch.float64)).dtype, Is.EqualTo(torch.float64));
        linear.Dispose();
        Assert.That(weight.IsInvalid, Is.True);
    }

    [Test]
    public void Conversion_takes_parameters_out_of_the_dispose_scope()
    {
        Linear linear;
        using (torch.NewDisposeScope()) linear = torch.nn.Linear(3, 2).to(torch.float64);
        Assert.That(linear.weight.IsInvalid, Is.False);
        linear.Dispose();
    }

    [Test]
    public void A_parameter_takes_over_its_data_and_its_place_in_the_scope()
    {
        Parameter inside, outside;
        Tensor data;
        using (torch.NewDisposeScope())
        {
            data = torch.ones(3);
            var total = Settled.Tensors();
            inside = new Parameter(data);
            Assert.That(Tensor.TotalCount, Is.EqualTo(total));
            outside = new Parameter(torch.ones(3).DetachFromDisposeScope(), requires_grad: false);
            Assert.That((data.IsInvalid, inside.requires_grad, outside.requires_grad), Is.EqualTo((true, true, false)));
        }
        Assert.That((inside.IsInvalid, outside.IsInvalid), Is.EqualTo((true, false)));
        outside.Dispose();
        Assert.That(() => new Parameter(data), Throws.InstanceOf<DisposedTensorException>());
    }

    [Test]
    public void Gradients_are_dropped_or_zeroed()
    {
        using var scope = torch.NewDisposeScope();
        var linear = torch.nn.Linear(3, 2);
        linear.call(torch.ones(1, 3)).sum().backward();
        linear.zero_grad(set_to_none: false);
        Assert.That(linear.weight.grad!.abs().sum().item<float>(), Is.Zero);
        linear.zero_grad();
        Assert.That(linear.weight.grad, Is.Null);
        linear.requires_grad_(false);
        Assert.That(linear.call(torch.ones(1, 3)).requires_grad, Is.False);
    }

    [Test]
    public void Hooks_run_around_forward_and_can_be_removed()
    {
        using var scope = torch.NewDisposeScope();
        var identity = torch.nn.Identity();
        var pre = identity.register_forward_pre_hook((_, x) => x + 1);
        var post = identity.register_forward_hook((_, x, y) => y * x);
        Assert.That(identity.call(torch.tensor(2.0)).item<float>(), Is.EqualTo(9));
        Assert.That(identity.forward(torch.tensor(2.0)).item<float>(), Is.EqualTo(2));
        pre.remove();
        pre.remove();
        Assert.That(identity.call(torch.tensor(2.0)).item<float>(), Is.EqualTo(4));
        post.remove();
        Assert.That(identity.call(torch.tensor(2.0)).item<float>(), Is.EqualTo(2));
    }

    [Test]
    public void Containers_name_and_order_their_modules()
    {
        using var scope = torch.NewDisposeScope();
        var list = torch.nn.ModuleList(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4));
        list.Add(torch.nn.Linear(4, 5));
        Assert.That(list.named_children().Select(c => c.name), Is.EqualTo(new[] { "0", "1", "2" }));
        Assert.That((list.Count, list[2].out_features, list.Sum(l => l.in_features)), Is.EqualTo((3, 5L, 9L)));
        var dict = torch.nn.ModuleDict(("up", torch.nn.Linear(2, 3)), ("down", torch.nn.Linear(3, 2)));
        Assert.That(dict.Keys, Is.EqualTo(new[] { "up", "down" }));
        Assert.That(dict["down"].out_features, Is.EqualTo(2));
        Assert.That(() => dict["left"], Throws.InstanceOf<KeyNotFoundException>().With.Message.Contains("up, down"));
        var seen = new List<string>();
        dict.apply(m => seen.Add(m.GetName()));
        Assert.That(seen, Is.EqualTo(new[] { "Linear", "Linear", "ModuleDict" }));
    }

    [Test]
    public void Sequential_disposes_what_lies_between_its_modules()
    {
        using var scope = torch.NewDisposeScope();
        var chain = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3), torch.nn.Identity());
        var x = torch.ones(1, 3);
        using var off = torch.no_grad();
        var total = Settled.Tensors();
        var y = chain.call(x);
        Assert.That(Tensor.TotalCount, Is.EqualTo(total + 1));
        Assert.That(y.IsInvalid, Is.False);
        Assert.That(torch.nn.Sequential(Array.Empty<torch.nn.Module<Tensor, Tensor>>()).call(x).equal(x), Is.True);
    }

    [Test]
    public void Names_that_cannot_work_are_refused()
    {
        using var scope = torch.NewDisposeScope();
        var list = new ModuleList<torch.nn.Module>();
        Assert.That(() => list.register_buffer("a.b", torch.ones(1)), Throws.ArgumentException.With.Message.Contains("a.b"));
        list.register_buffer("a", torch.ones(1));
        Assert.That(() => list.register_buffer("a", torch.ones(1)), Throws.ArgumentException.With.Message.Contains("already"));
        Assert.That(() => list.register_module("self", list), Throws.ArgumentException);
    }
}
