// Large golden texts are kept compressed (gzip -9n), beside smaller ones that are not. Tests name both as if none was: NAME stands for
// NAME.gz where only that is there.

using System.IO.Compression;
using System.Text;

namespace PeftAlign.Tests;

internal static class Packed
{
    /// <summary>Where a text lies: the path itself, or that with .gz; null where neither is there.</summary>
    internal static string? Find(string path) => Path.Exists(path) ? path : File.Exists(path + ".gz") ? path + ".gz" : null;

    /// <summary>The bytes of a text, packed or not.</summary>
    /// <exception cref="FileNotFoundException">It is there in neither form.</exception>
    internal static byte[] Bytes(string path)
    {
        var found = Find(path) ?? throw new FileNotFoundException($"neither {path} nor {path}.gz is there", path);
        if (!found.EndsWith(".gz", StringComparison.Ordinal)) return File.ReadAllBytes(found);
        using var zip = new GZipStream(File.OpenRead(found), CompressionMode.Decompress);
        using var bytes = new MemoryStream();
        zip.CopyTo(bytes);
        return bytes.ToArray();
    }

    /// <summary>The lines of a text in UTF-8, packed or not.</summary>
    internal static IEnumerable<string> Lines(string path)
    {
        using var reader = new StreamReader(new MemoryStream(Bytes(path)), Encoding.UTF8);
        while (reader.ReadLine() is { } line) yield return line;
    }
}
