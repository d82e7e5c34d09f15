// OpenSSL in a published folder: .NET computes SHA-256 by it, asks the loader for it by name, and ends the process where there is none.
// The machine's own counts first, which gets its updates; a library that is loaded already answers for its name.

using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace PeftAlign.Host.Publishing;

internal static class CarriedSsl
{
    /// <summary>The folder's name, beside the product.</summary>
    internal const string FolderName = "ssl";

    private const string Ssl = "libssl.so", Crypto = "libcrypto.so";

    // As .NET asks for them.
    private static readonly string[] Versions = ["3", "1.1"];

    /// <summary>The libraries that this process computes by; none where its .NET has another way.</summary>
    internal static IReadOnlyList<(string Path, string Name)> Own()
    {
        _ = SHA256.HashData([]);
        return [.. MappedFiles.All().Where(path => Path.GetFileName(path) is var name && (name.StartsWith(Ssl, StringComparison.Ordinal) || name.StartsWith(Crypto, StringComparison.Ordinal)) && File.Exists(path))
            .Select(path => (path, SharedObject.NameOf(path))).DistinctBy(library => library.Item2)];
    }

    /// <summary>Loads the folder's where the machine has none. Before anything is hashed.</summary>
    internal static void Offer()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "..", FolderName);
        if (!Directory.Exists(folder) || Array.Exists(Versions, version => NativeLibrary.TryLoad($"{Ssl}.{version}", out _))) return;
        foreach (var library in (string[])[Crypto, Ssl]) // the second needs the first
            foreach (var file in Directory.EnumerateFiles(folder, $"{library}.*")) NativeLibrary.TryLoad(Path.GetFullPath(file), out _);
    }
}
