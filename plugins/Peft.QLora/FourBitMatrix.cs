// A matrix as bitsandbytes stores it: codes along the flattened matrix, a factor for each block, which may itself be a code of 8
// bits with a factor of its own for each 256 and one offset.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora;

/// <summary>How a block's factor is made from 8 bits: map[code] * absmax + offset.</summary>
/// <param name="Map">(256) float32.</param>
/// <param name="Absmax">(ceil(blocks / blocksize)) float32.</param>
/// <param name="Blocksize">Factors that share one of their own.</param>
/// <param name="Offset">Mean of all factors.</param>
internal sealed record NestedFactors(Tensor Map, Tensor Absmax, int Blocksize, float Offset);

internal sealed class FourBitMatrix : QuantizedMatrix
{
    // With more rows of x, decoding once and multiplying is faster than a product straight from the codes.
    private const long FewRows = 16;

    private readonly Tensor packed, absmax, code;

    internal FourBitMatrix(long outputs, long inputs, string type, torch.ScalarType storedType, int blocksize, Tensor packed, Tensor absmax, Tensor code, NestedFactors? nested)
        : base(outputs, inputs)
    {
        _ = Blocks.PlaceOf(packed.device); // without kernels for the device it is refused here, not at the first product
        (Type, StoredType, Blocksize, Nested) = (type, storedType, blocksize, nested);
        (this.packed, this.absmax, this.code) = (packed.DetachFromDisposeScope(), absmax.DetachFromDisposeScope(), code.DetachFromDisposeScope());
        nested?.Map.DetachFromDisposeScope();
        nested?.Absmax.DetachFromDisposeScope();
    }

    /// <summary>nf4 or fp4.</summary>
    internal string Type { get; }

    internal int Blocksize { get; }

    /// <summary>Null where factors are float32.</summary>
    internal NestedFactors? Nested { get; }

    /// <summary>Type of products; null = the input's.</summary>
    internal torch.ScalarType? Compute { get; init; }

    public override torch.ScalarType? ComputeType => Compute;

    public override torch.Device Device => packed.device;

    public override torch.ScalarType StoredType { get; }

    public override long Bytes => packed.numel() + absmax.numel() * absmax.element_size() + (Nested?.Absmax.numel() ?? 0) * 4;

    public override IReadOnlyDictionary<string, Tensor> Parts => BitsAndBytesFiles.Parts(this, packed, absmax, code);

    public override void Decode(Tensor target)
    {
        if (!target.is_contiguous() || target.numel() != Outputs * Inputs || !target.device.Equals(Device) || target.dtype is not (torch.ScalarType.Float32 or torch.ScalarType.BFloat16 or torch.ScalarType.Float16))
            throw new ArgumentException($"decoding {Outputs} x {Inputs} on {Device} needs a contiguous float32, bfloat16 or float16 tensor of that size there, not {target}", nameof(target));
        Blocks.Decode(this, target, Blocks.PlaceOf(Device));
    }

    public override Tensor? Product(Tensor x) =>
        x.size(0) > FewRows || x.dtype is not (torch.ScalarType.Float32 or torch.ScalarType.BFloat16) ? null : Blocks.Product(this, x, Blocks.PlaceOf(Device));

    /// <summary>Pointers, valid while this object is.</summary>
    internal unsafe NativeMatrix Native() => new()
    {
        Packed = (byte*)packed.data_ptr(),
        Absmax = Nested is null ? (float*)absmax.data_ptr() : null,
        Nested = Nested is null ? null : (byte*)absmax.data_ptr(),
        NestedMap = Nested is null ? null : (float*)Nested.Map.data_ptr(),
        NestedAbsmax = Nested is null ? null : (float*)Nested.Absmax.data_ptr(),
        Code = (float*)code.data_ptr(),
        Count = Outputs * Inputs,
        Blocksize = Blocksize,
        NestedBlocksize = Nested?.Blocksize ?? 1,
        NestedOffset = Nested?.Offset ?? 0,
    };

    protected override void Dispose(bool disposing)
    {
        foreach (var tensor in new[] { packed, absmax, code, Nested?.Map, Nested?.Absmax }) tensor?.Dispose();
    }
}
