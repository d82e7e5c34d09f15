// --shard-size: the largest weights file that a command writes.

using System.CommandLine;
using System.Globalization;

namespace PeftAlign.Host.CommandLine;

internal static class ShardSize
{
    /// <summary>The option.</summary>
    /// <param name="standard">The default.</param>
    internal static Option<string> Option(string standard) =>
        new("--shard-size") { HelpName = "SIZE", Description = "Largest weights file, for instance 5GB or 500MB.", DefaultValueFactory = _ => standard };

    /// <summary>Bytes of a size with a unit of powers of 1000, as transformers reads it.</summary>
    /// <param name="text">As it was given.</param>
    /// <param name="standard">The default.</param>
    /// <exception cref="UserError">It is no such size.</exception>
    internal static long Bytes(string text, string standard)
    {
        var unit = text.ToUpperInvariant() switch { var t when t.EndsWith("GB", StringComparison.Ordinal) => 1_000_000_000L, var t when t.EndsWith("MB", StringComparison.Ordinal) => 1_000_000L, _ => 0 };
        return unit > 0 && double.TryParse(text[..^2], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number * unit >= 1 && number * unit < 1e18
            ? (long)(number * unit)
            : throw new UserError($"--shard-size {text}", "is a size such as 5GB or 500MB", $"leave it out for {standard}");
    }
}
