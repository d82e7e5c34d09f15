// Files that tests read: small ones beside the tests, and the large golden folders where they are.

namespace PeftAlign.Torch.Tests;

internal static class Fixtures
{
    internal static string Path(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "Fixtures", name);
}

/// <summary>The tensors of Fixtures/training.json by name.</summary>
internal static class TrainingFixture
{
    private static readonly System.Text.Json.JsonElement All = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Fixtures.Path("training.json"))).RootElement;

    internal static Tensor Tensor(string name) => StoredTensor.Read(All.GetProperty(name)).ToTensor();

    internal static double[] Numbers(string name) => StoredTensor.Read(All.GetProperty(name)).Data;
}
