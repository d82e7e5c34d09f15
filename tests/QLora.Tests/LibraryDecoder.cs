// bitsandbytes 0.50.2 on AVX-512 processors decodes a matrix wrongly whose rows are a multiple of 16 but not of the block: it counts
// blocks anew in each row, r * floor(columns / blocksize) + floor(c / blocksize) (golden/nf4/README.md). TRL's recorded runs have
// such rows in down_proj; to compare with them, and only for that, the same fault is made here.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

internal sealed class LibraryDecoder(FourBitMatrix own) : QuantizedMatrix(own.Outputs, own.Inputs)
{
    public override torch.Device Device => own.Device;

    public override torch.ScalarType StoredType => own.StoredType;

    public override long Bytes => own.Bytes;

    public override IReadOnlyDictionary<string, Tensor> Parts => own.Parts;

    /// <summary>The model with this decoder where the library's is wrong.</summary>
    internal static DecoderModel Under(DecoderModel model) => new(model.Spec, model.Weights, model.Quantized.ToDictionary(q => q.Key, q =>
        q.Value is FourBitMatrix four && four.Inputs % 16 == 0 && four.Inputs % four.Blocksize != 0 ? new LibraryDecoder(four) : q.Value));

    public override void Decode(Tensor target)
    {
        using var scope = torch.NewDisposeScope();
        var (packed, code, factors) = (own.Parts[""].data<byte>().ToArray(), own.Parts[".quant_map"].data<float>().ToArray(), Factors());
        var values = new float[Outputs * Inputs];
        for (long r = 0; r < Outputs; r++)
            for (long c = 0; c < Inputs; c++)
            {
                var k = r * Inputs + c;
                var pattern = k % 2 == 0 ? packed[k / 2] >> 4 : packed[k / 2] & 15;
                values[k] = code[pattern] * factors[r * (Inputs / own.Blocksize) + c / own.Blocksize];
            }
        target.copy_(torch.tensor(values).view(Outputs, Inputs));
    }

    private float[] Factors()
    {
        var nested = own.Nested!;
        var (map, second) = (nested.Map.data<float>().ToArray(), nested.Absmax.data<float>().ToArray());
        return [.. own.Parts[".absmax"].data<byte>().ToArray().Select((code, b) => map[code] * second[b / nested.Blocksize] + nested.Offset)];
    }
}
