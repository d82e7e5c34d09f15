// Optimisers against PyTorch's trajectories; clipping; schedules; state.

using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch.Tests;

public sealed class OptimizerTests
{
    // Two units in the last place of float32: kernels of different instruction sets may fuse a product with a sum.
    private const double LastPlaces = 2.4e-7;

    private static Dictionary<string, Func<Parameter, torch.optim.Optimizer>> Makers => new()
    {
        ["adamw"] = p => torch.optim.AdamW([p], 1e-2, weight_decay: 0.1),
        ["adamw.amsgrad"] = p => torch.optim.AdamW([p], 1e-2, 0.8, 0.95, 1e-6, amsgrad: true, maximize: true),
        ["sgd"] = p => torch.optim.SGD([p], 1e-2),
        ["sgd.momentum"] = p => torch.optim.SGD([p], 1e-2, 0.9, 0.1, 0.05),
        ["sgd.nesterov"] = p => torch.optim.SGD([p], 1e-2, 0.9, nesterov: true, maximize: true),
    };

    private static IEnumerable<string> Names => Makers.Keys;

    [TestCaseSource(nameof(Names))]
    public void Five_steps_are_PyTorchs(string name)
    {
        using var scope = torch.NewDisposeScope();
        var parameter = torch.nn.Parameter(TrainingFixture.Tensor("start"));
        using var optimizer = Makers[name](parameter);
        for (var k = 0; k < 5; k++) Step(optimizer, parameter, k);
        Near.AssertNear(parameter, TrainingFixture.Tensor(name), LastPlaces);
    }

    [TestCaseSource(nameof(Names))]
    public void A_loaded_state_continues_to_the_bit(string name)
    {
        using var scope = torch.NewDisposeScope();
        var parameter = torch.nn.Parameter(TrainingFixture.Tensor("start"));
        using var whole = Makers[name](parameter);
        for (var k = 0; k < 3; k++) Step(whole, parameter, k);
        var copy = torch.nn.Parameter(parameter.detach().clone());
        using var resumed = Makers[name](copy);
        resumed.ParamGroups.Single().LearningRate = 5;
        resumed.load_state_dict(whole.state_dict());
        for (var k = 3; k < 5; k++)
        {
            Step(whole, parameter, k);
            Step(resumed, copy, k);
        }
        Assert.That(copy.equal(parameter), Is.True);
    }

