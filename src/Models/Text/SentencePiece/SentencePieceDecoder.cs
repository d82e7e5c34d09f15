// Pieces to text as sentencepiece does it: control pieces are invisible, the space before the text is taken back, runs of bytes
// become characters, one U+FFFD per byte that is none.
using System.Text;
using PeftAlign.Models.Text.Decoders;

namespace PeftAlign.Models.Text.SentencePiece;

/// <summary>Decodes with the pieces of a model.</summary>
internal sealed class SentencePieceDecoder(SentencePieceFile file) : Decoders.Decoder
{
    private const char Space = '\u2581';

    private readonly Dictionary<string, PieceType> _types = Types(file);

    public override List<string> Decode(List<string> tokens)
    {
        var text = new StringBuilder();
        var bytes = new List<byte>();
        var (atStart, spaceTaken) = (true, false);
        foreach (var token in tokens)
        {
            var type = _types.GetValueOrDefault(token, PieceType.Normal);
            if (type == PieceType.Byte)
            {
                bytes.Add(ByteFallbackDecoder.ByteOf(token)!.Value);
                continue;
            }
            AddBytes(bytes, text);
            if (spaceTaken || text.Length > 0) atStart = false;
            spaceTaken = false;
            if (type == PieceType.Control) continue;
            if (type == PieceType.Unknown)
            {
                text.Append(file.UnknownSurface);
                continue;
            }
            var takes = atStart && (file.AddDummyPrefix || file.RemoveExtraSpaces) && token[0] == Space;
            spaceTaken = takes && !file.RemoveExtraSpaces;
            text.Append(takes ? token[1..] : token);
            text.Replace(Space, ' ', text.Length - token.Length + (takes ? 1 : 0), token.Length - (takes ? 1 : 0));
        }
        AddBytes(bytes, text);
        return [text.ToString()];
    }

    private static void AddBytes(List<byte> bytes, StringBuilder text)
    {
        if (bytes.Count == 0) return;
        ReadOnlySpan<byte> rest = bytes.ToArray();
        while (rest.Length > 0)
        {
            if (Rune.DecodeFromUtf8(rest, out var rune, out var used) == System.Buffers.OperationStatus.Done)
                text.Append(rune.ToString());
            else
            {
                text.Append('\uFFFD');
                used = 1;
            }
            rest = rest[used..];
        }
        bytes.Clear();
    }

    // A reserved piece goes before an ordinary one of the same text.
    private static Dictionary<string, PieceType> Types(SentencePieceFile file)
    {
        var types = new Dictionary<string, PieceType>();
        foreach (var piece in file.Pieces)
            if (!piece.IsOrdinary || !types.ContainsKey(piece.Text)) types[piece.Text] = piece.Type;
        return types;
    }
}
