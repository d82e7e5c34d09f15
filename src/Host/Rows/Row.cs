// One row of an input: a JSON object and the place that errors name. Strict: UTF-8, no key twice, no half characters.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Rows;

internal sealed class Row : IDisposable
{
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    private readonly JsonDocument document;

    private Row(string place, JsonDocument document) => (Place, this.document) = (place, document);

    /// <summary>Where the row stands: file and line, or the option that it was made from.</summary>
    public string Place { get; }

    /// <summary>The object; valid as long as the row is not disposed.</summary>
    public JsonElement Fields => document.RootElement;

    /// <summary>Reads a row.</summary>
    /// <param name="place">Where it stands.</param>
    /// <param name="line">UTF-8; must not change while the row is in use.</param>
    /// <exception cref="UserError">The line is not one JSON object.</exception>
    public static Row Parse(string place, ReadOnlyMemory<byte> line)
    {
        if (!Utf8.IsValid(line.Span)) throw new UserError(place, "is not valid UTF-8", "save the file as UTF-8");
        JsonDocument document;
        try
        {
            RowJson.RefuseHalves(line.Span);
            document = JsonDocument.Parse(line, Strict);
        }
        catch (JsonException e)
        {
            throw new UserError(place, $"is not valid JSON ({RowJson.Cause(e)})", Remedy(line), e);
        }
        if (document.RootElement.ValueKind == JsonValueKind.Object) return new Row(place, document);
        using (document) throw new UserError(place, $"holds {Kind(document.RootElement)}", Remedy(line));
    }

    // Whatever the file's name: these rows come from no manifest, which could read another format.
    private static string Remedy(ReadOnlyMemory<byte> line) => RowJson.Remedy(Encoding.UTF8.GetString(line.Span[..Math.Min(line.Length, 64)]), "");

    /// <summary>A row that the command line gives instead of a file.</summary>
    public static Row Of(string place, JsonObject fields) => new(place, JsonSerializer.SerializeToDocument(fields));

    /// <summary>The value of a field; null where it is absent or JSON's null.</summary>
    public JsonElement? Find(string name) =>
        Fields.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>The text of a field, or null where there is none.</summary>
    /// <exception cref="UserError">The value is no text.</exception>
    public string? Text(string name) => Find(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(name, "a text", value);

    /// <summary>The flag in a field, or null where there is none.</summary>
    /// <exception cref="UserError">The value is neither true nor false.</exception>
    public bool? Flag(string name) => Find(name) is not { } value ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(name, "true or false", value);

    /// <summary>The list in a field, or null where there is none.</summary>
    /// <exception cref="UserError">The value is no list.</exception>
    public JsonElement? List(string name) => Find(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Array ? value : throw Wrong(name, "a list", value);

    /// <summary>The whole number of a field, at least <paramref name="least"/>, or null where there is none.</summary>
    /// <exception cref="UserError">The value is no such number.</exception>
    public int? Number(string name, int least) =>
        Find(name) is { } value ? Whole(value, least) ?? throw Wrong(name, $"a whole number from {least} to {int.MaxValue}", value) : null;

    /// <summary>The token ids in a field, or null where there is none.</summary>
    /// <exception cref="UserError">The value is no list of whole numbers from 0.</exception>
    public int[]? Ids(string name) => List(name) is not { } list ? null
        : [.. list.EnumerateArray().Select(id => Whole(id, 0) ?? throw Fault($"\"{name}\" holds {Shown(id)}", $"ids are whole numbers from 0 to {int.MaxValue}"))];

    /// <summary>A mistake in this row.</summary>
    /// <param name="limit">What is wrong.</param>
    /// <param name="nextAction">What to do.</param>
    public UserError Fault(string limit, string nextAction) => new(Place, limit, nextAction);

    /// <summary>A mistake that was found while the row was worked on; its message says the rest.</summary>
    public UserErrorException Fault(UserErrorException cause) => new($"{Place}: {cause.Message}", cause);

    public void Dispose() => document.Dispose();

    private static int? Whole(JsonElement value, int least) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= least ? number : null;

    private UserError Wrong(string name, string wanted, JsonElement value) => Fault($"\"{name}\" holds {Kind(value)}", $"it must be {wanted}");

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        _ => Shown(value),
    };

    private static string Shown(JsonElement value) => value.GetRawText() is { Length: > 40 } raw ? $"{raw[..40]}..." : value.GetRawText();
}
