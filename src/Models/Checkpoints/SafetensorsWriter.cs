// Writing safetensors with the bytes that Hugging Face's library writes: tensors by dtype (widest first), then by name;
// compact JSON, padded with blanks to a multiple of 8. The file appears by rename after a flush to the disk.

using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Writes safetensors files.</summary>
public static class SafetensorsWriter
{
    private const int ChunkBytes = 1 << 24;

    /// <summary>Writes tensors that are at hand; they stay the caller's. Any device, any strides.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="tensors">Names and tensors, in any order: the format's order is made here.</param>
    /// <param name="metadata">Texts for __metadata__, or null for none.</param>
    /// <exception cref="ArgumentException">A name appears twice or is reserved.</exception>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var pending = tensors.Select(t => PendingTensor.Of(t.Key, t.Value)).ToList();
        Write(path, pending, metadata);
    }

    /// <summary>Writes tensors that are made one at a time, in the order of the file.</summary>
    /// <inheritdoc cref="Write(string, IEnumerable{KeyValuePair{string, Tensor}}, IReadOnlyDictionary{string, string})"/>
    public static void Write(string path, IReadOnlyCollection<PendingTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var ordered = Ordered(tensors);
        var header = Header(ordered, metadata);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            foreach (var tensor in ordered) WriteData(stream, tensor, tensor.Make);
        });
    }

    /// <summary>Writes to a stream, making each tensor while the one before it is written; renaming and flushing are the caller's.</summary>
    internal static void WriteAhead(Stream stream, IReadOnlyCollection<PendingTensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var ordered = Ordered(tensors);
        stream.Write(Header(ordered, metadata));
        var next = ordered.Count > 0 ? Make(ordered[0]) : null;
        for (var k = 0; k < ordered.Count; k++)
        {
            var made = next!.GetAwaiter().GetResult();
            next = k + 1 < ordered.Count ? Make(ordered[k + 1]) : null;
            try
            {
                WriteData(stream, ordered[k], () => made);
            }
            catch
            {
                ((IAsyncResult?)next)?.AsyncWaitHandle.WaitOne(); // it reads what the caller is about to close
                throw;
            }
        }
    }

    private static Task<Tensor> Make(PendingTensor tensor) => Task.Run(() =>
    {
        using var scope = torch.NewDisposeScope();
        return tensor.Make().DetachFromDisposeScope();
    });

    private static List<PendingTensor> Ordered(IEnumerable<PendingTensor> tensors) =>
        tensors.OrderBy(t => SafetensorsDtypes.Rank(t.DType)).ThenBy(t => t.Name, Utf8Order.Instance).ToList();

    private static byte[] Header(List<PendingTensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var text = new StringBuilder("{");
        if (metadata is { Count: > 0 })
        {
            var pairs = metadata.OrderBy(m => m.Key, Utf8Order.Instance).Select(m => $"{Quote(m.Key)}:{Quote(m.Value)}");
            text.Append("\"__metadata__\":{").AppendJoin(',', pairs).Append('}');
        }
        var begin = 0L;
        var names = new HashSet<string>();
        foreach (var tensor in tensors)
        {
            if (!names.Add(tensor.Name)) throw new ArgumentException($"two tensors are called {Fault.Quote(tensor.Name)}; a file holds each name once");
            if (tensor.Name == "__metadata__") throw new ArgumentException("the name __metadata__ is reserved by the format");
            var end = begin + tensor.Bytes;
            if (text.Length > 1) text.Append(',');
            var (dtype, shape) = (SafetensorsDtypes.NameOf(tensor.DType), string.Join(',', tensor.Shape));
            text.Append(CultureInfo.InvariantCulture, $$"""{{Quote(tensor.Name)}}:{"dtype":"{{dtype}}","shape":[{{shape}}],"data_offsets":[{{begin}},{{end}}]}""");
            begin = end;
        }
        var json = Encoding.UTF8.GetBytes(text.Append('}').ToString());
        var header = new byte[8 + (json.Length + 7) / 8 * 8];
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - 8);
        json.CopyTo(header, 8);
        header.AsSpan(8 + json.Length).Fill((byte)' ');
        return header;
    }

    private static unsafe void WriteData(Stream stream, PendingTensor pending, Func<Tensor> make)
    {
        using var scope = torch.NewDisposeScope();
        var made = make();
        if (made.dtype != pending.DType || !made.shape.SequenceEqual(pending.Shape))
            throw new InvalidOperationException($"tensor {Fault.Quote(pending.Name)} was announced as {pending.DType} {Fault.Shape(pending.Shape)} but is {made}");
        using var here = made.detach().cpu().contiguous();
        var data = (byte*)here.data_ptr();
        for (var rest = pending.Bytes; rest > 0;)
        {
            var count = (int)Math.Min(rest, ChunkBytes);
            stream.Write(new ReadOnlySpan<byte>(data, count));
            data += count;
            rest -= count;
        }
        made.Dispose();
    }

    private static string Quote(string text)
    {
        var quoted = new StringBuilder();
        QuotedJson.Append(quoted, text, ascii: false);
        return quoted.ToString();
    }

    /// <summary>Order of the names' UTF-8 bytes, which is the order of their code points.</summary>
    private sealed class Utf8Order : IComparer<string>
    {
        public static readonly Utf8Order Instance = new();

        public int Compare(string? a, string? b) => Encoding.UTF8.GetBytes(a!).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(b!));
    }
}
