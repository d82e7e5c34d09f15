// Quantisations: what is written is read again, decoding is near what was given and the same everywhere, and nothing odd passes in silence.
// conformance/quantization.NAME.json: { "options": {...}, "error": E }. error: the largest difference of a decoded value from the
// matrix's own, as a share of the matrix's largest magnitude.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Testing;

internal static class QuantizationKit
{
    private const string Name = "model.layers.0.mlp.up_proj.weight";

    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Bench> Check)[] rules =
        [
            ("knows its own folders and no others", KnowsItsOwnFolders),
            ("decodes near what it was given", DecodesNear),
            ("says what it holds", SaysWhatItHolds),
            ("reads what it wrote, bit for bit", ReadsWhatItWrote),
            ("refuses parts that are missing or do not fit", RefusesOtherParts),
            ("decodes into every type", DecodesIntoEveryType),
            ("multiplies as its decoded matrix", MultipliesAsDecoded),
            ("refuses NaN and infinity", RefusesNonFinite),
            ("gives the same bytes again and leaves the matrix as it is", GivesTheSameBytes),
        ];
        return rules.Select(rule => new ConformanceCheck($"quantization {provided.Name}: {rule.Rule}", () =>
        {
            using var scope = torch.NewDisposeScope();
            using var off = torch.no_grad();
            rule.Check(new Bench(subject, provided, subject.Sample(provided)));
        }));
    }

    private sealed record Bench(Subject Subject, ProvidedContract Provided, Sample Sample)
    {
        public double Error => Sample.Json["error"] is JsonValue value && value.TryGetValue<double>(out var error) && error is > 0 and < 1 ? error
            : throw new ConformanceException("The sample needs \"error\", above 0 and below 1: the largest difference of a decoded value, as a share of the matrix's largest magnitude.");

        public IQuantization Format() => Subject.Create<IQuantization>(Provided, Sample.Options);

        public QuantizedMatrix Quantized(Tensor matrix) => Format().Quantize(Name, matrix) ?? throw new ConformanceException("Quantize returned null.");

        /// <summary>Sizes that no block divides; a row of zeros, which has no largest magnitude.</summary>
        public static Tensor Matrix(torch.ScalarType type = torch.ScalarType.Float32)
        {
            var matrix = new CounterStream(11, "kit", "quantization").Normal([37, 96], 0, 0.05);
            matrix[5].zero_();
            return matrix.to(type);
        }
    }

    private static Tensor Decoded(QuantizedMatrix matrix, torch.ScalarType type = torch.ScalarType.Float32)
    {
        // What is not written stands out.
        var target = torch.full([matrix.Outputs, matrix.Inputs], double.NaN, type);
        matrix.Decode(target);
        return target;
    }

    private static void KnowsItsOwnFolders(Bench bench)
    {
        var format = bench.Format();
        bool Reads(JsonObject config) => format.Reads(JsonSerializer.SerializeToElement(config));
        foreach (var kept in (IReadOnlyList<string>[])[[], ["lm_head", "model.layers.0.mlp.up_proj"]])
            Expect.That(Reads(format.Config(kept, torch.bfloat16) ?? throw new ConformanceException("Config returned null.")), $"Reads is false for the quantization_config that Config gives, with {kept.Count} modules kept; a folder of its own would have no reader.");
        foreach (var other in (string[])["{}", """{"quant_method":"another"}""", """{"quant_method":7}"""])
            Expect.That(!Reads(JsonNode.Parse(other)!.AsObject()), $"Reads is true for {other}; folders of other formats would be taken for its own.");
    }

    private static void DecodesNear(Bench bench)
    {
        var (matrix, given) = (Bench.Matrix(), Bench.Matrix()); // one of them is the plugin's to change, which another rule forbids
        var apart = (Decoded(bench.Quantized(given)) - matrix).abs().max().item<double>() / matrix.abs().max().item<double>();
        Expect.That(apart <= bench.Error, FormattableString.Invariant($"A decoded value is {apart:0.#####} of the largest magnitude away from the matrix's; the sample's \"error\" is {bench.Error}."));
    }

    private static void SaysWhatItHolds(Bench bench)
    {
        foreach (var type in (torch.ScalarType[])[torch.float32, torch.bfloat16])
        {
            using var quantized = bench.Quantized(Bench.Matrix(type));
            Expect.That((quantized.Outputs, quantized.Inputs) == (37, 96), $"A matrix of 37 rows and 96 columns says that it has {quantized.Outputs} and {quantized.Inputs}.");
            Expect.That(quantized.StoredType == type, $"StoredType is {quantized.StoredType} of a matrix made from {type}; decoded folders are written in it.");
            Expect.That(quantized.Bytes is > 0 and < 37 * 96 * 4, $"Bytes is {quantized.Bytes}; the matrix has {37 * 96 * 4} in float32.");
            Expect.That(quantized.Parts.ContainsKey("") && quantized.Parts.Count > 1, "Parts needs the codes under \"\" and at least one more tensor, by which a folder's weight is known as quantised.");
        }
    }

    private static StoredWeight Stored(IReadOnlyDictionary<string, Tensor> parts, long outputs = 37) =>
        new(Name, [outputs, 96], "the kit's folder", name => name.StartsWith(Name, StringComparison.Ordinal) ? parts.GetValueOrDefault(name[Name.Length..]) : null, [.. parts.Keys.Select(part => Name + part)]);

    private static void ReadsWhatItWrote(Bench bench)
    {
        foreach (var type in (torch.ScalarType[])[torch.float32, torch.bfloat16])
        {
            using var quantized = bench.Quantized(Bench.Matrix(type));
            using var read = bench.Format().Read(Stored(quantized.Parts)) ?? throw new ConformanceException("Read returned null for the parts that Parts gives.");
            Expect.That(read.StoredType == type, $"Of a matrix made from {type}, Read gives one whose StoredType is {read.StoredType}.");
            Expect.That(Decoded(read).equal(Decoded(quantized)), "What Read makes of the parts decodes to other values than the matrix that they are of.");
        }
    }

    private static void RefusesOtherParts(Bench bench)
    {
        using var quantized = bench.Quantized(Bench.Matrix());
        var parts = quantized.Parts;
        void Refused(StoredWeight weight, string when)
        {
            // Null says that the folder holds the weight as it is, which the host refuses where companions are there.
            var error = Expect.UserError(() => _ = bench.Format().Read(weight) ?? throw new UserErrorException($"{Name} is taken for a weight that is not quantised"), when);
            Expect.That(error.Message.Contains(Name, StringComparison.Ordinal), $"When {when}, the message must name the weight; it is: {error.Message}");
        }
        foreach (var part in parts.Keys) Refused(Stored(parts.Where(p => p.Key != part).ToDictionary()), part == "" ? "the codes are missing" : $"the part '{part}' is missing");
        Refused(Stored(parts, outputs: 38), "config.json asks for a row more");
        Refused(Stored(parts.ToDictionary(p => p.Key, p => p.Key == "" ? p.Value.flatten().narrow(0, 0, 8) : p.Value)), "the codes are cut off");
    }

    private static void DecodesIntoEveryType(Bench bench)
    {
        using var quantized = bench.Quantized(Bench.Matrix());
        var wide = Decoded(quantized);
        foreach (var type in (torch.ScalarType[])[torch.bfloat16, torch.float16])
            Expect.That(Decoded(quantized, type).equal(wide.to(type)), $"Decoded into {type} the values are others than those of float32, rounded once.");
    }

    private static void MultipliesAsDecoded(Bench bench)
    {
        using var quantized = bench.Quantized(Bench.Matrix());
        var full = Decoded(quantized);
        foreach (var rows in (long[])[1, 3])
        {
            var x = new CounterStream(12, "kit", "rows").Normal([rows, 96], 0, 1);
            if (quantized.Product(x) is not { } product) continue; // decoding first is its way
            Expect.That(product.shape.SequenceEqual([rows, 37]), $"The product of {rows} rows has the shape [{string.Join(", ", product.shape)}] instead of [{rows}, 37].");
            var apart = (product - x.mm(full.t())).abs().max().item<double>();
            Expect.That(apart <= 1e-4, FormattableString.Invariant($"The product of {rows} rows is {apart:0.######} away from that with the decoded matrix."));
        }
    }

    private static void RefusesNonFinite(Bench bench)
    {
        foreach (var value in (float[])[float.NaN, float.NegativeInfinity])
        {
            var matrix = Bench.Matrix();
            matrix[3, 4] = torch.tensor(value);
            var error = Expect.UserError(() => bench.Format().Quantize(Name, matrix), FormattableString.Invariant($"a weight holds {value}"));
            Expect.That(error.Message.Contains(Name, StringComparison.Ordinal), $"The message must name the weight; it is: {error.Message}");
        }
    }

    private static void GivesTheSameBytes(Bench bench)
    {
        var matrix = Bench.Matrix();
        using var first = bench.Quantized(matrix);
        using var second = bench.Quantized(matrix);
        Expect.That(matrix.equal(Bench.Matrix()), "The matrix was changed; it may be a view of a mapped file.");
        Expect.That(first.Parts.Count == second.Parts.Count && first.Parts.All(part => second.Parts.TryGetValue(part.Key, out var other) && part.Value.equal(other)), "The same matrix gave other bytes the second time.");
    }
}
