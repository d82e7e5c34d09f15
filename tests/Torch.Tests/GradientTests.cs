// Autograd through the dispatcher: finite differences for one operator per kind of argument, modes, gradients as properties.

namespace PeftAlign.Torch.Tests;

public sealed class GradientTests
{
    private static readonly Dictionary<string, Func<Tensor, Tensor>> Kinds = new()
    {
        ["no argument"] = x => x.tanh(),
        ["tensor"] = x => x.mul(Near.Random([2, 3], "other")),
        ["integer"] = x => x.cumsum(1),
        ["integers"] = x => x.permute(1, 0) * Near.Random([3, 2], "weights"),
        ["number"] = x => x.square().add(1).pow(1.5),
        ["float"] = x => torch.nn.functional.softplus(x, 2.0, 1.0),
        ["bool"] = x => x.logsumexp(1, keepdim: true),
        ["string"] = x => torch.nn.functional.gelu(x, approximate: "tanh"),
        ["dtype"] = x => x.to(torch.float64).softmax(1, torch.float64) * Near.Random([2, 3], "weights"),
        ["device"] = x => x.to(torch.CPU, copy: true).square(),
        ["generator"] = x => x * torch.empty([2, 3], torch.float64).uniform_(0, 1, new torch.Generator(3)),
        ["tensor list"] = x => torch.cat([x, x.exp()], 1).square(),
        ["optional tensors"] = x => x[TensorIndex.Colon, TensorIndex.Tensor(torch.tensor(new long[] { 2, 0, 2 }))].square(),
        ["several results"] = x => x.sort(1).Values * torch.tensor(new[] { 1.0, 2, 3 }),
        ["a list of results"] = x => x.split(1, 1)[2].exp(),
    };

    private static IEnumerable<string> Names => Kinds.Keys;

    [TestCaseSource(nameof(Names))]
    public void Finite_differences_agree_for_an_argument_of_kind(string kind) => Near.AssertGradients(t => Kinds[kind](t[0]), Near.Random([2, 3]));

    [Test]
    public void Modes_hold_until_they_are_disposed()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([1], requires_grad: true);
        using (torch.no_grad())
        {
            Assert.That((x * 2).requires_grad, Is.False);
            using (torch.enable_grad()) Assert.That((x * 2).requires_grad, Is.True);
            Assert.That(torch.is_grad_enabled(), Is.False);
        }
        Assert.That((x * 2).requires_grad, Is.True);
        using (torch.inference_mode())
        {
            var y = x * 2;
            Assert.That(y.requires_grad, Is.False);
        }
        Assert.That(torch.is_grad_enabled(), Is.True);
    }

    [Test]
    public void Gradients_accumulate_can_be_set_and_are_kept_where_asked()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2], requires_grad: true);
        var middle = x * 3;
        middle.retain_grad();
        middle.sum().backward();
        (x * 2).sum().backward();
        Assert.That((Near.Doubles(x.grad!)[0], Near.Doubles(middle.grad!)[0]), Is.EqualTo((5.0, 1.0)));
        x.grad = torch.zeros(2);
        Assert.That(x.grad!.sum().item<float>(), Is.Zero);
        x.grad = null;
        Assert.That(x.grad, Is.Null);
        Assert.That(() => x.grad = torch.zeros(3), Throws.InstanceOf<TorchException>().With.Message.Contains("[3]").And.Message.Contains("[2]"));
        Assert.That(() => x.grad = torch.zeros([2], torch.float64), Throws.InstanceOf<TorchException>().With.Message.Contains("Double"));
    }

    [Test]
    public void Unused_inputs_are_null_where_allowed_and_an_error_elsewhere()
    {
        using var scope = torch.NewDisposeScope();
        var (x, y) = (torch.ones([1], requires_grad: true), torch.ones([1], requires_grad: true));
        Assert.That(torch.autograd.grad([x * 2], [x, y], allow_unused: true)[1], Is.Null);
        Assert.That(() => torch.autograd.grad([x * 2], [x, y]), Throws.InstanceOf<TorchException>().With.Message.Contains("allow_unused"));
    }

    [Test]
    public void Anomaly_mode_names_the_operation_that_made_a_NaN()
    {
        using var scope = torch.NewDisposeScope();
        using var anomaly = new torch.autograd.AnomalyMode();
        var x = torch.tensor(new[] { -1.0 }, requires_grad: true);
        Assert.That(() => x.sqrt().sum().backward(), Throws.InstanceOf<TorchException>().With.Message.Contains("SqrtBackward"));
    }
}
