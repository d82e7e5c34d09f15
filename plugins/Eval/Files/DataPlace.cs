// Data as it is handed around: a folder, or the .zip and .tar.gz archives in it, or one archive. Files are found by name.

using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Eval.Files;

internal sealed class DataPlace
{
    private readonly Dictionary<string, Func<string>> texts = [];

    /// <param name="path">A folder, a folder that holds one of the names, or an archive.</param>
    /// <param name="names">Folders that the data usually lies in.</param>
    /// <param name="wanted">Which files, by their names without folders.</param>
    /// <exception cref="UserErrorException">There is nothing.</exception>
    internal DataPlace(string path, IReadOnlyList<string> names, Func<string, bool> wanted)
    {
        Path = names.Select(n => System.IO.Path.Combine(path, n)).FirstOrDefault(Directory.Exists) ?? path;
        if (File.Exists(Path)) Add(Path, System.IO.Path.GetFileName(Path), wanted);
        else if (!Directory.Exists(Path)) throw new UserErrorException($"{path} is not there; give the folder or archive that holds the data.");
        else
            foreach (var file in Directory.EnumerateFiles(Path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)) Add(file, System.IO.Path.GetRelativePath(Path, file), wanted);
    }

    /// <summary>Where the data was looked for.</summary>
    internal string Path { get; }

    /// <summary>Names of all files, with folders.</summary>
    internal IEnumerable<string> Names => texts.Keys;

    /// <summary>The text of the file whose path ends so ("dev/x_dev.csv"); null where there is none.</summary>
    internal string? Find(string ending) =>
        texts.Keys.Where(n => n == ending || n.EndsWith("/" + ending, StringComparison.Ordinal)).OrderBy(n => n.Length).FirstOrDefault() is { } name ? texts[name]() : null;

    /// <summary>The text of the file whose path ends so.</summary>
    /// <exception cref="UserErrorException">There is none.</exception>
    internal string Text(string ending) => Find(ending) ?? throw new UserErrorException($"{Path} lacks {ending}; fetch it, or give another folder.");

    private void Add(string file, string name, Func<string, bool> wanted)
    {
        if (file.EndsWith(".zip", StringComparison.OrdinalIgnoreCase)) Unpack(file, wanted, Zip);
        else if (file.EndsWith(".tar.gz", StringComparison.OrdinalIgnoreCase) || file.EndsWith(".tgz", StringComparison.OrdinalIgnoreCase)) Unpack(file, wanted, Tar);
        else if (wanted(System.IO.Path.GetFileName(file))) texts.TryAdd(name.Replace('\\', '/'), () => RowFile.Text(file));
    }

    private void Unpack(string file, Func<string, bool> wanted, Action<string, Func<string, bool>> read)
    {
        try
        {
            read(file, wanted);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or FormatException)
        {
            throw new UserErrorException($"{file} is damaged: {e.Message} Fetch it again.", e);
        }
    }

    private void Zip(string file, Func<string, bool> wanted)
    {
        using var archive = new ZipArchive(RegularFile.Open(file));
        foreach (var entry in archive.Entries.Where(e => e.Name.Length > 0 && wanted(e.Name)))
        {
            using var stream = entry.Open();
            Keep(file, entry.FullName, stream);
        }
    }

    private void Tar(string file, Func<string, bool> wanted)
    {
        using var packed = new GZipStream(RegularFile.Open(file), CompressionMode.Decompress);
        using var archive = new TarReader(packed);
        while (archive.GetNextEntry() is { } entry)
            if (entry.DataStream is { } stream && wanted(System.IO.Path.GetFileName(entry.Name))) Keep(file, entry.Name, stream);
    }

    // Texts are read while the archive is open; broken UTF-8 is told by name.
    private void Keep(string file, string name, Stream stream)
    {
        using var memory = new MemoryStream();
        stream.CopyTo(memory);
        var bytes = memory.ToArray();
        texts.TryAdd(name.Replace('\\', '/').TrimStart('.', '/'), () =>
        {
            try
            {
                return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes).TrimStart('\ufeff');
            }
            catch (DecoderFallbackException e)
            {
                throw new UserErrorException($"{file}: {name} is not valid UTF-8; fetch it again.", e);
            }
        });
    }
}
