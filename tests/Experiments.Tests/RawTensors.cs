// A safetensors file taken apart: a length, a JSON header with offsets, the bytes. For files that no command writes.

using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

internal sealed record RawTensor(string Dtype, long[] Shape, byte[] Bytes);

internal static class RawTensors
{
    internal static Dictionary<string, RawTensor> Read(string file)
    {
        var all = File.ReadAllBytes(file);
        var data = 8 + (int)BinaryPrimitives.ReadInt64LittleEndian(all);
        return JsonNode.Parse(all.AsSpan(8, data - 8))!.AsObject().Where(e => e.Key != "__metadata__").ToDictionary(e => e.Key, e =>
        {
            var (from, to) = ((int)e.Value!["data_offsets"]![0]!, (int)e.Value["data_offsets"]![1]!);
            return new RawTensor((string)e.Value["dtype"]!, [.. e.Value["shape"]!.AsArray().Select(size => (long)size!)], all[(data + from)..(data + to)]);
        });
    }

    internal static void Write(string file, Dictionary<string, RawTensor> tensors)
    {
        var (header, at) = (new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } }, 0);
        foreach (var (name, tensor) in tensors)
            header[name] = new JsonObject { ["dtype"] = tensor.Dtype, ["shape"] = new JsonArray([.. tensor.Shape.Select(size => (JsonNode)size)]), ["data_offsets"] = new JsonArray(at, at += tensor.Bytes.Length) };
        var text = Encoding.UTF8.GetBytes(header.ToJsonString());
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, text.Length);
        File.WriteAllBytes(file, [.. length, .. text, .. tensors.Values.SelectMany(tensor => tensor.Bytes)]);
    }
}
