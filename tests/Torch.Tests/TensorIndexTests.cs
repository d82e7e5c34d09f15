// C# ranges between the brackets of a tensor mean what they mean on an array.

namespace PeftAlign.Torch.Tests;

public sealed class TensorIndexTests
{
    private static readonly Range[] Ranges = [Range.All, 1.., (..1), 1..3, (..^1), ^2.., ^3..^1, (..^0), ^0.., 4.., (..0)];

    [TestCaseSource(nameof(Ranges))]
    public void A_range_takes_what_it_takes_of_an_array(Range range)
    {
        using var scope = torch.NewDisposeScope();
        long[] values = [3, 1, 4, 1];
        Assert.That(torch.tensor(values)[range].data<long>().ToArray(), Is.EqualTo(values[range]));
    }
}
