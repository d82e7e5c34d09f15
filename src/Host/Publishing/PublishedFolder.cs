// What a folder needs to run where neither the SDK nor .NET nor libtorch is installed: the product, the .NET runtime that runs
// now, native/ as it is built, and every shared library that libtorch loads except glibc's, which is the machine's own.
//   peftalign   starts product/PeftAlign.Host with dotnet/ and lib/
//   build/      allocator.sh, which it sources
//   product/    the host, plugins, native/
//   dotnet/     the runtime
//   lib/        libtorch and what it needs, by the names that the loader looks for
//   ssl/        without these, OpenSSL for a machine that has none
//   source/     native/, and what plugins compile, for another libtorch or compiler, for instance on a machine with a GPU
//   bench/gpu/  what builds and measures there
//   README.md, LICENSE, docs/, experiments/

using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Publishing;

/// <param name="From">A file.</param>
/// <param name="To">Its place, relative to the published folder.</param>
internal readonly record struct PublishedFile(string From, string To)
{
    internal long Size => new FileInfo(From).Length;
}

internal static class PublishedFolder
{
    // Parts of glibc: they belong to the kernel and the loader of the machine.
    private static readonly string[] OfTheMachine =
        ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libmvec.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2", "libutil.so.1", "libanl.so.1"];

    /// <summary>All that is copied; opens libtorch.</summary>
    /// <param name="withLibraries">False leaves lib/ and the compiled native part out.</param>
    /// <exception cref="UserError">This .NET cannot be carried.</exception>
    internal static IReadOnlyList<PublishedFile> Files(bool withLibraries)
    {
        var product = AppContext.BaseDirectory;
        var files = Under(product, "product").Where(f => f.To is not "product/in-use" && !f.To.StartsWith("product/native/", StringComparison.Ordinal)).ToList();
        files.AddRange(Runtime());
        var root = Root(product);
        foreach (var folder in (string[])["docs", "experiments"]) files.AddRange(Under(Path.Combine(root, folder), folder));
        foreach (var name in (string[])["README.md", "LICENSE", "build/allocator.sh"])
            if (File.Exists(Path.Combine(root, name))) files.Add(new PublishedFile(Path.Combine(root, name), name));
        files.AddRange(Source(root));
        if (withLibraries) files.AddRange(Libraries());
        else files.AddRange(CarriedSsl.Own().Select(library => new PublishedFile(library.Path, $"{CarriedSsl.FolderName}/{library.Name}")));
        return files;
    }

    // The checkout that set-up built the product in, or the published folder itself.
    private static string Root(string product)
    {
        for (var up = new DirectoryInfo(product).Parent; up is not null; up = up.Parent)
            if (File.Exists(Path.Combine(up.FullName, "peftalign"))) return up.FullName;
        throw new UserError(product, "is neither in a checkout nor in a published folder", "run publish by ./peftalign of one of them");
    }

    private static IEnumerable<PublishedFile> Source(string root)
    {
        var from = Directory.Exists(Path.Combine(root, "source")) ? Path.Combine(root, "source") : root;
        return
        [
            .. Under(Path.Combine(root, "bench", "gpu"), "bench/gpu"),
            .. Under(Path.Combine(from, "native"), "source/native"),
            .. Plugins(from),
            .. ((string[])["libtorch.sh", "say.sh"]).Select(name => new PublishedFile(Path.Combine(from, "build", name), $"source/build/{name}")),
        ];
    }

    // Of plugins only what a script beside it compiles.
    private static IEnumerable<PublishedFile> Plugins(string from) => !Directory.Exists(Path.Combine(from, "plugins")) ? [] :
        Directory.EnumerateDirectories(Path.Combine(from, "plugins")).Order(StringComparer.Ordinal).Where(plugin => File.Exists(Path.Combine(plugin, "native", "build")))
            .SelectMany(plugin => Under(Path.Combine(plugin, "native"), $"source/plugins/{Path.GetFileName(plugin)}/native"));

    private static IEnumerable<PublishedFile> Runtime()
    {
        var framework = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        var version = Path.GetFileName(framework);
        var home = Path.GetFullPath(Path.Combine(framework, "..", "..", ".."));
        var resolver = Path.Combine(home, "host", "fxr", version);
        if (!Directory.Exists(resolver)) throw new UserError(framework, $"lies in no .NET installation ({resolver} is not there)", "run publish with an installed .NET (DOTNET_ROOT)");
        return
        [
            .. Under(framework, $"dotnet/shared/Microsoft.NETCore.App/{version}"),
            .. Under(resolver, $"dotnet/host/fxr/{version}"),
            .. ((string[])["LICENSE.txt", "ThirdPartyNotices.txt"]).Where(name => File.Exists(Path.Combine(home, name))).Select(name => new PublishedFile(Path.Combine(home, name), $"dotnet/{name}")),
        ];
    }

    // What the process has mapped once libtorch is open is what another process will need.
    private static IEnumerable<PublishedFile> Libraries()
    {
        LibTorch.Open();
        var native = Path.GetDirectoryName(Path.GetFullPath(LibTorch.NativeFile!))!;
        var ours = new[] { native, Path.GetDirectoryName(typeof(object).Assembly.Location)!, AppContext.BaseDirectory };
        var libraries = Mapped()
            .Where(path => !ours.Any(folder => path.StartsWith(folder.TrimEnd('/') + "/", StringComparison.Ordinal)) && !path.Contains("/host/fxr/", StringComparison.Ordinal))
            .Select(path => (Path: path, Name: SharedObject.NameOf(path)))
            .Where(library => !OfTheMachine.Contains(library.Name));
        return [.. Under(native, "product/native").Where(f => !f.To.EndsWith("/warnings.txt", StringComparison.Ordinal)), .. libraries.DistinctBy(l => l.Name).Select(l => new PublishedFile(l.Path, $"lib/{l.Name}"))];
    }

    private static IEnumerable<string> Mapped() => MappedFiles.All()
        .Where(path => Path.GetFileName(path) is var name && (name.EndsWith(".so", StringComparison.Ordinal) || name.Contains(".so.", StringComparison.Ordinal)) && File.Exists(path));

    private static IEnumerable<PublishedFile> Under(string folder, string to) =>
        !Directory.Exists(folder) ? [] : Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(file => new PublishedFile(file, $"{to}/{Path.GetRelativePath(folder, file)}"));
}
