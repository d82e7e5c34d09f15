// The native part of another libtorch, for `bench --beside`. One of other sources lacks a call or has it otherwise, which would show in
// the middle of a table: what native/build wrote of its sources is compared before anything is measured.

using PeftAlign.Host.Doctor;

namespace PeftAlign.Host.Bench;

internal static class OtherNative
{
    private const string Library = "libpeftalign_torch.so", Make = "LIBTORCH=DIR ./peftalign --version makes one";

    /// <summary>The folder's whole path.</summary>
    /// <param name="folder">What the user named.</param>
    /// <param name="own">The native part that runs here; null where there is none.</param>
    /// <exception cref="UserError">It holds no native part, or one of other sources.</exception>
    internal static string Of(string folder, string? own)
    {
        if (!File.Exists(Path.Combine(folder, Library))) throw new UserError($"--beside {folder}", $"holds no {Library}", $"name a folder in .build/native; {Make}");
        var path = Path.GetFullPath(folder);
        if (own is null || Sources(own) is not { } sources || Sources(path) == sources) return path;
        throw new UserError($"--beside {folder}", "was made from other sources than the native part that runs here, so that calls may be missing in it", Fitting(own, sources) is { Length: > 0 } fit ? $"name {string.Join(" or ", fit)}" : Make);
    }

    // Of the folders beside our own those of the same sources over another libtorch.
    private static string[] Fitting(string own, string sources)
    {
        var (here, all) = (Path.GetFullPath(own), Path.GetDirectoryName(Path.GetFullPath(own)));
        return all is null ? [] : [.. Directory.EnumerateDirectories(all)
            .Where(folder => folder != here && new DirectoryInfo(folder).LinkTarget is null && File.Exists(Path.Combine(folder, Library)) && Sources(folder) == sources && Version(folder) != Version(here))
            .Order(StringComparer.Ordinal).Select(folder => $"{folder} (libtorch {Version(folder)})")];
    }

    // Null where nothing was written, as before sources were.
    private static string? Sources(string folder) => BuildRecord.Of(folder)?.Sources;

    private static string? Version(string folder) => BuildRecord.Of(folder)?.Version;
}
