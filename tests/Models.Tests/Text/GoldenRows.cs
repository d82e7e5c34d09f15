// Compares a tokenizer with rows of golden files, and collects every difference so that one failure shows them all.
using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Tests.Text;

internal sealed class GoldenRows
{
    private readonly List<string> _differences = [];

    /// <summary>How many values were compared.</summary>
    public int Compared { get; private set; }

    /// <summary>Compares one value.</summary>
    public void Equal<T>(string what, T expected, T actual)
    {
        Compared++;
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
            _differences.Add($"{what}: expected {Show(expected)} but was {Show(actual)}");
    }

    /// <summary>Compares a list.</summary>
    public void Same<T>(string what, IEnumerable<T> expected, IEnumerable<T> actual)
    {
        Compared++;
        if (!expected.SequenceEqual(actual)) _differences.Add($"{what}: expected {List(expected)} but was {List(actual)}");
    }

    /// <summary>Ends the test.</summary>
    public void Check()
    {
        Assert.That(Compared, Is.GreaterThan(0), "nothing was compared");
        if (_differences.Count > 0)
            Assert.Fail($"{_differences.Count} of {Compared} differ:\n{string.Join('\n', _differences.Take(25))}");
    }

    /// <summary>The numbers of a JSON array.</summary>
    public static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];

    /// <summary>The offsets of a JSON array of pairs.</summary>
    public static (int, int)[] Offsets(JsonElement array) =>
        [.. array.EnumerateArray().Select(pair => (pair[0].GetInt32(), pair[1].GetInt32()))];

    /// <summary>The text of a value, where null stands for another text.</summary>
    public static string TextOr(JsonElement value, string otherwise) => value.ValueKind == JsonValueKind.Null ? otherwise
        : value.GetString()!;

    /// <summary>Both interfaces of a tokenizer.</summary>
    public static ITokenizerDetails Details(ITokenizer tokenizer) => (ITokenizerDetails)tokenizer;

    private static string List<T>(IEnumerable<T> values) => $"[{string.Join(", ", values)}]";

    private static string Show<T>(T value) => value is string text ? JsonSerializer.Serialize(text) : $"{value}";
}
