// Content hashes of the files and folders that a manifest names. A file's hash is remembered by path, size, time of change
// and inode, so that planning again does not read gigabytes.

using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using PeftAlign.Merging;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Running;

/// <param name="cacheFile">Where remembered hashes are kept.</param>
/// <param name="root">Folder that relative paths start from: the manifest's.</param>
internal sealed partial class ContentHashes(string cacheFile, string root)
{
    private readonly Dictionary<string, string> remembered = Load(cacheFile);
    private bool changed;

    /// <summary>Ends the reading between two blocks: weights have gigabytes.</summary>
    internal required CancellationToken Cancellation { get; init; }

    /// <summary>SHA-256 of a file's bytes, or of a folder's names and hashes; with those of the files that its task files name (see
    /// <see cref="NamedFiles"/>). Null where there is neither.</summary>
    internal string? Of(string path)
    {
        var full = Path.GetFullPath(path, root);
        var isFile = File.Exists(full);
        if (!isFile && !Directory.Exists(full)) return null;
        IReadOnlyList<HeldFile> held = isFile ? [new HeldFile(full, null)] : new FolderFiles(full, Cancellation).Found();
        var own = isFile ? OfFile(full) : OfText(Lines(full, held));
        var named = NamedFiles.Of(full, [.. held.Where(file => file.Again is null).Select(file => file.Path)]);
        return named.Count == 0 ? own : OfText($"{own}\n{Lines(full, named.Select(file => new HeldFile(file, null)))}");
    }

    private string Lines(string start, IEnumerable<HeldFile> files) =>
        string.Concat(files.Select(file => $"{Path.GetRelativePath(start, file.Path)} {file.Again ?? OfFile(file.Path)}\n"));

    private static string OfText(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    internal void Save()
    {
        if (!changed) return;
        RunFolder.Write(cacheFile, JsonSerializer.Serialize(remembered));
        changed = false;
    }

    private string OfFile(string file)
    {
        Cancellation.ThrowIfCancellationRequested();
        try
        {
            return Known(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(file, $"cannot be read ({e.Message})", "name a file that you may read", e);
        }
    }

    private string Known(string file)
    {
        var info = (FileInfo)(File.ResolveLinkTarget(file, returnFinalTarget: true) ?? new FileInfo(file)); // a link's own size and time say nothing
        var key = $"{file}|{info.Length}|{info.LastWriteTimeUtc.Ticks}|{Inode(file)}";
        if (remembered.TryGetValue(key, out var known)) return known;
        using var stream = RegularFile.Open(file);
        var hash = StreamHash.Sha256(stream, Cancellation);
        changed = true;
        return remembered[key] = hash;
    }

    private static Dictionary<string, string> Load(string file)
    {
        try
        {
            return File.Exists(file) ? JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(file)) ?? [] : [];
        }
        catch (JsonException)
        {
            return []; // only a cache: a damaged one is made again
        }
    }

    private static ulong Inode(string file) => Identity(file).Inode;

    /// <summary>The device and inode that a path leads to, which tell a file or folder from any other; zeros where the kernel does not say.</summary>
    // They are the first two fields of struct stat on Linux, for x86-64 and arm64 alike.
    internal static unsafe (ulong Device, ulong Inode) Identity(string path)
    {
        var buffer = stackalloc ulong[64];
        return stat(path, buffer) == 0 ? (buffer[0], buffer[1]) : (0, 0);
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int stat(string path, ulong* buffer);
}
