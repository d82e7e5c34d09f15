// Where the tests are: the repository around them, and the larger reference material where it is at hand. Compiled into every C# test
// project (Directory.Build.props).

namespace PeftAlign.Tests;

internal static class Checkout
{
    /// <summary>The root of the repository.</summary>
    internal static string Root { get; } = Above(AppContext.BaseDirectory, "PeftAlign.sln") ?? throw new DirectoryNotFoundException("the tests must run inside the repository: no folder above their assembly holds PeftAlign.sln");

    /// <summary>The folder that holds golden/ and data/: PEFTALIGN_SHARED, else shared/ in the repository or beside a folder above it; null
    /// where there is none.</summary>
    internal static string? Shared { get; } = Environment.GetEnvironmentVariable("PEFTALIGN_SHARED") is { Length: > 0 } given ? given
        : Above(Root, Path.Combine("shared", "golden")) is { } above ? Path.Combine(above, "shared") : null;

    /// <summary>A path in tests/fixtures, which several test projects share.</summary>
    internal static string Fixture(params string[] parts) => Path.Combine([Root, "tests", "fixtures", .. parts]);

    /// <summary>A path below the shared folder; the test is skipped, visibly, where it is not there.</summary>
    internal static string Reference(params string[] parts)
    {
        var path = Shared is null ? null : Path.Combine([Shared, .. parts]);
        if (path is null || !Path.Exists(path)) Assert.Ignore($"{string.Join('/', parts)} is not there; set PEFTALIGN_SHARED to the folder that holds {parts[0].Split('/')[0]}/");
        return path!;
    }

    private static string? Above(string folder, string name)
    {
        for (var place = new DirectoryInfo(folder); place is not null; place = place.Parent)
            if (Path.Exists(Path.Combine(place.FullName, name))) return place.FullName;
        return null;
    }
}
