// Content hashes of large files that any run has read, kept for the user: a new --out over the same model folder does not read gigabytes again.
// A file is known by path, length, times of writing and of change (which the kernel alone sets) and inode, as git's index knows it, and
// only where a later change would show for certain (FileStamp.IsSettled). A file system that keeps whole seconds may have no time of change at
// all, but show that of writing (images such as squashfs, where another image's file has the same inode): its files are read again.
// A line each, the newest last; a line that is not whole counts as none. The paths are the user's own affair: nobody else may read the file.

using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

/// <param name="file">Where they are kept; null = nowhere.</param>
internal sealed class SharedHashes(string? file)
{
    /// <summary>0 switches it off.</summary>
    internal const string Switch = "PEFTALIGN_HASH_CACHE";

    /// <summary>Files of fewer bytes are read again: that takes some hundredths of a second.</summary>
    internal const long LeastBytes = 1 << 24;

    /// <summary>Most files that are remembered.</summary>
    internal const int MostLines = 1024;

    private const int HashLength = 64; // SHA-256, hexadecimal
    private const long Second = 1_000_000_000; // in nanoseconds

    private readonly Lazy<Dictionary<string, string>> known = new(() => Read(file).ToDictionary(line => line.Key, line => line.Hash, StringComparer.Ordinal));
    private readonly List<Line> found = [];

    private sealed record Line(string Key, string Hash);

    /// <summary>The user's: peftalign/hashes in XDG_CACHE_HOME, or in ~/.cache; nowhere if there is neither.</summary>
    /// <exception cref="UserError">The switch says something that it does not know.</exception>
    internal static SharedHashes OfUser()
    {
        var asked = Environment.GetEnvironmentVariable(Switch);
        if (asked is not (null or "" or "0" or "1")) throw new UserError($"{Switch}={asked}", "is neither 0 (large files are read by every run) nor 1 (what was read once is remembered)", "set one of them, or nothing");
        if (asked == "0") return new SharedHashes(null);
        return new SharedHashes(UserCache.Folder() is { } cache ? Path.Combine(cache, "peftalign", "hashes") : null);
    }

    /// <summary>The hash of a file that is as it was when it was read; null where that is not known.</summary>
    internal string? Find(string path, FileStamp stamp) =>
        Keeps(path, stamp) ? known.Value.GetValueOrDefault(Key(path, stamp)) : null;

    /// <summary>Remembers a file's hash, if it is large; its stamp is a settled one.</summary>
    internal void Add(string path, FileStamp stamp, string hash)
    {
        if (Keeps(path, stamp)) found.Add(new Line(Key(path, stamp), hash));
    }

    private bool Keeps(string path, FileStamp stamp) =>
        file is not null && stamp.Length >= LeastBytes && stamp.Changed % Second != 0 && !path.Contains('\n');

    /// <summary>Adds what was found to what the file holds by now. It is only a cache: where it cannot be written, nothing is said.</summary>
    internal void Save()
    {
        if (file is null || found.Count == 0) return;
        try
        {
            // What is known of an older state of a path is of no use.
            var paths = found.Select(line => PathOf(line.Key)).ToHashSet(StringComparer.Ordinal);
            var lines = Read(file).Where(line => !paths.Contains(PathOf(line.Key))).Concat(found).TakeLast(MostLines);
            var folder = Path.GetDirectoryName(file)!;
            Directory.CreateDirectory(folder);
            RunFolder.DeleteParts(folder);
            AtomicFile.Write(file, string.Concat(lines.Select(line => $"{line.Hash} {line.Key}\n")), UnixFileMode.UserRead | UnixFileMode.UserWrite);
            found.Clear();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return;
        }
    }

    private static string Key(string path, FileStamp stamp) => $"{stamp} {path}";

    private static string PathOf(string key) => key[(key.IndexOf(' ') + 1)..];

    private static List<Line> Read(string? file)
    {
        var lines = new Dictionary<string, Line>(StringComparer.Ordinal); // the last of a key counts
        try
        {
            if (file is null || !File.Exists(file)) return [];
            var text = File.ReadAllText(file);
            foreach (var line in text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries))
                if (line.Length > HashLength + 1 && line[HashLength] == ' ' && line.AsSpan(0, HashLength).IndexOfAnyExcept("0123456789abcdef") < 0)
                    lines[line[(HashLength + 1)..]] = new Line(line[(HashLength + 1)..], line[..HashLength]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
        return [.. lines.Values];
    }
}
