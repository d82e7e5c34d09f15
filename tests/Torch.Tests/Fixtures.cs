// Files that tests read: small ones beside the tests, and the large golden folders where they are.

namespace PeftAlign.Torch.Tests;

internal static class Fixtures
{
    internal static string Path(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "Fixtures", name);
}
