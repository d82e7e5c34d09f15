// Every operator that the binding wraps, through its public method, against PyTorch's numbers.

using PeftAlign.Torch.Extras;
using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Tests;

public sealed class OperatorTests
{
    private static IEnumerable<string> Rows => OperatorRows.All.Keys;

    [TestCaseSource(nameof(Rows))]
    public void Gives_PyTorchs_numbers(string row)
    {
        using var scope = torch.NewDisposeScope();
        torch.manual_seed(7);
        var made = OperatorRows.All[row](new OperatorInputs());
        var results = made is Tensor one ? [one] : (Tensor[])made;
        var expected = OperatorInputs.Expected(row);
        if (expected is null)
        {
            Assert.That(row, Is.EqualTo("aten::pin_memory"), "only what needs a GPU has no numbers");
            return;
        }
        Assert.That(results, Has.Length.EqualTo(expected.Length));
        foreach (var (tensor, stored) in results.Zip(expected)) AssertSame(tensor, stored);
    }

    [Test]
    public void Every_operator_of_the_table_has_its_row() =>
        Assert.That(Rows, Is.EquivalentTo(Aten.All.Select(op => op.Name).Concat(Aten.Differing.Select(d => d.Name))));

    [Test]
    public void This_libtorch_lacks_nothing_that_is_not_composed()
    {
        Assert.That(LibTorch.MissingOperators(), Is.Empty);
        var old = Version.Parse(LibTorch.Version.Split('+')[0]).Major < 2;
        Assert.That(LibTorch.ComposedOperators(), old ? Is.EqualTo(new[] { "aten::scaled_dot_product_attention" }) : Is.Empty);
    }

    [Test]
    public void The_first_candidate_that_exists_is_used()
    {
        Assert.That(new OneOf(new Operator("aten::not_there"), new Operator("aten::mm"), new Operator("aten::bmm")).Found!.Name, Is.EqualTo("aten::mm"));
        Assert.That(new OneOf(new Operator("aten::not_there")).Found, Is.Null);
    }

    // A literal 0 is an enumeration's value too: it must not be taken for an element type.
    [Test]
    public void A_literal_zero_is_a_dimension()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2, 3]);
        Assert.That(x.sum(0).data<float>().ToArray(), Is.EqualTo(new[] { 2f, 2f, 2f }));
        Assert.That((x.sum(0, keepdim: true).shape, x.sum(-1).shape, x.sum(0L).shape), Is.EqualTo((new[] { 1L, 3 }, new[] { 2L }, new[] { 3L })));
        Assert.That((x.sum().item<float>(), x.sum(torch.float64).dtype, x.sum(0, type: torch.int64).dtype), Is.EqualTo((6f, torch.float64, torch.int64)));
        Assert.That((x.view(6).shape, x.softmax(0).shape, x.cumsum(0).dtype), Is.EqualTo((new[] { 6L }, new[] { 2L, 3 }, torch.float32)));
    }

    private static void AssertSame(Tensor tensor, StoredTensor stored)
    {
        Assert.That(tensor.dtype, Is.EqualTo(stored.Dtype));
        Assert.That(tensor.shape, Is.EqualTo(stored.Shape));
        var numbers = tensor.to(torch.float64).contiguous().data<double>().ToArray();
        var tolerance = stored.Dtype switch { torch.ScalarType.Float64 => 1e-12, torch.ScalarType.Float32 => 1e-6, _ => 0 };
        for (var k = 0; k < numbers.Length; k++)
            Assert.That(numbers[k], Is.EqualTo(stored.Data[k]).Within(tolerance * Math.Max(1, Math.Abs(stored.Data[k]))), $"element {k}");
    }
}
