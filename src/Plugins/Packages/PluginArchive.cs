// A plugin as one file: a zip (.peftplugin) of its folder. Equal folders give equal bytes; nothing is ever written outside the
// target folder, and nothing appears there before every hash is right.

using System.IO.Compression;

namespace PeftAlign.Plugins;

/// <summary>Packs and unpacks plugins.</summary>
public static class PluginArchive
{
    /// <summary>The file name's end.</summary>
    public const string Extension = ".peftplugin";

    /// <summary>More than any plugin has; an archive that unpacks to more is refused before it fills the disk.</summary>
    private const long LargestTotal = 4L << 30;

    // Zip keeps local times from 1980 on; a fixed one keeps archives equal.
    private static readonly DateTimeOffset Epoch = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Makes one file of a plugin's folder; it appears by rename.</summary>
    /// <param name="folder">A built plugin.</param>
    /// <param name="file">The file; replaced if there.</param>
    /// <exception cref="PluginException">A file of the plugin is changed, missing or superfluous.</exception>
    public static void Pack(PluginFolder folder, string file)
    {
        folder.ThrowIfTampered();
        AtomicFile.Write(file, stream =>
        {
            using var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true);
            foreach (var name in folder.Manifest.Files.Select(listed => listed.Path).Prepend(PluginManifest.FileName))
            {
                var entry = zip.CreateEntry(name, CompressionLevel.Optimal);
                entry.LastWriteTime = Epoch;
                using var target = entry.Open();
                using var source = File.OpenRead(Path.Combine(folder.Path, name));
                source.CopyTo(target);
            }
        });
    }

    /// <summary>Unpacks a plugin into a folder named after its id.</summary>
    /// <param name="file">A .peftplugin file.</param>
    /// <param name="plugins">The folder of plugins; made if it is not there.</param>
    /// <param name="replace">Whether another plugin of that id may be replaced.</param>
    /// <returns>The plugin, and whether it was there already, file for file.</returns>
    /// <exception cref="PluginException">No such file, no plugin, a path that leaves the folder, a wrong hash, or the id is taken.</exception>
    public static (PluginFolder Plugin, bool WasThere) Install(string file, string plugins, bool replace = false)
    {
        Directory.CreateDirectory(plugins);
        var stage = Path.Combine(plugins, $".adding-{Environment.ProcessId}-{Guid.NewGuid():N}");
        try
        {
            Unpack(file, stage);
            var manifest = ManifestFile.Read(stage);
            ThrowIfBadId(file, manifest.Id);
            new PluginFolder(stage, manifest, PluginOrigin.File).ThrowIfTampered();
            var target = Path.GetFullPath(Path.Combine(plugins, manifest.Id));
            if (Directory.Exists(target))
            {
                if (IsSame(stage, target)) return (PluginFolder.Open(target, PluginOrigin.Installed), true);
                if (!replace) throw new PluginException($"{file}: {target} already holds {Held(target)}, and this is {manifest.Id} {manifest.Version}. Give --replace to take this one, or another folder.");
                Replace(target, stage);
            }
            else if (!TryMove(stage, target) && !IsSame(stage, target))
                throw new PluginException($"{file}: {target} was made by another process meanwhile. Try again.");
            return (PluginFolder.Open(target, PluginOrigin.Installed), false);
        }
        finally
        {
            if (Directory.Exists(stage)) Directory.Delete(stage, recursive: true);
        }
    }

    /// <summary>Unpacks a file that a manifest names into a cache, once for each content.</summary>
    /// <param name="file">A .peftplugin file.</param>
    /// <param name="cache">A folder that can be written.</param>
    /// <exception cref="PluginException">As for <see cref="Install"/>.</exception>
    public static PluginFolder Open(string file, string cache)
    {
        if (!File.Exists(file)) throw new PluginException($"{file}: there is no such file. Give a {Extension} file that 'peftalign plugins pack' made.");
        var target = Path.Combine(Path.GetFullPath(cache), PluginFolder.Sha256(file));
        if (Directory.Exists(target) && Directory.GetDirectories(target).FirstOrDefault(there => !Path.GetFileName(there).StartsWith('.')) is { } cached && IsWhole(cached))
            return PluginFolder.Open(cached, PluginOrigin.File);
        return Install(file, target, replace: true).Plugin with { Origin = PluginOrigin.File };
    }

    private static void Unpack(string file, string stage)
    {
        try
        {
            using var zip = ZipFile.OpenRead(file);
            var root = Path.GetFullPath(stage) + Path.DirectorySeparatorChar;
            Directory.CreateDirectory(root);
            if (zip.Entries.Sum(entry => entry.Length) > LargestTotal) throw new PluginException($"{file}: unpacks to more than {LargestTotal >> 30} GiB. Ask its author for another file.");
            foreach (var entry in zip.Entries.Where(entry => !entry.FullName.EndsWith('/')))
            {
                if (entry.FullName.Contains('\0')) throw new PluginException($"{file}: an entry's name has a null character. Nothing was installed; do not trust this file.");
                var target = Path.GetFullPath(Path.Combine(root, entry.FullName));
                if (!target.StartsWith(root, StringComparison.Ordinal) || entry.FullName.Contains('\\') || Path.IsPathRooted(entry.FullName))
                    throw new PluginException($"{file}: its entry '{entry.FullName}' would be written outside the plugin's folder. Nothing was installed; do not trust this file.");
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                Copy(entry, target, file);
            }
        }
        catch (Exception e) when (e is InvalidDataException or FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException)
        {
            throw new PluginException($"{file}: cannot be read as a plugin's file ({e.Message.TrimEnd('.')}). Give a {Extension} file that 'peftalign plugins pack' made.", e);
        }
    }

    // Sizes in a zip are claims; what comes out is counted.
    private static void Copy(ZipArchiveEntry entry, string target, string file)
    {
        using var source = entry.Open();
        using var copy = new FileStream(target, FileMode.CreateNew);
        var buffer = new byte[1 << 16];
        for (int read; (read = source.Read(buffer)) > 0;)
        {
            if (copy.Length + read > entry.Length) throw new PluginException($"{file}: its entry '{entry.FullName}' is longer than the file says. Nothing was installed.");
            copy.Write(buffer, 0, read);
        }
    }

    private static void ThrowIfBadId(string file, string id)
    {
        if (id.Length == 0 || id.StartsWith('.') || id.Any(letter => !(char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '.' or '-' or '_')))
            throw new PluginException($"{file}: '{id}' is no plugin id; ids are lower-case letters, digits, '.', '-' and '_'.");
    }

    // What is replaced goes with the stage. A kill, or a process that looks meanwhile, finds the one or the other.
    private static void Replace(string target, string stage)
    {
        if (AtomicFile.TryExchange(stage, target)) return;
        var old = stage + ".old";
        Directory.Move(target, old);
        try
        {
            Directory.Move(stage, target);
        }
        catch
        {
            if (!Directory.Exists(target)) Directory.Move(old, target);
            throw;
        }
        Directory.Delete(old, recursive: true);
    }

    // Jobs of one run unpack the same file at the same time; the first wins.
    private static bool TryMove(string stage, string target)
    {
        try
        {
            Directory.Move(stage, target);
            return true;
        }
        catch (IOException) when (Directory.Exists(target))
        {
            return false;
        }
    }

    private static bool IsWhole(string folder)
    {
        try
        {
            return PluginFolder.Open(folder, PluginOrigin.File).Verify().Count == 0;
        }
        catch (PluginException)
        {
            return false;
        }
    }

    private static bool IsSame(string one, string other)
    {
        var file = Path.Combine(other, PluginManifest.FileName);
        return File.Exists(file) && File.ReadAllBytes(Path.Combine(one, PluginManifest.FileName)).AsSpan().SequenceEqual(File.ReadAllBytes(file))
            && PluginFolder.Open(other, PluginOrigin.Installed).Verify().Count == 0;
    }

    private static string Held(string folder)
    {
        try
        {
            var manifest = ManifestFile.Read(folder);
            return $"{manifest.Id} {manifest.Version}";
        }
        catch (PluginException)
        {
            return "something that is no plugin";
        }
    }
}
