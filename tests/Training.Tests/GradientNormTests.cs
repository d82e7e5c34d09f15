// The length of the gradient, which clips and is recorded, where there are many numbers: float32 sums lose there.

using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class GradientNormTests : TrainingTest
{
    // Members of a million, one member of them all, and one that no power of 2 divides; below a row of the sum; bfloat16's masters.
    [TestCase(20, 1_000_000, false)]
    [TestCase(1, 20_000_000, false)]
    [TestCase(1, 20_000_001, false)]
    [TestCase(2, 7, false)]
    [TestCase(20, 1_000_000, true)]
    public void It_is_right_however_many_numbers_there_are(int members, int numbers, bool rounded)
    {
        using var value = torch.zeros([numbers]);
        using var parameters = new FlatParameters(Enumerable.Range(0, members).Select(k => ($"m{k}", value, true)), rounded ? torch.bfloat16 : null);
        using var groups = new ParameterGroups([new ParameterGroup("", parameters, 1)], new TrainingOptions { Optimizer = "sgd" });
        var total = (double)members * numbers;
        foreach (var (_, leaf) in parameters.Leaves) leaf.grad!.fill_(1e-3);
        groups.Collect();
        var one = parameters.Gradients[0].item<float>(); // as bfloat16 rounds it
        var norm = one * Math.Sqrt(total);
        var clipped = norm / 2 / (norm + 1e-6);
        Assert.That(groups.Clip(norm / 2), Is.EqualTo(norm).Within(1e-5 * norm));
        Assert.That(parameters.Gradients[0].item<float>(), Is.EqualTo(one * clipped).Within(1e-5 * one), "clipped to half");
        Assert.That(groups.Clip(0), Is.EqualTo(norm * clipped).Within(1e-5 * norm));
    }

    // torch's clip_grad_norm_ divides by the norm and 1e-6, which shows where both are small.
    [Test]
    public void A_small_limit_divides_by_the_norm_and_a_millionth()
    {
        using var parameters = new FlatParameters([("w", torch.zeros([2]), true)]);
        using var groups = new ParameterGroups([new ParameterGroup("", parameters, 1)], new TrainingOptions { Optimizer = "sgd" });
        parameters.Gradients.copy_(torch.tensor((float[])[3e-6f, 4e-6f]));
        Assert.That(groups.Clip(1e-6), Is.EqualTo(5e-6).Within(1e-11));
        Assert.That(parameters.Gradients.data<float>().ToArray(), Is.EqualTo((float[])[3e-6f / 6, 4e-6f / 6]).Within(1e-12f));
    }

    [Test]
    public void Groups_are_joined()
    {
        using var threes = new FlatParameters([("w", torch.zeros([20_000]), true)]);
        using var fours = new FlatParameters([("c", torch.zeros([20_000]), true)]);
        using var groups = new ParameterGroups([new ParameterGroup("controls", fours, 1), new ParameterGroup("", threes, 1)], new TrainingOptions { Optimizer = "sgd" });
        threes.Gradients.fill_(3);
        fours.Gradients.fill_(4);
        Assert.That(groups.Clip(0), Is.EqualTo(5 * Math.Sqrt(20_000)).Within(1e-3));
    }
}
