// A reader of the protobuf wire format, as much as sentencepiece's files need. Lengths are checked against what is there before
// anything is allocated.
using System.Buffers.Binary;
using System.Text;

namespace PeftAlign.Models.Text.SentencePiece;

/// <summary>Walks the fields of one message. Throws <see cref="FormatException"/> where the bytes are no such message.</summary>
internal ref struct ProtobufReader(ReadOnlySpan<byte> message)
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    private readonly ReadOnlySpan<byte> _bytes = message;
    private int _position;
    private int _wireType;

    /// <summary>Goes to the next field; false at the end of the message.</summary>
    public bool Next(out int field)
    {
        field = 0;
        if (_position >= _bytes.Length) return false;
        var tag = Varint();
        (field, _wireType) = ((int)(tag >> 3), (int)(tag & 7));
        if (field == 0 || tag >> 3 > 536_870_911)
            throw new FormatException($"byte {_position}: a field has the number {tag >> 3}");
        return true;
    }

    /// <summary>The value of a varint field.</summary>
    public ulong Number()
    {
        Expect(0, "a number");
        return Varint();
    }

    /// <summary>The value of a varint field as true or false.</summary>
    public bool Flag() => Number() != 0;

    /// <summary>The value of a 32-bit field as a float.</summary>
    public float Float()
    {
        Expect(5, "a float");
        return BinaryPrimitives.ReadSingleLittleEndian(Take(4));
    }

    /// <summary>The bytes of a length-delimited field.</summary>
    public ReadOnlySpan<byte> Bytes()
    {
        Expect(2, "bytes");
        return Take(Varint());
    }

    /// <summary>The text of a length-delimited field.</summary>
    public string Text()
    {
        try
        {
            return Strict.GetString(Bytes());
        }
        catch (DecoderFallbackException)
        {
            throw new FormatException($"byte {_position}: a text is not UTF-8");
        }
    }

    /// <summary>Passes over the field's value.</summary>
    public void Skip()
    {
        switch (_wireType)
        {
            case 0: Varint(); break;
            case 1: Take(8); break;
            case 2: Take(Varint()); break;
            case 5: Take(4); break;
            default: throw new FormatException($"byte {_position}: a field has the unknown wire type {_wireType}");
        }
    }

    private readonly void Expect(int wireType, string what)
    {
        if (_wireType != wireType) throw new FormatException($"byte {_position}: wire type {_wireType} where {what} must stand");
    }

    private ulong Varint()
    {
        var value = 0UL;
        for (var shift = 0; shift < 70; shift += 7)
        {
            if (_position >= _bytes.Length) throw new FormatException($"the file ends inside a number, at byte {_position}");
            var b = _bytes[_position++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80) return value;
        }
        throw new FormatException($"byte {_position}: a number is longer than ten bytes");
    }

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)(_bytes.Length - _position))
            throw new FormatException($"byte {_position}: a field claims {length} bytes, but {_bytes.Length - _position} are left");
        var taken = _bytes.Slice(_position, (int)length);
        _position += (int)length;
        return taken;
    }
}
