// bitsandbytes' tensors in safetensors as transformers writes them: NAME the codes, NAME.absmax, NAME.quant_map, with double
// quantisation NAME.nested_absmax and NAME.nested_quant_map, and NAME.quant_state.bitsandbytes__TYPE, UTF-8 JSON in a uint8 tensor.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora;

internal static class BitsAndBytesFiles
{
    private const string State = ".quant_state.bitsandbytes__";

    internal static IReadOnlyDictionary<string, Tensor> Parts(FourBitMatrix matrix, Tensor packed, Tensor absmax, Tensor code)
    {
        var parts = new Dictionary<string, Tensor> { [""] = packed, [".absmax"] = absmax, [".quant_map"] = code };
        if (matrix.Nested is { } nested) (parts[".nested_absmax"], parts[".nested_quant_map"]) = (nested.Absmax, nested.Map);
        parts[State + matrix.Type] = torch.tensor(Encoding.UTF8.GetBytes(StateOf(matrix)));
        return parts;
    }

    /// <summary>Whether a folder holds a weight in 4 bits, of whatever type.</summary>
    internal static bool Holds(StoredWeight weight) => weight.PartNames.Any(name => name.StartsWith(weight.Name + State, StringComparison.Ordinal));

    /// <exception cref="UserErrorException">A part is missing or does not fit.</exception>
    internal static FourBitMatrix Read(StoredWeight weight, torch.ScalarType? compute)
    {
        var stateName = weight.PartNames.First(name => name.StartsWith(weight.Name + State, StringComparison.Ordinal));
        var state = ReadState(weight, stateName);
        var (outputs, inputs) = (weight.Shape[0], weight.Shape[1]);
        if (!state.Shape.SequenceEqual(weight.Shape)) throw Wrong(weight, $"its quant_state has the shape [{string.Join(", ", state.Shape)}] but config.json asks for [{outputs}, {inputs}]");
        var count = outputs * inputs;
        var blocks = (count + state.Blocksize - 1) / state.Blocksize;
        var packed = Bytes(weight, "").reshape(-1, 1);
        if (packed.numel() != (count + 1) / 2) throw Wrong(weight, $"it holds {packed.numel()} bytes of codes; {count} values need {(count + 1) / 2}");
        var nested = Nested(weight, state, blocks);
        var absmax = nested is null ? Floats(weight, ".absmax", blocks) : Typed(weight, ".absmax", torch.uint8).contiguous();
        if (absmax.numel() != blocks) throw Wrong(weight, $"its absmax has {absmax.numel()} entries; {blocks} blocks need one each");
        var type = stateName[(weight.Name.Length + State.Length)..];
        return new FourBitMatrix(outputs, inputs, type, state.Type, state.Blocksize, packed, absmax, Floats(weight, ".quant_map", 16), nested) { Compute = compute };
    }

    // The tensor decides, as in bitsandbytes: what the state says beside it must be whole.
    private static NestedFactors? Nested(StoredWeight weight, StateFacts state, long blocks)
    {
        if (weight.Part(weight.Name + ".nested_absmax") is null)
            return state.NestedBlocksize is null ? null : throw Wrong(weight, "its quant_state has nested_blocksize, and its nested_absmax is missing");
        if (state.NestedBlocksize is not { } size) throw Wrong(weight, "it has nested_absmax, and its quant_state lacks nested_blocksize");
        if (size < 1) throw Wrong(weight, $"its nested_blocksize is {size} and must be at least 1");
        if (state.NestedOffset is not { } offset) throw Wrong(weight, "it has nested_absmax, and its quant_state lacks nested_offset");
        if (!float.IsFinite(offset)) throw Wrong(weight, "its nested_offset is no number of float32");
        return new NestedFactors(Floats(weight, ".nested_quant_map", 256), Floats(weight, ".nested_absmax", (blocks + size - 1) / size), size, offset);
    }

