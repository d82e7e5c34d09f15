// A folder that goes with the check that uses it.

namespace PeftAlign.Testing;

internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("peftalign-conformance-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
