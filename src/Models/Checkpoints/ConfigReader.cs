// Typed access to one JSON object of a model folder. Every wrong value is an error that names file, key, value and limit;
// null counts as absent, as in transformers.

using System.Globalization;
using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

internal readonly struct ConfigReader(string file, JsonElement json, Func<string, string>? before = null)
{
    /// <summary>Larger sizes are no model's; a bound on each keeps products within 64 bits.</summary>
    public const int LargestSize = 1 << 24;

    public string File => file;

    public JsonElement Json => json;

    public bool Has(string key) => Find(key) != null;

    public IEnumerable<JsonElement> Values() => json.EnumerateObject().Select(p => p.Value);

    public JsonElement? Find(string key) => json.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public ConfigReader? Child(string key)
    {
        if (Find(key) is not { } value) return null;
        return value.ValueKind == JsonValueKind.Object ? Inner(key, value) : throw Wrong(key, value, "an object");
    }

    public string? Text(string key) =>
        Find(key) is not { } value ? null : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(key, value, "a text");

    public bool? Bool(string key) => Find(key) is not { } value ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(key, value, "true or false"),
    };

    /// <summary>A whole number within bounds; 5.0 counts as 5.</summary>
    public long? Whole(string key, long least, long most)
    {
        if (Find(key) is not { } value) return null;
        if (WholeOf(value) is not { } number) throw Wrong(key, value, "a whole number");
        return number >= least && number <= most ? number : throw Wrong(key, value, $"from {least} to {most}");
    }

    /// <summary>A count of at least 1.</summary>
    public int? Size(string key) => (int?)Whole(key, 1, LargestSize);

    /// <summary>A token id; a negative one, which old files write for "none", is null.</summary>
    public int? Id(string key) => Whole(key, int.MinValue, int.MaxValue) is >= 0 and var id ? (int)id : null;

    /// <summary>One token id or a list of them.</summary>
    public IReadOnlyList<int>? Ids(string key)
    {
        if (Find(key) is not { } value) return null;
        if (value.ValueKind != JsonValueKind.Array) return Id(key) is { } id ? [id] : [];
        var ids = new List<int>();
        foreach (var item in value.EnumerateArray())
            ids.Add(WholeOf(item) is { } n and >= 0 and <= int.MaxValue ? (int)n : throw Wrong(key, item, "a token id, or a list of them"));
        return ids;
    }

    public double? Number(string key)
    {
        if (Find(key) is not { } value) return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number) ? number : throw Wrong(key, value, "a finite number");
    }

    public double? Positive(string key) => Number(key) is not { } number ? null : number > 0 ? number : throw Wrong(key, number, "a positive number");

    public IReadOnlyList<double>? PositiveList(string key)
    {
        if (Find(key) is not { } value) return null;
        if (value.ValueKind != JsonValueKind.Array) throw Wrong(key, value, "a list of positive numbers");
        var numbers = new List<double>();
        foreach (var item in value.EnumerateArray())
            numbers.Add(item.ValueKind == JsonValueKind.Number && item.GetDouble() is > 0 and < double.PositiveInfinity and var n ? n : throw Wrong(key, item, "a list of positive numbers"));
        return numbers;
    }

    public IReadOnlyList<string>? Texts(string key)
    {
        if (Find(key) is not { } value) return null;
        if (value.ValueKind != JsonValueKind.Array) throw Wrong(key, value, "a list of texts");
        var texts = new List<string>();
        foreach (var item in value.EnumerateArray())
            texts.Add(item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Wrong(key, item, "a list of texts"));
        return texts;
    }

    /// <summary>The error for a value; null stands for a key that is not there.</summary>
    public UserErrorException Wrong(string key, object? value, string wanted)
    {
        var shown = value switch
        {
            null => "missing",
            JsonElement element => Shown(element),
            string text => Fault.Quote(text),
            _ => Convert.ToString(value, CultureInfo.InvariantCulture),
        };
        return Fault.In(file, $"{Before(key)}{key} is {shown}; it must be {wanted}.");
    }

    private string Before(string key) => before?.Invoke(key) ?? "";

    private ConfigReader Inner(string key, JsonElement value)
    {
        var path = $"{Before(key)}{key}.";
        return new ConfigReader(file, value, _ => path);
    }

    private static string Shown(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.String) return Fault.Quote(value.GetString()!);
        var text = string.Join(' ', value.GetRawText().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return text.Length > 80 ? text[..80] + "…" : text;
    }

    private static long? WholeOf(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Number) return null;
        if (value.TryGetInt64(out var whole)) return whole;
        var number = value.GetDouble();
        return Math.Abs(number) < 1L << 53 && Math.Floor(number) == number ? (long)number : null;
    }
}
