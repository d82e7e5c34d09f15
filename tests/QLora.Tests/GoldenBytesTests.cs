// Codes, factors and decoded values against bitsandbytes', by every set of instructions and by the CUDA kernels' bodies.

using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

[NonParallelizable]
public class GoldenBytesTests
{
    private static readonly string[] Cases =
    [
        "plain", "double", "bf16_double", "f16_b128", "ragged", "ragged_double_bf16_b128", "many_blocks_double", "special", "special_double", "ragged_zero_tail",
        "fp4", "fp4_double_bf16", "fp4_special",
    ];

    [TearDown]
    public void UseTheBest() => Native.pq_level(-1);

    [Test]
    public void EveryCase_OfTheGoldenIsListed() => Assert.That(Golden.Json("nf4", "quantize.json")["cases"]!.AsObject().Select(c => c.Key), Is.EquivalentTo(Cases));

    private static int[] Levels => Kernels.Levels;

    [Test]
    public void Quantize_GivesTheLibrarysBytes([ValueSource(nameof(Cases))] string name, [ValueSource(nameof(Levels))] int level)
    {
        using var scope = torch.NewDisposeScope();
        using var file = Golden.Tensors("nf4", "quantize.safetensors");
        var (quantization, place) = (Of(name), Kernels.Require(level));
        using var matrix = quantization.Quantize(file.Tensor(name + ".weight"), place);
        var parts = matrix.Parts.ToDictionary(p => p.Key, p => p.Value.to(torch.CPU));
        if (name.StartsWith("fp4", StringComparison.Ordinal)) Assert.That(matrix.Decoded(torch.float32, place).equal(file.Tensor(name + ".dequant_f32")), Is.True, "values of the codes"); // two zeros, one value
        else Assert.That(parts[""].equal(file.Tensor(name + ".packed")), Is.True, "codes");
        Assert.That(parts[".absmax"].equal(file.Tensor(name + ".absmax")), Is.True, "factors");
        if (matrix.Nested is not { } nested) return;
        Assert.That(nested.Absmax.to(torch.CPU).equal(file.Tensor(name + ".nested_absmax")), Is.True, "factors of factors");
        Assert.That(nested.Offset, Is.EqualTo(file.Tensor(name + ".nested_offset").item<float>()));
    }

    [Test]
    public void Decode_GivesTheLibrarysValues([ValueSource(nameof(Cases))] string name, [ValueSource(nameof(Levels))] int level)
    {
        using var scope = torch.NewDisposeScope();
        using var file = Golden.Tensors("nf4", "quantize.safetensors");
        var place = Kernels.Require(level);
        using var matrix = Of(name).Quantize(file.Tensor(name + ".weight"), place);
        foreach (var (end, type) in new[] { ("f32", torch.float32), ("bf16", torch.bfloat16), ("f16", torch.float16) })
            if (file.Contains($"{name}.dequant_{end}")) Assert.That(matrix.Decoded(type, place).equal(file.Tensor($"{name}.dequant_{end}")), Is.True, end);
    }

    [Test]
    public void Product_IsThatOfTheDecodedMatrix([ValueSource(nameof(Cases))] string name, [ValueSource(nameof(Levels))] int level)
    {
        using var scope = torch.NewDisposeScope();
        using var file = Golden.Tensors("nf4", "quantize.safetensors");
        var place = Kernels.Require(level);
        using var matrix = Of(name).Quantize(file.Tensor(name + ".weight"), place);
        var (x, y) = (file.Tensor(name + ".x"), file.Tensor(name + ".y"));
        Assert.That(Golden.Worst(matrix.Product(x, place), y), Is.LessThanOrEqualTo(2e-6 * Math.Max(1, y.abs().max().item<float>())));
        var narrow = x.to(torch.bfloat16);
        var expected = narrow.to(torch.float32).mm(matrix.Decoded(torch.bfloat16, place).to(torch.float32).t());
        Assert.That(Golden.Worst(matrix.Product(narrow, place), expected), Is.LessThanOrEqualTo(1.0 / 128 * Math.Max(1, expected.abs().max().item<float>())));
    }

    [Test]
    public void Maps_AreTheLibrarys()
    {
        using var file = Golden.Tensors("nf4", "quantize.safetensors");
        Assert.That(FourBitCode.Nf4.Values, Is.EqualTo(file.Tensor("nf4_code").data<float>().ToArray()));
        Assert.That(Bits(FourBitCode.Fp4.Values), Is.EqualTo(Bits(file.Tensor("fp4_code").data<float>().ToArray())));
        Assert.That(FourBitCode.Dynamic, Is.EqualTo(file.Tensor("nested_code").data<float>().ToArray()));
    }

    // What is written into folders is compared to the bit: a test of values takes -0 for 0.
    [Test]
    public void Maps_HaveNoNegativeZero([Values] bool fp4) =>
        Assert.That(Bits((fp4 ? FourBitCode.Fp4 : FourBitCode.Nf4).Values), Has.None.EqualTo(int.MinValue));

    private static int[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToInt32Bits)];

    private static FourBitQuantization Of(string name)
    {
        var facts = Golden.Json("nf4", "quantize.json")["cases"]![name]!;
        return new FourBitQuantization((string)facts["quant_type"]! == "nf4" ? FourBitCode.Nf4 : FourBitCode.Fp4, new FourBitOptions { Blocksize = (int)facts["blocksize"]!, DoubleQuant = (bool)facts["double_quant"]! });
    }
}
