// The content of a sentencepiece model file (sentencepiece_model.proto: ModelProto with its pieces, trainer and normalizer
// specs).
namespace PeftAlign.Models.Text.SentencePiece;

/// <summary>Types of a piece, numbered as in the file.</summary>
internal enum PieceType { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 }

/// <summary>One piece of the vocabulary.</summary>
internal readonly record struct SentencePiecePiece(string Text, float Score, PieceType Type)
{
    /// <summary>Whether text can become this piece.</summary>
    public bool IsOrdinary => Type is PieceType.Normal or PieceType.UserDefined or PieceType.Unused;
}

/// <summary>A parsed model file.</summary>
internal sealed class SentencePieceFile
{
    private const int MaxPiece = 8000;

    public List<SentencePiecePiece> Pieces { get; } = [];
    public bool IsBpe { get; private set; }
    public bool ByteFallback { get; private set; }
    public bool SpaceAsSuffix { get; private set; }
    public string UnknownSurface { get; private set; } = " \u2047 ";
    public CharsMap? CharsMap { get; private set; }
    public bool AddDummyPrefix { get; private set; } = true;
    public bool RemoveExtraSpaces { get; private set; } = true;
    public bool EscapeSpaces { get; private set; } = true;

    /// <summary>Id of the unknown piece.</summary>
    public int UnknownId { get; private set; } = -1;

    /// <summary>Id of a control piece by the name that the trainer gave it, or null.</summary>
    public int? Bos => Control(_bosPiece);
    public int? Eos => Control(_eosPiece);
    public int? Pad => Control(_padPiece);

    private string _bosPiece = "<s>", _eosPiece = "</s>", _padPiece = "<pad>";
    private int _modelType = 1;

    /// <summary>Parses a file; throws <see cref="TokenizerException"/> that names it and the fault.</summary>
    public static SentencePieceFile Read(string path)
    {
        var bytes = Files.JsonField.ReadBytes(path, 1L << 30);
        var file = new SentencePieceFile();
        try
        {
            file.Parse(bytes);
            file.Check();
        }
        catch (FormatException e)
        {
            throw new TokenizerException($"{path}: not a usable sentencepiece model: {e.Message}", e);
        }
        return file;
    }

    private void Parse(ReadOnlySpan<byte> bytes)
    {
        var reader = new ProtobufReader(bytes);
        while (reader.Next(out var field))
        {
            switch (field)
            {
                case 1: ParsePiece(reader.Bytes()); break;
                case 2: ParseTrainer(reader.Bytes()); break;
                case 3: ParseNormalizer(reader.Bytes()); break;
                case 5: RefuseDenormalizer(reader.Bytes()); break;
                default: reader.Skip(); break;
            }
        }
    }

    private void ParsePiece(ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        var (text, score, type) = ("", 0f, PieceType.Normal);
        while (reader.Next(out var field))
        {
            switch (field)
            {
                case 1: text = reader.Text(); break;
                case 2: score = reader.Float(); break;
                case 3: type = (PieceType)reader.Number(); break;
                default: reader.Skip(); break;
            }
        }
        if (!Enum.IsDefined(type)) throw new FormatException($"piece {Pieces.Count} '{text}' has the unknown type {(int)type}");
        if (float.IsNaN(score)) throw new FormatException($"the score of piece {Pieces.Count} '{text}' is not a number");
        Pieces.Add(new SentencePiecePiece(text, score, type));
    }

    private void ParseTrainer(ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        while (reader.Next(out var field))
        {
            switch (field)
            {
                case 3: _modelType = (int)reader.Number(); break;
                case 24: SpaceAsSuffix = reader.Flag(); break;
                case 35: ByteFallback = reader.Flag(); break;
                case 44: UnknownSurface = reader.Text(); break;
                case 46: _bosPiece = reader.Text(); break;
                case 47: _eosPiece = reader.Text(); break;
                case 48: _padPiece = reader.Text(); break;
                default: reader.Skip(); break;
            }
        }
    }

    private void ParseNormalizer(ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        while (reader.Next(out var field))
        {
            switch (field)
            {
                case 2:
                    var map = reader.Bytes();
                    CharsMap = map.IsEmpty ? null : CharsMap.Parse(map);
                    break;
                case 3: AddDummyPrefix = reader.Flag(); break;
                case 4: RemoveExtraSpaces = reader.Flag(); break;
                case 5: EscapeSpaces = reader.Flag(); break;
                default: reader.Skip(); break;
            }
        }
    }

    private static void RefuseDenormalizer(ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        while (reader.Next(out var field))
        {
            if (field == 2 && !reader.Bytes().IsEmpty)
                throw new FormatException("denormalizer_spec has rules, which are not supported");
            if (field != 2) reader.Skip();
        }
    }

    private void Check()
    {
        IsBpe = _modelType == 2;
        if (_modelType is not (1 or 2))
            throw new FormatException($"model_type {_modelType} is not supported; only 1 (unigram) and 2 (BPE) are");
        if (Pieces.Count == 0) throw new FormatException("it has no pieces");
        var (ordinary, reserved) = (new HashSet<string>(), new HashSet<string>());
        for (var id = 0; id < Pieces.Count; id++)
        {
            var piece = Pieces[id];
            if (piece.Text == "") throw new FormatException($"piece {id} is empty");
            if (piece.Text.Length > MaxPiece)
                throw new FormatException($"piece {id} has {piece.Text.Length} characters; the limit is {MaxPiece}");
            if (!(piece.IsOrdinary ? ordinary : reserved).Add(piece.Text))
                throw new FormatException($"piece '{piece.Text}' occurs twice");
            if (piece.Type == PieceType.Unknown)
            {
                if (UnknownId >= 0) throw new FormatException($"pieces {UnknownId} and {id} are both of type UNKNOWN");
                UnknownId = id;
            }
        }
        if (UnknownId < 0) throw new FormatException("no piece is of type UNKNOWN");
        var bytes = Pieces.Count(piece => piece.Type == PieceType.Byte);
        if (ByteFallback && bytes != 256)
            throw new FormatException($"byte_fallback is on, but there are {bytes} byte pieces, not 256");
        if (!ByteFallback && bytes > 0) throw new FormatException($"there are {bytes} byte pieces, but byte_fallback is off");
        foreach (var piece in Pieces)
            if (piece.Type == PieceType.Byte && Decoders.ByteFallbackDecoder.ByteOf(piece.Text) is null)
                throw new FormatException($"the byte piece '{piece.Text}' is not of the form <0xNN>");
    }

    private int? Control(string text)
    {
        var id = Pieces.FindIndex(piece => piece.Type == PieceType.Control && piece.Text == text);
        return id < 0 ? null : id;
    }
}
