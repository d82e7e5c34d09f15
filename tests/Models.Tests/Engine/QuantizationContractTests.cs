// A plugin's product of a few rows has as many rows, and the matrix's columns: anything else is told where it comes from.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class QuantizationContractTests
{
    [TestCase(2, 3, null)]
    [TestCase(3, 2, "Product gave the shape [3, 2] for 2 rows; [2, 3] is asked for, or null.")]
    [TestCase(2, 4, "Product gave the shape [2, 4] for 2 rows; [2, 3] is asked for, or null.")]
    public void A_product_of_another_shape_is_refused(int rows, int columns, string? said)
    {
        using var scope = torch.NewDisposeScope();
        using var off = torch.no_grad();
        var matrix = new Made(torch.ones([rows, columns]));
        if (said is null) Assert.That(QuantizedProduct.Of(torch.ones([2, 5]), matrix, alone: true).shape, Is.EqualTo(new long[] { 2, 3 }));
        else Assert.That(() => QuantizedProduct.Of(torch.ones([2, 5]), matrix, alone: true), Throws.TypeOf<BrokenContractException>().With.Message.Contains($"{typeof(Made).FullName}.{said}"));
    }

    private sealed class Made(Tensor product) : QuantizedMatrix(3, 5)
    {
        public override torch.Device Device => torch.CPU;

        public override torch.ScalarType StoredType => torch.float32;

        public override long Bytes => 1;

        public override IReadOnlyDictionary<string, Tensor> Parts => new Dictionary<string, Tensor>();

        public override void Decode(Tensor target) => target.fill_(1);

        public override Tensor? Product(Tensor x) => product;
    }
}
