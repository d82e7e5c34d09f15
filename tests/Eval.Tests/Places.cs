// Where the numbers of lm-evaluation-harness are: the shared golden folder, or the part of it that lies in the repository.

using System.Text.Json.Nodes;

namespace PeftAlign.Eval.Tests;

internal static class Places
{
    internal static string Repository { get; } = Above(AppContext.BaseDirectory, "PeftAlign.sln") ?? throw new DirectoryNotFoundException("the tests must run inside the repository");

    private static readonly string? SharedRoot = Environment.GetEnvironmentVariable("PEFTALIGN_SHARED") is { Length: > 0 } given ? given : Above(Repository, "shared/golden") is { } above ? Path.Combine(above, "shared") : null;

    /// <summary>A path below shared/; ignores the test where it is not there.</summary>
    internal static string Shared(string relative)
    {
        if (SharedRoot is not null && Path.Combine(SharedRoot, relative) is var path && (File.Exists(path) || Directory.Exists(path))) return path;
        Assert.Ignore($"shared/{relative} is not there; set PEFTALIGN_SHARED to run this check");
        return "";
    }

    /// <summary>A path below tests/fixtures or this project's Fixtures.</summary>
    internal static string Fixture(string relative) =>
        new[] { Path.Combine(Repository, "tests/Eval.Tests/Fixtures", relative), Path.Combine(Repository, "tests/fixtures", relative) }.First(p => File.Exists(p) || Directory.Exists(p));

    internal static JsonNode Json(string path) => JsonNode.Parse(File.ReadAllText(path))!;

    private static string? Above(string folder, string name)
    {
        for (var place = new DirectoryInfo(folder); place is not null; place = place.Parent)
            if (File.Exists(Path.Combine(place.FullName, name)) || Directory.Exists(Path.Combine(place.FullName, name))) return place.FullName;
        return null;
    }
}
