// Large numbers for people.

using System.Globalization;

namespace PeftAlign.Host.Inspection;

internal static class Sizes
{
    /// <summary>"6.74 billion", "25.3 million", "824".</summary>
    public static string Count(long count) => count switch
    {
        >= 1_000_000_000 => $"{Digits(count / 1e9)} billion",
        >= 1_000_000 => $"{Digits(count / 1e6)} million",
        _ => count.ToString("N0", CultureInfo.InvariantCulture),
    };

    /// <summary>"13.5 GB", "98.4 MB", "3.3 kB", "12 bytes"; powers of 1000.</summary>
    public static string Bytes(long bytes) => bytes switch
    {
        >= 1_000_000_000 => $"{Digits(bytes / 1e9)} GB",
        >= 1_000_000 => $"{Digits(bytes / 1e6)} MB",
        >= 1000 => $"{Digits(bytes / 1e3)} kB",
        _ => $"{bytes} bytes",
    };

    private static string Digits(double number) => number.ToString(number < 10 ? "0.00" : number < 100 ? "0.0" : "0", CultureInfo.InvariantCulture);
}
