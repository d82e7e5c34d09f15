// Hashes of the program's and the plugins' files. They are recorded in results but not part of ids (result versions are), so that `run`
// can say that a finished job was made with other files, and --strict can make it again.

using System.Security.Cryptography;
using System.Text;
using PeftAlign.Core;
using PeftAlign.Host.Doctor;
using PeftAlign.Plugins;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Running;

/// <param name="plugins">The plugins by id.</param>
internal sealed class FileHashes(IReadOnlyDictionary<string, PluginFolder> plugins)
{
    /// <summary>The library of our own kernels, which lies apart from the program.</summary>
    internal const string Native = "native kernels";

    /// <summary>The libtorch that they were built for, by version.</summary>
    internal const string Libtorch = "libtorch";

    private readonly Lazy<string> program = new(OfProgram);
    private readonly Lazy<IReadOnlyList<(string Name, string Hash)>> native = new(OfNative);
    private readonly Dictionary<string, string> known = [];

    /// <summary>Name to hash, for the program, the native library and the plugins that the job loads; of libtorch its version.</summary>
    internal IReadOnlyDictionary<string, string> Of(PlanJob job)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["peftalign"] = program.Value };
        foreach (var (name, hash) in native.Value) files.Add(name, hash);
        foreach (var id in job.Plugins.Where(plugins.ContainsKey)) files.Add(id, OfPlugin(id));
        return files;
    }

    /// <summary>Names of the files that a finished job was made with and that have changed since.</summary>
    internal IReadOnlyList<string> ChangedSince(FinishedJob finished, PlanJob job)
    {
        var before = finished.MadeWith;
        // Earlier versions recorded neither, so it is not known whether they have changed.
        bool IsUnknown(string name) => name is Native or Libtorch && !before.ContainsKey(name);
        return [.. Of(job).Where(file => !IsUnknown(file.Key) && before.GetValueOrDefault(file.Key) != file.Value).Select(file => file.Key)];
    }

    private string OfPlugin(string id)
    {
        if (known.TryGetValue(id, out var hash)) return hash;
        return known[id] = Of(plugins[id]);
    }

    /// <summary>What a plugin consists of, as its plugin.json has it.</summary>
    internal static string Of(PluginFolder plugin)
    {
        var lines = plugin.Manifest.Files.OrderBy(file => file.Path, StringComparer.Ordinal).Select(file => $"{file.Path} {file.Sha256}\n");
        return Hash(string.Concat(lines));
    }

    // Module version ids are hashes of what the compiler was given: builds are deterministic.
    private static string OfProgram()
    {
        var assemblies = Directory.GetFiles(AppContext.BaseDirectory, "PeftAlign.*.dll").Order(StringComparer.Ordinal);
        return Hash(string.Concat(assemblies.Select(file => $"{Path.GetFileName(file)} {Version(file)}\n")));
    }

    // libtorch itself is not opened: the library only loads with the version that it was built against.
    private static IReadOnlyList<(string Name, string Hash)> OfNative()
    {
        if (LibTorch.FileToOpen is not { } library) return [];
        using var stream = File.OpenRead(library);
        var hash = Convert.ToHexStringLower(SHA256.HashData(stream))[..32];
        return BuildRecord.Here?.Version is { } version ? [(Native, hash), (Libtorch, version)] : [(Native, hash)];
    }

    private static Guid Version(string file)
    {
        using var stream = File.OpenRead(file);
        using var reader = new System.Reflection.PortableExecutable.PEReader(stream);
        var metadata = System.Reflection.Metadata.PEReaderExtensions.GetMetadataReader(reader);
        return metadata.GetGuid(metadata.GetModuleDefinition().Mvid);
    }

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..32];
}
