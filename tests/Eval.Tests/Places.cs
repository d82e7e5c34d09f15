// Where the numbers of lm-evaluation-harness are: the shared golden folder, or the part of it that lies in the repository.

using System.Text.Json.Nodes;

namespace PeftAlign.Eval.Tests;

internal static class Places
{
    /// <summary>A path below shared/; ignores the test where it is not there.</summary>
    internal static string Shared(string relative) => Checkout.Reference(relative);

    /// <summary>A path below tests/fixtures or this project's Fixtures.</summary>
    internal static string Fixture(string relative) =>
        new[] { Path.Combine(Checkout.Root, "tests/Eval.Tests/Fixtures", relative), Path.Combine(Checkout.Root, "tests/fixtures", relative) }.First(p => File.Exists(p) || Directory.Exists(p));

    internal static JsonNode Json(string path) => JsonNode.Parse(File.ReadAllText(path))!;
}
