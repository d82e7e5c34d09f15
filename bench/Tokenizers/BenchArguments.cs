// The command line of the benchmark.
using System.Globalization;
using System.Text.Json;

namespace PeftAlign.Bench.Tokenizers;

/// <summary>What the command line asks for.</summary>
internal sealed record BenchArguments(string Text, List<(string Name, string Path)> Tokenizers, int Runs, int Lines,
    int LongMegabytes)
{
    /// <summary>Parses the command line; null where it is not valid.</summary>
    public static BenchArguments? Parse(string[] arguments)
    {
        var (runs, lines, megabytes) = (3, int.MaxValue, 0);
        var words = new List<string>();
        for (var i = 0; i < arguments.Length; i++)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal))
            {
                words.Add(arguments[i]);
                continue;
            }
            if (i + 1 >= arguments.Length || !int.TryParse(arguments[i + 1], CultureInfo.InvariantCulture, out var value)
                || value < 1) return null;
            switch (arguments[i++])
            {
                case "--runs": runs = value; break;
                case "--lines": lines = value; break;
                case "--long": megabytes = value; break;
                default: return null;
            }
        }
        if (words.Count < 2 || words.Skip(1).Any(word => !word.Contains('='))) return null;
        var tokenizers = words.Skip(1).Select(word => (word[..word.IndexOf('=')], word[(word.IndexOf('=') + 1)..])).ToList();
        return new BenchArguments(words[0], tokenizers, runs, lines, megabytes);
    }

    /// <summary>The texts to encode.</summary>
    public List<string> ReadTexts()
    {
        var texts = Text.EndsWith(".json", StringComparison.Ordinal)
            ? JsonSerializer.Deserialize<List<string>>(File.ReadAllText(Text))!
            : [.. File.ReadAllText(Text).Split('\n').Where(line => line != "")];
        return texts.Count > Lines ? texts[..Lines] : texts;
    }
}
