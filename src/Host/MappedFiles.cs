// The files that this process has mapped into its memory: which libraries were really loaded, and from where.

namespace PeftAlign.Host;

internal static class MappedFiles
{
    /// <summary>Full paths, each once. Linux: /proc/self/maps.</summary>
    internal static IEnumerable<string> All() => File.ReadLines("/proc/self/maps")
        .Select(line => line.IndexOf('/', StringComparison.Ordinal) is var at and >= 0 ? line[at..] : "")
        .Where(path => path.Length > 0)
        .Distinct();
}
