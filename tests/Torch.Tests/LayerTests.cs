// Layers, initialisation, attention and functions with options, against PyTorch's numbers and by hand.

using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Torch.Tests;

public sealed class LayerTests
{
    [Test]
    public void A_seed_gives_PyTorchs_initial_values()
    {
        using var scope = torch.NewDisposeScope();
        torch.manual_seed(3);
        var linear = torch.nn.Linear(5, 3);
        Near.AssertNear(linear.weight, TrainingFixture.Tensor("linear.weight"), 1e-7);
        Near.AssertNear(linear.bias!, TrainingFixture.Tensor("linear.bias"), 1e-7);
        Near.AssertNear(torch.nn.Embedding(6, 4, padding_idx: 2).weight, TrainingFixture.Tensor("embedding.weight"), 1e-6);
        Near.AssertNear(torch.nn.init.xavier_uniform_(torch.empty(4, 6)), TrainingFixture.Tensor("xavier_uniform_"), 1e-6);
        Near.AssertNear(torch.nn.init.xavier_normal_(torch.empty(4, 6)), TrainingFixture.Tensor("xavier_normal_"), 1e-6);
        Near.AssertNear(torch.nn.init.kaiming_uniform_(torch.empty(4, 6)), TrainingFixture.Tensor("kaiming_uniform_"), 1e-6);
        Near.AssertNear(torch.nn.init.kaiming_normal_(torch.empty(4, 6)), TrainingFixture.Tensor("kaiming_normal_"), 1e-6);
    }

    [Test]
    public void Constants_fill_and_leave_no_trace_in_the_graph()
    {
        using var scope = torch.NewDisposeScope();
        var parameter = torch.nn.Parameter(torch.empty(3));
        torch.nn.init.ones_(parameter);
        Assert.That((parameter.sum().item<float>(), parameter.is_leaf), Is.EqualTo((3f, true)));
        torch.nn.init.zeros_(parameter);
        Assert.That(parameter.sum().item<float>(), Is.Zero);
        Assert.That(() => torch.nn.init.xavier_uniform_(parameter), Throws.ArgumentException.With.Message.Contains("[3]"));
    }

    [Test]
    public void The_padding_row_of_an_embedding_gets_no_gradient()
    {
        using var scope = torch.NewDisposeScope();
        var embedding = torch.nn.Embedding(4, 2, padding_idx: -1);
        Assert.That(embedding.padding_idx, Is.EqualTo(3));
        embedding.call(torch.tensor(new long[] { 0, 3, 0 })).sum().backward();
        Assert.That(Near.Doubles(embedding.weight.grad!), Is.EqualTo(new double[] { 2, 2, 0, 0, 0, 0, 0, 0 }));
        var direct = torch.ones([4, 2], requires_grad: true);
        F.embedding(torch.tensor(new long[] { 0, 3, 0 }), direct, padding_idx: -1, scale_grad_by_freq: true).sum().backward();
        Assert.That(Near.Doubles(direct.grad!), Is.EqualTo(new double[] { 1, 1, 0, 0, 0, 0, 0, 0 }));
        Assert.That(() => torch.nn.Embedding(4, 2, padding_idx: 4), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Layer_norm_has_its_parts_as_asked()
    {
        using var scope = torch.NewDisposeScope();
        var norm = torch.nn.LayerNorm(4, bias: false);
        Assert.That((norm.weight is null, norm.bias is null), Is.EqualTo((false, true)));
        Assert.That(torch.nn.LayerNorm(4, elementwise_affine: false).parameters(), Is.Empty);
        Near.AssertNear(norm.call(torch.tensor(new float[] { 1, 2, 3, 4 })), torch.tensor(new[] { -1.3416354, -0.4472118, 0.4472118, 1.3416354 }), 1e-6);
    }

    // Both ways, whichever of them this libtorch takes by itself.
    [Test]
    public void Attention_takes_masks_of_both_kinds()
    {
        using var scope = torch.NewDisposeScope();
        var (q, k, v) = (TrainingFixture.Tensor("attention.q"), TrainingFixture.Tensor("attention.k"), TrainingFixture.Tensor("attention.v"));
        var seen = torch.tensor(new[] { true, true, false, false, true, false, false, false, false, false, false, true, false, false, false }, [3, 5]);
        var bias = TrainingFixture.Tensor("attention.bias");
        Assert.That(bias.dtype, Is.EqualTo(torch.float32), "another dtype than the query's");
        Near.AssertNear(F.scaled_dot_product_attention(q, k, v, bias), TrainingFixture.Tensor("attention.biased"), 1e-12);
        Near.AssertNear(F.Composed(q, k, v, bias.to(torch.float64), 0, false), TrainingFixture.Tensor("attention.biased"), 1e-12);
        Near.AssertNear(F.Composed(q, k, v, seen, 0, false), TrainingFixture.Tensor("attention.seen"), 1e-12);
        Near.AssertNear(F.scaled_dot_product_attention(q, k, v, seen), TrainingFixture.Tensor("attention.seen"), 1e-12);
        Assert.That(() => F.scaled_dot_product_attention(q, k, v, seen, is_casual: true), Throws.ArgumentException);
    }

    [Test]
    public void Composed_attention_is_the_operators_with_gradients()
    {
        using var scope = torch.NewDisposeScope();
        Near.AssertGradients(t => F.Composed(t[0], t[1], t[2], null, 0, true), Near.Random([2, 3, 4], "q"), Near.Random([2, 3, 4], "k"), Near.Random([2, 3, 2], "v"));
        Near.AssertGradients(t => F.scaled_dot_product_attention(t[0], t[1], t[2], is_casual: true), Near.Random([2, 3, 4], "q"), Near.Random([2, 3, 4], "k"), Near.Random([2, 3, 2], "v"));
        var x = torch.ones(2, 8, 4);
        torch.manual_seed(1);
        var dropped = F.Composed(x, x, x, null, 0.5, false);
        Assert.That(dropped.std().item<float>(), Is.GreaterThan(0.01));
        Assert.That(dropped.mean().item<float>(), Is.EqualTo(1).Within(0.3));
    }

    [Test]
    public void Padding_fills_or_mirrors()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.tensor(new[] { 1.0, 2, 3 });
        Assert.That(Near.Doubles(F.pad(x, [1, 2], value: 9)), Is.EqualTo(new double[] { 9, 1, 2, 3, 9, 9 }));
        Assert.That(Near.Doubles(F.pad(x.view(1, 1, 3), [1, 1], torch.PaddingModes.Replicate)), Is.EqualTo(new double[] { 1, 1, 2, 3, 3 }));
        Assert.That(Near.Doubles(F.pad(x.view(1, 1, 3), [1, 1], torch.PaddingModes.Circular)), Is.EqualTo(new double[] { 3, 1, 2, 3, 1 }));
    }
}
