// A reader of pickles that can build dicts, lists, tuples, numbers, texts and tensors, and nothing else. It imports and
// calls nothing: the few permitted names are recognised as texts. Opcodes as in CPython's Lib/pickletools.py, protocols 2
// to 5. Work and memory are bounded by the number of opcodes.

using System.Buffers.Binary;
using System.Text;

namespace PeftAlign.Models.Checkpoints;

internal sealed class Unpickler(byte[] pickle)
{
    /// <summary>Enough for 50,000 tensors; each opcode makes at most one small object.</summary>
    private const int MostOpcodes = 2_000_000;

    private readonly List<object?> stack = [];
    private readonly Dictionary<long, object?> memo = [];
    private int at;

    /// <summary>Reads one object.</summary>
    /// <exception cref="PickleException">The pickle is damaged or asks for something that is not permitted.</exception>
    public object? Read()
    {
        for (var count = 0; count < MostOpcodes; count++)
        {
            var opcode = Byte();
            if (opcode == '.') return stack.Count == 1 ? stack[0] : throw Damaged($"{stack.Count} values are left at its end");
            if (!Constant(opcode) && !Collect(opcode) && !Memo(opcode)) Build(opcode);
        }
        throw new PickleException($"its pickle has more than {MostOpcodes} instructions");
    }

    private bool Constant(byte opcode)
    {
        switch (opcode)
        {
            case 0x80: // PROTO
                if (Byte() is var protocol and not (>= 2 and <= 5)) throw new PickleException($"its pickle has protocol {protocol}; 2 to 5 are read");
                return true;
            case 0x95: Take(8); return true; // FRAME
            case (byte)'N': return Push(null);
            case 0x88: return Push(true);
            case 0x89: return Push(false);
            case (byte)'K': return Push((long)Byte());
            case (byte)'M': return Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)));
            case (byte)'J': return Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)));
            case 0x8a: return Push(Long(Byte()));
            case 0x8b: return Push(Long(BinaryPrimitives.ReadInt32LittleEndian(Take(4))));
            case (byte)'G': return Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8)));
            case 0x8c: return Push(Text(Byte()));
            case (byte)'X': return Push(Text(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))));
            case 0x8d: return Push(Text(BinaryPrimitives.ReadUInt64LittleEndian(Take(8))));
            default: return false;
        }
    }

    private bool Collect(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'(': return Push(PickleMark.Instance);
            case (byte)')': return Push(Array.Empty<object?>());
            case (byte)'}': return Push(new PickleDict());
            case (byte)']': return Push(new List<object?>());
            case 0x85: return Push(Last(1));
            case 0x86: return Push(Last(2));
            case 0x87: return Push(Last(3));
            case (byte)'t': return Push(SinceMark());
            case (byte)'a': Append(Last(1)); return true;
            case (byte)'e': Append(SinceMark()); return true;
            case (byte)'s': Set(Last(2)); return true;
            case (byte)'u': Set(SinceMark()); return true;
            case (byte)'0': Pop(); return true;
            default: return false;
        }
    }

    private bool Memo(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'q': memo[Byte()] = Top(); return true;
            case (byte)'r': memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Top(); return true;
            case 0x94: memo[memo.Count] = Top(); return true;
            case (byte)'h': return Push(Remembered(Byte()));
            case (byte)'j': return Push(Remembered(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))));
            default: return false;
        }
    }

    private void Build(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'c': Push(PickleTensors.Global(Line(), Line())); break;
            case 0x93:
                var names = Last(2);
                Push(PickleTensors.Global(names[0] as string ?? throw NoName(), names[1] as string ?? throw NoName()));
                break;
            case (byte)'Q': Push(PickleTensors.Storage(Pop())); break;
            case (byte)'R':
                var call = Last(2);
                Push(PickleTensors.Call(call[0], call[1]));
                break;
            case (byte)'b': // BUILD: an OrderedDict's attributes, such as _metadata, are of no use here
                Pop();
                if (Top() is not PickleDict) throw new PickleException("its pickle sets the state of an object that is no dict; only tensors by name are read");
                break;
            default: throw new PickleException($"its pickle has the instruction 0x{opcode:x2}, which tensors by name do not need; it is not carried out");
        }
    }

    private void Append(object?[] values)
    {
        if (Top() is not List<object?> list) throw Damaged("values are appended to what is no list");
        list.AddRange(values);
    }

    private void Set(object?[] values)
    {
        if (values.Length % 2 != 0) throw Damaged("a key lacks its value");
        if (Top() is not PickleDict dict) throw Damaged("entries are put into what is no dict");
        for (var k = 0; k < values.Length; k += 2) dict.Items.Add(new(values[k], values[k + 1]));
    }

    private bool Push(object? value)
    {
        stack.Add(value);
        return true;
    }

    private object? Top() => stack.Count > 0 && stack[^1] is not PickleMark ? stack[^1] : throw Damaged("its stack is empty where a value is needed");

    private object? Pop()
    {
        var value = Top();
        stack.RemoveAt(stack.Count - 1);
        return value;
    }

    private object?[] Last(int count)
    {
        if (stack.Count < count) throw Damaged("its stack is empty where a value is needed");
        var values = stack.GetRange(stack.Count - count, count).ToArray();
        if (values.Contains(PickleMark.Instance)) throw Damaged("its stack is empty where a value is needed");
        stack.RemoveRange(stack.Count - count, count);
        return values;
    }

    private object?[] SinceMark()
    {
        var mark = stack.LastIndexOf(PickleMark.Instance);
        if (mark < 0) throw Damaged("a mark is missing");
        var values = stack.GetRange(mark + 1, stack.Count - mark - 1).ToArray();
        stack.RemoveRange(mark, stack.Count - mark);
        return values;
    }

    private object? Remembered(long key) => memo.TryGetValue(key, out var value) ? value : throw Damaged($"value {key} is used before it is made");

    private byte Byte() => at < pickle.Length ? pickle[at++] : throw Damaged("it ends early");

    private ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)(pickle.Length - at)) throw Damaged("it ends early");
        at += (int)count;
        return pickle.AsSpan(at - (int)count, (int)count);
    }

    private string Text(ulong count)
    {
        var bytes = Take(count);
        return System.Text.Unicode.Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Damaged("a text is not UTF-8");
    }

    private string Line()
    {
        var length = pickle.AsSpan(at).IndexOf((byte)'\n');
        if (length < 0) throw Damaged("it ends early");
        var line = Text((ulong)length);
        at++;
        return line;
    }

    /// <summary>A little-endian whole number of any length that fits 64 bits.</summary>
    private long Long(int count)
    {
        if (count is < 0 or > 8) throw new PickleException("its pickle has a number beyond 64 bits");
        var value = 0L;
        var bytes = Take((ulong)count);
        for (var k = 0; k < count; k++) value |= (long)bytes[k] << (8 * k);
        return count is 0 or 8 ? value : value << (64 - 8 * count) >> (64 - 8 * count);
    }

    private static PickleException NoName() => Damaged("a name is no text");

    private static PickleException Damaged(string reason) => new($"its pickle is damaged: {reason}");
}