    [Test]
    public void A_state_that_does_not_fit_changes_nothing()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (torch.nn.Parameter(TrainingFixture.Tensor("start")), torch.nn.Parameter(torch.ones(3)));
        using var first = torch.optim.AdamW([a], 0.5);
        using var second = torch.optim.AdamW([b], 0.25);
        Step(first, a, 0);
        Assert.That(() => second.load_state_dict(first.state_dict()), Throws.ArgumentException.With.Message.Contains("[40]").And.Message.Contains("[3]"));
        Assert.That(() => second.load_state_dict(torch.optim.SGD([b], 0.5).state_dict()), Throws.ArgumentException.With.Message.Contains("momentum"));
        Assert.That(second.ParamGroups.Single().LearningRate, Is.EqualTo(0.25));
    }

    [Test]
    public void Parameters_without_a_gradient_stay_and_groups_have_their_own_rates()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b, c) = (torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2)));
        using var optimizer = torch.optim.SGD([a, c], 0.5);
        optimizer.add_param_group(new SGD.ParamGroup([b], 0.25));
        a.grad = torch.ones(2);
        b.grad = torch.ones(2);
        var loss = optimizer.step(() => torch.tensor(3.0));
        Assert.That(loss!.item<float>(), Is.EqualTo(3));
        Assert.That(new[] { a, b, c }.Select(p => p.sum().item<float>()), Is.EqualTo(new[] { 1f, 1.5f, 2f }));
        optimizer.zero_grad();
        Assert.That(a.grad, Is.Null);
        Assert.That(() => optimizer.add_param_group(new SGD.ParamGroup([a], 0.1)), Throws.ArgumentException.With.Message.Contains("more than one"));
        Assert.That(() => optimizer.add_param_group(new AdamW.ParamGroup([torch.nn.Parameter(torch.ones(1))])), Throws.ArgumentException.With.Message.Contains("AdamW"));
        Assert.That(() => torch.optim.AdamW([], 0.1), Throws.ArgumentException.With.Message.Contains("empty"));
        Assert.That(() => torch.optim.AdamW([a], beta1: 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Steps_leave_no_tensors_behind()
    {
        var parameter = torch.nn.Parameter(TrainingFixture.Tensor("start").DetachFromDisposeScope());
        parameter.grad = torch.ones(40);
        using var optimizer = torch.optim.AdamW([parameter]);
        optimizer.step();
        var total = Settled.Tensors();
        for (var k = 0; k < 10; k++) optimizer.step();
        Assert.That(Tensor.TotalCount, Is.EqualTo(total));
        optimizer.Dispose();
        Assert.That(Tensor.TotalCount, Is.EqualTo(total - 3));
        parameter.Dispose();
    }

    [Test]
    public void Clipping_is_PyTorchs()
    {
        using var scope = torch.NewDisposeScope();
        var parameters = Enumerable.Range(0, 2).Select(k =>
        {
            var before = TrainingFixture.Tensor($"clip.before.{k}");
            return new Parameter(torch.zeros(before.shape)) { grad = before };
        }).ToList();
        Assert.That(torch.nn.utils.clip_grad_norm_(parameters, 1.5), Is.EqualTo(TrainingFixture.Numbers("clip.norm")[0]).Within(1e-6));
        for (var k = 0; k < 2; k++) Near.AssertNear(parameters[k].grad!, TrainingFixture.Tensor($"clip.after.{k}"), 1e-7);
        var clipped = parameters[0].grad!.clone();
        Assert.That(torch.nn.utils.clip_grad_norm_(parameters, 100), Is.EqualTo(1.5).Within(1e-5));
        Assert.That(parameters[0].grad!.equal(clipped), Is.True, "below the limit nothing is scaled");
        Assert.That(torch.nn.utils.clip_grad_norm_([torch.nn.Parameter(torch.ones(1))], 1), Is.Zero);
        torch.nn.utils.clip_grad_value_(parameters, 0.01);
        Assert.That(parameters[0].grad!.abs().max().item<float>(), Is.LessThanOrEqualTo(0.01f));
    }

    [TestCase("cosine")]
    [TestCase("linear")]
    [TestCase("lambda")]
    [TestCase("sequence")]
    public void Schedules_are_PyTorchs(string name)
    {
        using var scope = torch.NewDisposeScope();
        using var optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.25);
        var scheduler = Schedule(name, optimizer);
        var rates = new List<double>();
        for (var k = 0; k < 16; k++)
        {
            rates.Add(scheduler.get_last_lr().Single());
            Assert.That(optimizer.ParamGroups.Single().LearningRate, Is.EqualTo(rates[^1]));
            scheduler.step();
        }
        var expected = TrainingFixture.Numbers(name);
        for (var k = 0; k < 16; k++) Assert.That(rates[k], Is.EqualTo(expected[k]).Within(1e-12), $"step {k}");
    }

    [Test]
    public void A_schedule_can_start_in_the_middle()
    {
        using var scope = torch.NewDisposeScope();
        using var optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.25);
        var scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, 0.01, last_epoch: 4);
        Assert.That(scheduler.get_last_lr().Single(), Is.EqualTo(TrainingFixture.Numbers("cosine")[5]).Within(1e-12));
        Assert.That(() => torch.optim.lr_scheduler.SequentialLR(optimizer, [scheduler], [3]), Throws.ArgumentException);
    }

    private static torch.optim.lr_scheduler.LRScheduler Schedule(string name, torch.optim.Optimizer o) => name switch
    {
        "cosine" => torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, 0.01),
        "linear" => torch.optim.lr_scheduler.LinearLR(o, 0.2, 0.8, 6),
        "lambda" => torch.optim.lr_scheduler.LambdaLR(o, step => Math.Pow(0.9, step)),
        _ => torch.optim.lr_scheduler.SequentialLR(o,
            [torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 4), torch.optim.lr_scheduler.CosineAnnealingLR(o, 8), torch.optim.lr_scheduler.LambdaLR(o, _ => 0.5)], [4, 12]),
    };

    private static void Step(torch.optim.Optimizer optimizer, Parameter parameter, int k)
    {
        using var scope = torch.NewDisposeScope();
        parameter.grad = TrainingFixture.Tensor($"grad.{k}");
        optimizer.step();
    }
}
