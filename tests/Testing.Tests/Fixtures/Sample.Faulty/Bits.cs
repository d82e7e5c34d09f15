// Codes of 8 bits with one factor for the whole matrix, right or wrong in one way.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace Sample.Faulty;

/// <summary>Options of the quantisation.</summary>
public sealed class BitsOptions
{
    /// <summary>In which way to be wrong.</summary>
    public BitsFault Fault { get; set; }
}

/// <summary>Ways for a quantisation to be wrong.</summary>
public enum BitsFault
{
    None,
    ReadsEveryFolder,
    DecodesShifted,
    SaysNoBytes,
    ForgetsTheFactor,
    TakesAnyParts,
    TakesMissingParts,
    DecodesNarrow,
    MultipliesTransposed,
    MultipliesAside,
    TakesNaN,
    WritesOver,
    DrawsAnew,
}

internal sealed class Bits(BitsFault fault) : IQuantization
{
    private static int made;

    public bool Reads(JsonElement config) => fault == BitsFault.ReadsEveryFolder || (config.TryGetProperty("quant_method", out var method) && method.ValueKind == JsonValueKind.String && method.GetString() == "bits");

    public QuantizedMatrix? Read(StoredWeight weight)
    {
        var (codes, factor) = (weight.Part(weight.Name), weight.Part(weight.Name + ".factor"));
        if (fault == BitsFault.TakesMissingParts) factor ??= torch.ones([]);
        if (codes is null || factor is null) throw new UserErrorException($"{weight.Name} lacks a part.");
        if (fault != BitsFault.TakesAnyParts && !codes.shape.SequenceEqual(weight.Shape)) throw new UserErrorException($"{weight.Name} has codes of another shape.");
        return new Matrix(codes, fault == BitsFault.ForgetsTheFactor ? factor * 2 : factor, fault);
    }

    public bool Takes(string module) => true;

    public QuantizedMatrix Quantize(string weight, Tensor matrix)
    {
        var wide = matrix.to(torch.float32);
        if (fault != BitsFault.TakesNaN && !wide.isfinite().all().item<bool>()) throw new UserErrorException($"{weight} holds NaN or infinity.");
        var factor = (wide.abs().max() / 127).to(matrix.dtype);
        if (fault == BitsFault.DrawsAnew) factor += factor * (++made % 2) / 64;
        var codes = (wide / factor.to(torch.float32)).round().clamp(-127, 127).to(torch.int8);
        if (fault == BitsFault.WritesOver) matrix[0, 0] = torch.tensor(0f);
        return new Matrix(codes, factor, fault);
    }

    public JsonObject Config(IReadOnlyList<string> kept, torch.ScalarType type) => new() { ["quant_method"] = "bits" };

    private sealed class Matrix(Tensor codes, Tensor factor, BitsFault fault) : QuantizedMatrix(codes.size(0), codes.dim() > 1 ? codes.size(1) : 1)
    {
        public override torch.Device Device => codes.device;

        public override torch.ScalarType StoredType => factor.dtype;

        public override long Bytes => fault == BitsFault.SaysNoBytes ? 0 : codes.numel();

        public override IReadOnlyDictionary<string, Tensor> Parts => new Dictionary<string, Tensor> { [""] = codes, [".factor"] = factor };

        public override void Decode(Tensor target)
        {
            var type = fault == BitsFault.DecodesNarrow ? target.dtype : torch.float32;
            target.copy_((codes.to(type) * factor.to(type)) + (fault == BitsFault.DecodesShifted ? 0.1 : 0));
        }

        public override Tensor? Product(Tensor x)
        {
            var full = codes.to(torch.float32) * factor.to(torch.float32);
            return fault switch
            {
                BitsFault.MultipliesTransposed => x.mm(full.t()).t(),
                BitsFault.MultipliesAside => x.mm(full.t()) + 0.01,
                _ => x.mm(full.t()),
            };
        }

        // The parts are whoever's made them.
        protected override void Dispose(bool disposing)
        {
        }
    }
}
