// libtorch's generators: seeds, states, independence.

namespace PeftAlign.Torch.Tests;

[NonParallelizable]
public sealed class GeneratorTests
{
    [Test]
    public void A_seed_repeats_and_a_state_continues()
    {
        using var scope = torch.NewDisposeScope();
        var generator = torch.manual_seed(42);
        var first = torch.rand(5);
        var state = generator.get_state();
        var next = torch.rand(5);
        torch.manual_seed(42);
        Assert.That(torch.rand(5).equal(first), Is.True);
        torch.random.set_rng_state(state);
        Assert.That(torch.rand(5).equal(next), Is.True);
        Assert.That(torch.random.initial_seed(), Is.EqualTo(42));
        Assert.That(next.equal(first), Is.False);
    }

    [Test]
    public void A_generator_of_ones_own_leaves_the_default_alone()
    {
        using var scope = torch.NewDisposeScope();
        torch.manual_seed(1);
        var expected = torch.rand(3);
        torch.manual_seed(1);
        using var own = new torch.Generator(9);
        var a = torch.randn([3], generator: own);
        Assert.That(torch.rand(3).equal(expected), Is.True);
        own.manual_seed(9);
        Assert.That(torch.randn([3], generator: own).equal(a), Is.True);
        Assert.That(own.initial_seed(), Is.EqualTo(9));
    }

    [Test]
    public void Wrong_and_disposed_arguments_are_exceptions()
    {
        using var scope = torch.NewDisposeScope();
        var own = new torch.Generator(9);
        Assert.That(() => own.set_state(torch.ones(3)), Throws.InstanceOf<TorchException>());
        var gone = own.get_state();
        gone.Dispose();
        Assert.That(() => own.set_state(gone), Throws.InstanceOf<DisposedTensorException>().With.Message.Contains("Generator.set_state"));
        own.Dispose();
        Assert.That(() => own.get_state(), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(() => torch.rand([2], generator: own), Throws.InstanceOf<ObjectDisposedException>());
        if (!torch.cuda.is_available()) Assert.That(() => new torch.Generator(1, torch.CUDA), Throws.InstanceOf<TorchException>());
    }
}
