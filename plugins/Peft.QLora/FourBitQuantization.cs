// nf4 and fp4: reading and making 4-bit matrices. A block's values are divided by its largest magnitude and become the nearest of
// sixteen; with double quantisation the magnitudes, less their mean, become the nearest of 256 in blocks of 256.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora;

internal sealed class FourBitQuantization : IQuantization
{
    private const int NestedBlocksize = 256;

    private readonly FourBitCode code;
    private readonly FourBitOptions options;
    private readonly torch.ScalarType? compute;

    internal FourBitQuantization(FourBitCode code, FourBitOptions options)
    {
        if ((options.Blocksize & (options.Blocksize - 1)) != 0) throw new UserErrorException($"blocksize {options.Blocksize} is no power of two; use 32, 64, 128 ... or 4096.");
        (this.code, this.options) = (code, options);
        compute = options.ComputeDtype switch
        {
            "float32" => torch.float32,
            "bfloat16" => torch.bfloat16,
            _ => null,
        };
    }

    public bool Reads(JsonElement config) =>
        config.ValueKind == JsonValueKind.Object && Text(config, "quant_method") is null or "bitsandbytes" && Flag(config, "load_in_4bit") && (Text(config, "bnb_4bit_quant_type") ?? "fp4") == code.Name;

    public QuantizedMatrix? Read(StoredWeight weight)
    {
        if (!BitsAndBytesFiles.Holds(weight)) return null;
        var matrix = BitsAndBytesFiles.Read(weight, compute);
        ThrowIfOther(weight, matrix);
        return matrix;
    }

    // A folder in 4 bits is used as it is, so options that ask for something else are refused. An option at its default may not have been
    // asked for, since plans write every option.
    private void ThrowIfOther(StoredWeight weight, FourBitMatrix matrix)
    {
        var module = weight.Name[..^".weight".Length];
        var usual = new FourBitOptions();
        var (asked, own) = options.Blocksize != usual.Blocksize && options.Blocksize != matrix.Blocksize ? ($"blocksize {options.Blocksize}", $"in blocks of {matrix.Blocksize}")
            : options.DoubleQuant != usual.DoubleQuant && options.DoubleQuant != (matrix.Nested is not null) ? ($"double_quant {Word(options.DoubleQuant)}", $"with double_quant {Word(matrix.Nested is not null)}")
            : Takes(module) ? ("", "") : ($"skip [{string.Join(", ", options.Skip)}]", "in 4 bits");
        if (asked.Length == 0) return;
        matrix.Dispose();
        throw new UserErrorException($"{weight.Folder}: '{module}' is there {own}, and {asked} asks for something else; a folder that is in 4 bits stays as it is. Leave the option out, or start from the full-precision model.");
    }

    private static string Word(bool value) => value ? "true" : "false";

    public bool Takes(string module) => !options.Skip.Any(skipped => IsMeant(module, skipped));

    public QuantizedMatrix Quantize(string weight, Tensor matrix) => Quantize(weight, matrix, Blocks.PlaceOf(matrix.device));

    internal FourBitMatrix Quantize(string weight, Tensor matrix, KernelPlace place)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var values = matrix.detach().contiguous();
        if (values.dtype is not (torch.ScalarType.Float32 or torch.ScalarType.BFloat16 or torch.ScalarType.Float16)) values = values.to(torch.float32);
        var (packed, absmax) = Blocks.Quantize(values, code, options.Blocksize, place);
        if (!absmax.isfinite().all().item<bool>()) throw new UserErrorException($"The weight '{weight}' holds NaN or infinity and cannot be quantised; check the model with models info --verify.");
        var (factors, nested) = options.DoubleQuant ? Nested(weight, absmax) : (absmax, null);
        return new FourBitMatrix(matrix.size(0), matrix.size(1), code.Name, values.dtype, options.Blocksize, packed, factors, torch.tensor(code.Values, device: matrix.device), nested) { Compute = compute };
    }

    public JsonObject Config(IReadOnlyList<string> kept, torch.ScalarType type) => new()
    {
        ["_load_in_4bit"] = true,
        ["_load_in_8bit"] = false,
        ["bnb_4bit_compute_dtype"] = BitsAndBytesFiles.NameOf(compute ?? type),
        ["bnb_4bit_quant_storage"] = "uint8",
        ["bnb_4bit_quant_type"] = code.Name,
        ["bnb_4bit_use_double_quant"] = options.DoubleQuant,
        ["llm_int8_enable_fp32_cpu_offload"] = false,
        ["llm_int8_has_fp16_weight"] = false,
        ["llm_int8_skip_modules"] = kept.Count == 0 ? null : new JsonArray([.. kept.Select(name => (JsonNode)name)]),
        ["llm_int8_threshold"] = JsonNode.Parse("6.0"),
        ["load_in_4bit"] = true,
        ["load_in_8bit"] = false,
        ["quant_method"] = "bitsandbytes",
    };

    private static (Tensor Factors, NestedFactors Nested) Nested(string weight, Tensor absmax)
    {
        var device = absmax.device;
        var onProcessor = absmax.to(torch.CPU);
        var offset = onProcessor.mean();
        var (codes, second) = Blocks.QuantizeFactors(onProcessor - offset, NestedBlocksize);
        if (absmax.numel() > 0 && !(offset.isfinite().item<bool>() && second.isfinite().all().item<bool>()))
            throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"The weight '{weight}' has blocks as large as {onProcessor.max().item<float>()}, whose mean is beyond float32's range (3.4e38); quantise it without double quantisation (double_quant: false), or check the model."));
        return (codes.to(device), new NestedFactors(torch.tensor(FourBitCode.Dynamic, device: device), second.to(device), NestedBlocksize, offset.item<float>()));
    }

    // transformers' rule for llm_int8_skip_modules, with whole parts of names.
    private static bool IsMeant(string module, string skipped) =>
        module == skipped || module.EndsWith("." + skipped, StringComparison.Ordinal) || module.StartsWith(skipped + ".", StringComparison.Ordinal);

    private static string? Text(JsonElement config, string key) => config.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static bool Flag(JsonElement config, string key) => config.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.True;
}
