// Where bitsandbytes' numbers are: the most telling beside the tests, all of them in shared/golden, if that is there.

using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

internal static class Golden
{
    /// <summary>The root of the repository.</summary>
    internal static string Repository { get; } = FindRoot();

    /// <summary>A path in tests/fixtures or else in shared/golden; the test is skipped, visibly, where it is in neither.</summary>
    internal static string Path(params string[] parts)
    {
        var own = System.IO.Path.Combine([Repository, "tests", "fixtures", .. parts]);
        if (System.IO.Path.Exists(own)) return own;
        string?[] near = [Environment.GetEnvironmentVariable("PEFTALIGN_SHARED"), .. new[] { Repository, Directory.GetParent(Repository)?.FullName, Directory.GetParent(Repository)?.Parent?.FullName }.Select(f => f is null ? null : System.IO.Path.Combine(f, "shared"))];
        var shared = near.FirstOrDefault(f => !string.IsNullOrEmpty(f) && Directory.Exists(f));
        var path = shared is null ? null : System.IO.Path.Combine([shared, "golden", .. parts]);
        if (path is null || !System.IO.Path.Exists(path)) Assert.Ignore($"golden/{string.Join('/', parts)} is not there; set PEFTALIGN_SHARED to the folder that holds golden/");
        return path!;
    }

    internal static JsonObject Json(params string[] parts) => JsonNode.Parse(File.ReadAllText(Path(parts)))!.AsObject();

    internal static SafetensorsFile Tensors(params string[] parts) => SafetensorsFile.Open(Path(parts));

    /// <summary>The largest distance, in float64.</summary>
    internal static double Worst(Tensor actual, Tensor expected)
    {
        Assert.That(actual.shape, Is.EqualTo(expected.shape));
        return (actual.detach().to(torch.float64) - expected.detach().to(torch.float64)).abs().max().item<double>();
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "PeftAlign.sln"))) return folder.FullName;
        throw new DirectoryNotFoundException("no folder above the tests' assembly holds PeftAlign.sln");
    }
}

/// <summary>A folder that goes with the test that uses it.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    internal string Path { get; } = Directory.CreateTempSubdirectory("peftalign-qlora-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
