// Where bitsandbytes' numbers are: the most telling beside the tests, all of them in shared/golden, if that is there.

using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

internal static class Golden
{
    /// <summary>A path in tests/fixtures or else in shared/golden; the test is skipped, visibly, where it is in neither.</summary>
    internal static string Path(params string[] parts)
    {
        var own = Checkout.Fixture(parts);
        return System.IO.Path.Exists(own) ? own : Checkout.Reference(["golden", .. parts]);
    }

    internal static JsonObject Json(params string[] parts) => JsonNode.Parse(File.ReadAllText(Path(parts)))!.AsObject();

    internal static SafetensorsFile Tensors(params string[] parts) => SafetensorsFile.Open(Path(parts));

    /// <summary>The largest distance, in float64.</summary>
    internal static double Worst(Tensor actual, Tensor expected)
    {
        Assert.That(actual.shape, Is.EqualTo(expected.shape));
        return (actual.detach().to(torch.float64, torch.CPU) - expected.detach().to(torch.float64, torch.CPU)).abs().max().item<double>();
    }
}

/// <summary>A folder that goes with the test that uses it.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    internal string Path { get; } = Directory.CreateTempSubdirectory("peftalign-qlora-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
