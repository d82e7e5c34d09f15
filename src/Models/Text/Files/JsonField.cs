// Reads JSON files of tokenizers with errors that name the file, the field and the reason.
using System.Text.Json;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Text.Files;

/// <summary>A value in a JSON file and the way to it.</summary>
internal readonly struct JsonField(string file, string path, JsonElement value, int index = -1)
{
    private const int MaxDepth = 64;
    private const long MaxBytes = 1L << 30;

    /// <summary>The value.</summary>
    public JsonElement Value => value;

    /// <summary>The way to it, as pre_tokenizer.pattern.</summary>
    public string Path => index < 0 ? path : $"{path}[{index}]";

    /// <summary>Parses a file. The document must be kept as long as fields of it are used.</summary>
    public static JsonField Read(string file, out JsonDocument document)
    {
        var bytes = ReadBytes(file, MaxBytes);
        if (!System.Text.Unicode.Utf8.IsValid(bytes)) throw new TokenizerException($"{file}: not valid UTF-8, so no JSON");
        try
        {
            var start = bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0;
            document = JsonDocument.Parse(bytes.AsMemory(start), new JsonDocumentOptions { MaxDepth = MaxDepth });
            return new JsonField(file, "", document.RootElement);
        }
        catch (JsonException e)
        {
            throw new TokenizerException($"{file}: not valid JSON, or nested more than {MaxDepth} deep: {e.Message}", e);
        }
    }

    /// <summary>The bytes of a file; a missing, unreadable or far too large one is the user's mistake.</summary>
    public static byte[] ReadBytes(string file, long limit)
    {
        try
        {
            var length = RegularFile.Length(file);
            if (length > limit)
                throw new TokenizerException($"{file}: {length} bytes, more than the limit of {limit} for such a file");
            return File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TokenizerException($"{file}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>An error in this value.</summary>
    public TokenizerException Error(string reason) => new($"{file}: {(Path == "" ? "" : Path + ": ")}{reason}");

    /// <summary>Runs what may find a fault in this value; the error then names file and field.</summary>
    public T Guard<T>(Func<T> make)
    {
        try
        {
            return make();
        }
        catch (Exception e) when (e is FormatException or TokenizerException)
        {
            throw Error(e.Message);
        }
    }

    /// <summary>A member that is there and not null, or null.</summary>
    public JsonField? Find(string name)
    {
        _ = Object();
        return value.TryGetProperty(name, out var member) && member.ValueKind != JsonValueKind.Null ? Child(name, member) : null;
    }

    /// <summary>A member that must be there.</summary>
    public JsonField Get(string name) => Find(name) ?? throw Error($"the field '{name}' is missing");

    /// <summary>This value, which must be an object.</summary>
    public JsonField Object() => value.ValueKind == JsonValueKind.Object ? this : throw Error($"must be an object, but is {Kind}");

    /// <summary>The items of an array.</summary>
    public IEnumerable<JsonField> Items()
    {
        if (value.ValueKind != JsonValueKind.Array) throw Error($"must be an array, but is {Kind}");
        return Enumerate(file, Path, value);
    }

    /// <summary>The text of a string.</summary>
    public string Text()
    {
        if (value.ValueKind != JsonValueKind.String) throw Error($"must be a string, but is {Kind}");
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw Error($"is not valid text: {e.Message}");
        }
    }

    /// <summary>A whole number from 0 up to a limit.</summary>
    public int Count(int limit = int.MaxValue)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var number) || number < 0 || number > limit)
            throw Error($"must be a whole number from 0 to {limit}, but is {Kind}");
        return (int)number;
    }

    /// <summary>A number.</summary>
    public double Number() =>
        value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw Error($"must be a number, but is {Kind}");

    /// <summary>The text of a member, or a default.</summary>
    public string Text(string name, string otherwise) => Find(name)?.Text() ?? otherwise;

    /// <summary>A member that is true or false, or a default.</summary>
    public bool Flag(string name, bool otherwise)
    {
        if (Find(name) is not { } field) return otherwise;
        return field.Value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw field.Error($"must be true or false, but is {field.Kind}"),
        };
    }

    private string Kind
    {
        get
        {
            var raw = value.GetRawText();
            return raw.Length <= 60 ? raw : raw[..60] + "...";
        }
    }

    private JsonField Child(string name, JsonElement member) => new(file, Path == "" ? name : $"{Path}.{name}", member);

    private static IEnumerable<JsonField> Enumerate(string file, string path, JsonElement value)
    {
        var index = 0;
        foreach (var item in value.EnumerateArray()) yield return new JsonField(file, path, item, index++);
    }
}
