// The header of a safetensors file: 8 bytes of length (little endian), then one JSON object, padded with blanks, that
// gives each tensor's dtype, shape and byte range. Every byte after the header must belong to exactly one tensor.
// Memory is bounded by the header's own length; a wrong length is refused before anything is allocated.

using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>One tensor's place in the file, from its start.</summary>
internal sealed record SafetensorsPlace(StoredTensor Tensor, long Begin, long End);

internal sealed class SafetensorsHeader
{
    /// <summary>The format's own limit on a header's length.</summary>
    private const long LongestHeader = 100_000_000;

    private readonly string file;
    private readonly long dataLength;
    private readonly HashSet<string> names = [];

    private SafetensorsHeader(string file, long dataLength) => (this.file, this.dataLength) = (file, dataLength);

    /// <summary>Tensors in the order of their data, with places counted from the start of the data.</summary>
    public List<SafetensorsPlace> Places { get; } = [];

    public Dictionary<string, string> Metadata { get; } = [];

    /// <summary>Where the data starts.</summary>
    public long DataStart { get; private init; }

    /// <exception cref="UserErrorException">The header is not valid, or does not describe this file.</exception>
    public static SafetensorsHeader Read(SafeFileHandle handle, string file)
    {
        var fileLength = RandomAccess.GetLength(handle);
        if (fileLength < 8) throw Fault.In(file, $"the file has {fileLength} bytes and a safetensors file at least 8; it is empty or cut off, copy it again.");
        Span<byte> prefix = stackalloc byte[8];
        ReadAll(handle, prefix, 0, file);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > LongestHeader)
            throw Fault.In(file, $"the header's length is {length} and the format's limit {LongestHeader}; this is not a safetensors file.");
        if ((long)length > fileLength - 8)
            throw Fault.In(file, $"the header's length is {length} but only {fileLength - 8} bytes follow; the file is cut off, copy it again.");
        var text = new byte[length];
        ReadAll(handle, text, 8, file);
        var header = new SafetensorsHeader(file, fileLength - 8 - (long)length) { DataStart = 8 + (long)length };
        header.Parse(text);
        header.CheckCoverage();
        return header;
    }

    private static void ReadAll(SafeFileHandle handle, Span<byte> target, long offset, string file)
    {
        while (target.Length > 0)
        {
            var count = RandomAccess.Read(handle, target, offset);
            if (count == 0) throw Fault.In(file, "the file became shorter while it was read; copy it again.");
            target = target[count..];
            offset += count;
        }
    }

    private void Parse(byte[] text)
    {
        if (!Utf8.IsValid(text)) throw Fault.In(file, "the header is not UTF-8; this is not a safetensors file, or it is damaged.");
        if (text.Length == 0 || text[0] != '{') throw Fault.In(file, "the header is not a JSON object; this is not a safetensors file, or it is damaged.");
        var reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = 8 });
        try
        {
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                if (!names.Add(name)) throw Fault.In(file, name, "the header names it twice; write the file again.");
                reader.Read();
                if (name == "__metadata__") ParseMetadata(ref reader);
                else ParseTensor(ref reader, name);
            }
            reader.Read(); // blanks may follow, nothing else
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw Fault.In(file, $"the header is not valid JSON ({StrictJson.Cause(e)}); the file is damaged, copy it again.", e);
        }
    }

    private void ParseMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw Fault.In(file, "__metadata__ must be an object of texts.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String) throw Fault.In(file, $"__metadata__ {Fault.Quote(key)} must be a text, not a {Kind(reader.TokenType)}.");
            if (!Metadata.TryAdd(key, reader.GetString()!)) throw Fault.In(file, $"__metadata__ names {Fault.Quote(key)} twice.");
        }
    }

    private void ParseTensor(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw Fault.In(file, name, $"its entry must be an object, not a {Kind(reader.TokenType)}.");
        string? dtype = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            var twice = key switch { "dtype" => dtype != null, "shape" => shape != null, "data_offsets" => offsets != null, _ => false };
            if (twice) throw Fault.In(file, name, $"its entry gives {key} twice.");
            if (key == "dtype") dtype = reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw Fault.In(file, name, "dtype must be a text.");
            else if (key == "shape") shape = Naturals(ref reader, name, key);
            else if (key == "data_offsets") offsets = Naturals(ref reader, name, key);
            else throw Fault.In(file, name, $"its entry has the unknown key {Fault.Quote(key)}; the format has dtype, shape and data_offsets.");
        }
        Add(name, dtype ?? throw Missing(name, "dtype"), shape ?? throw Missing(name, "shape"), offsets ?? throw Missing(name, "data_offsets"));
    }

    private UserErrorException Missing(string name, string key) => Fault.In(file, name, $"its entry lacks {key}; the file is damaged, write it again.");

    private long[] Naturals(ref Utf8JsonReader reader, string name, string key)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw Fault.In(file, name, $"{key} must be a list of whole numbers.");
        var (numbers, count) = (new long[4], 0);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var number) || number < 0)
                throw Fault.In(file, name, $"{key} must hold whole numbers from 0 to 2^63 - 1 only.");
            if (count == numbers.Length) Array.Resize(ref numbers, 2 * count);
            numbers[count++] = number;
        }
        Array.Resize(ref numbers, count);
        return numbers;
    }

    private void Add(string name, string dtypeName, long[] shape, long[] offsets)
    {
        var dtype = SafetensorsDtypes.Find(dtypeName) ?? throw Fault.In(file, name, SafetensorsDtypes.WhyNot(dtypeName) + ".");
        if (offsets is not [var begin, var end]) throw Fault.In(file, name, $"data_offsets has {offsets.Length} entries; it must have 2.");
        if (begin > end) throw Fault.In(file, name, $"data_offsets [{begin}, {end}] run backwards.");
        if (end > dataLength) throw Fault.In(file, name, $"its data end at byte {end} but the file holds {dataLength}; the file is cut off, copy it again.");
        if (shape.Length > 64) throw Fault.In(file, name, $"it has {shape.Length} dimensions; the limit is 64.");
        var (bytes, empty) = ((UInt128)dtype.ElementSize(), false);
        // A size of 0 makes the tensor empty, but may not hide the overflow of the others.
        foreach (var size in shape)
        {
            bytes *= (UInt128)Math.Max(size, 1);
            empty |= size == 0;
            if (bytes > long.MaxValue) throw Fault.In(file, name, $"shape {Fault.Shape(shape)} overflows 2^63 bytes.");
        }
        if (empty) bytes = 0;
        if (bytes != (UInt128)(end - begin))
            throw Fault.In(file, name, $"shape {Fault.Shape(shape)} of {dtypeName} needs {bytes} bytes but data_offsets [{begin}, {end}] hold {end - begin}.");
        Places.Add(new SafetensorsPlace(new StoredTensor(name, dtype, shape, file), begin, end));
    }

    private void CheckCoverage()
    {
        Places.Sort((a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.End.CompareTo(b.End));
        var covered = 0L;
        foreach (var (tensor, begin, end) in Places)
        {
            if (begin < covered) throw Fault.In(file, tensor.Name, $"its data start at byte {begin}, inside another tensor's, which end at {covered}.");
            if (begin > covered) throw Fault.In(file, tensor.Name, $"its data start at byte {begin}, but bytes {covered} to {begin} belong to no tensor.");
            covered = end;
        }
        if (covered != dataLength) throw Fault.In(file, $"the tensors' data end at byte {covered} but the file holds {dataLength}; the bytes after them belong to no tensor.");
    }

    private static string Kind(JsonTokenType token) => token switch
    {
        JsonTokenType.StartArray => "list",
        JsonTokenType.StartObject => "object",
        JsonTokenType.String => "text",
        JsonTokenType.Number => "number",
        _ => "value of another kind",
    };
}