    private sealed record StateFacts(int Blocksize, long[] Shape, torch.ScalarType Type, int? NestedBlocksize, float? NestedOffset);

    private static StateFacts ReadState(StoredWeight weight, string name)
    {
        try
        {
            var json = JsonNode.Parse(Encoding.UTF8.GetString(Typed(weight, name[weight.Name.Length..], torch.uint8).contiguous().data<byte>().ToArray()))!;
            var blocksize = (int)json["blocksize"]!;
            if (blocksize is < 32 or > 4096 || (blocksize & (blocksize - 1)) != 0) throw Wrong(weight, $"its blocks are of {blocksize}; 32, 64 ... 4096 are known");
            return new StateFacts(blocksize, [.. json["shape"]!.AsArray().Select(size => (long)size!)], TypeOf((string)json["dtype"]!),
                (int?)json["nested_blocksize"], (float?)json["nested_offset"]);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or NullReferenceException or ArgumentException)
        {
            throw Wrong(weight, $"its {name[(weight.Name.Length + 1)..]} is no state that bitsandbytes writes");
        }
    }

    // In bitsandbytes' order, which makes the bytes equal.
    private static string StateOf(FourBitMatrix matrix)
    {
        var json = new JsonObject
        {
            ["quant_type"] = matrix.Type,
            ["blocksize"] = matrix.Blocksize,
            ["dtype"] = NameOf(matrix.StoredType),
            ["shape"] = new JsonArray(matrix.Outputs, matrix.Inputs),
        };
        if (matrix.Nested is { } nested)
            (json["nested_blocksize"], json["nested_dtype"], json["nested_offset"]) = (nested.Blocksize, "float32", (double)nested.Offset);
        return PythonJson(json);
    }

    // json.dumps: ", " and ": " between; no text here holds either.
    private static string PythonJson(JsonNode json) => json.ToJsonString().Replace(",", ", ", StringComparison.Ordinal).Replace(":", ": ", StringComparison.Ordinal);

    // Codes may be kept as another type of the same bytes (bnb_4bit_quant_storage).
    private static Tensor Bytes(StoredWeight weight, string end)
    {
        var tensor = Part(weight, end).contiguous();
        return tensor.dtype == torch.uint8 ? tensor : tensor.view(-1).view(torch.uint8);
    }

    private static Tensor Floats(StoredWeight weight, string end, long count)
    {
        var stored = Part(weight, end);
        if (!stored.is_floating_point()) throw Wrong(weight, $"its {end[1..]} is of {Word(stored.dtype)} and must be of float32");
        var tensor = stored.to(torch.float32).reshape(-1);
        return tensor.numel() == count ? tensor : throw Wrong(weight, $"its {end[1..]} has {tensor.numel()} entries and should have {count}");
    }

    private static Tensor Typed(StoredWeight weight, string end, torch.ScalarType type)
    {
        var tensor = Part(weight, end);
        return tensor.dtype == type ? tensor : throw Wrong(weight, $"its {end[1..]} is of {Word(tensor.dtype)} and must be of {Word(type)}");
    }

    private static Tensor Part(StoredWeight weight, string end) => weight.Part(weight.Name + end) ?? throw Wrong(weight, $"its {(end == "" ? "codes are" : end[1..] + " is")} missing");

    internal static string NameOf(torch.ScalarType type) => type.ToString().ToLowerInvariant();

    // torch's word.
    private static string Word(torch.ScalarType type) => type == torch.uint8 ? "uint8" : NameOf(type);

    private static torch.ScalarType TypeOf(string name) => name switch
    {
        "float32" => torch.float32,
        "bfloat16" => torch.bfloat16,
        "float16" => torch.float16,
        _ => throw new ArgumentException(name),
    };

    private static UserErrorException Wrong(StoredWeight weight, string what) =>
        new($"{weight.Folder}: tensor '{weight.Name}': {what}. Quantise the model again, or fetch its files again.");
}
