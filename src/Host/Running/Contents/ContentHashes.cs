// Content hashes of the files and folders that a manifest names. A file's hash is remembered by path, size, times of writing and of
// change, and inode, so that planning again does not read gigabytes; of large files also by what other runs have read (SharedHashes).

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using PeftAlign.Merging;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Running;

/// <summary>What was found at a path.</summary>
/// <param name="Hash">SHA-256 of its content.</param>
/// <param name="Stamp">Tells without reading whether any of its files was changed since.</param>
/// <param name="Named">Full paths of the files that its task files name (see <see cref="NamedFiles"/>).</param>
internal sealed record SeenContent(string Hash, string Stamp, IReadOnlyList<string> Named);

/// <param name="cacheFile">Where remembered hashes are kept.</param>
/// <param name="root">Folder that relative paths start from: the manifest's.</param>
internal sealed class ContentHashes(string cacheFile, string root)
{
    private readonly Lazy<Dictionary<string, string>> remembered = new(() => Load(cacheFile));
    private readonly Dictionary<string, string> fresh = []; // of files that were changed a moment ago: good for this process alone
    private readonly Dictionary<string, SeenContent> seen = [];
    private readonly SharedHashes shared = SharedHashes.OfUser(); // a wrong setting is said even where nothing is to be read
    private bool changed;

    /// <summary>Ends reading between two blocks, since weights may have gigabytes.</summary>
    internal required CancellationToken Cancellation { get; init; }

    /// <summary>Says what time it is.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>SHA-256 of a file's bytes, or of a folder's names and hashes; with those of the files that its task files name (see
    /// <see cref="NamedFiles"/>). Null where there is neither.</summary>
    internal string? Of(string path)
    {
        if (Look(path) is not { } found) return null;
        seen.TryAdd(path, found);
        return found.Hash;
    }

    /// <summary>What <see cref="Of"/> found first at a path; null where it was not asked, or found nothing.</summary>
    internal SeenContent? Seen(string path) => seen.GetValueOrDefault(path);

    /// <summary>Whether a path still holds what was seen there. It is read again only where its stamp is another.</summary>
    internal bool IsStill(string path, SeenContent before) => Stamp(path, before.Named) == before.Stamp || Look(path)?.Hash == before.Hash;

    /// <summary>Ends the work where a path no longer holds what <see cref="Of"/> found there.</summary>
    /// <exception cref="UserError">It holds something else.</exception>
    internal void ThrowIfChanged()
    {
        foreach (var (path, before) in seen)
            if (!IsStill(path, before)) throw Changed(path);
    }

    /// <summary>What is said of content that was changed under a work that reads it.</summary>
    internal static UserError Changed(string path) => new(path, "changed since the plan was made, and its numbers would stand under the content of before", "leave it as it is now and run again");

    private SeenContent? Look(string path)
    {
        var full = Path.GetFullPath(path, root);
        if (Held(full, Cancellation) is not { } held) return null;
        var stamps = Stamps(full, held); // before the reading, so that a change meanwhile shows
        IReadOnlyList<string> named = [.. NamedFiles.Of(full, [.. held.Where(file => file.Again is null).Select(file => file.Path)])];
        var stamp = Stamp(stamps, full, named);
        var own = held is [{ Again: null } only] && only.Path == full ? OfFile(full) : OfText(Lines(full, held));
        return new SeenContent(named.Count == 0 ? own : OfText($"{own}\n{Lines(full, named.Select(file => new HeldFile(file, null)))}"), stamp, named);
    }

    private string Stamp(string path, IReadOnlyList<string> named)
    {
        var full = Path.GetFullPath(path, root);
        // Not cancellable: when the work is asked to stop, what it computed is kept only if this check can still be made.
        return Held(full, CancellationToken.None) is { } held ? Stamp(Stamps(full, held), full, named) : "";
    }

    private static string Stamp(string stamps, string full, IReadOnlyList<string> named) =>
        OfText(stamps + Stamps(full, named.Select(file => new HeldFile(file, null))))[..32];

    private static string Stamps(string start, IEnumerable<HeldFile> files) =>
        string.Concat(files.Select(file => $"{Path.GetRelativePath(start, file.Path)} {file.Again ?? FileStamp.Of(file.Path)?.ToString()}\n"));

    // A file counts as a folder of just itself; null where there is nothing.
    private IReadOnlyList<HeldFile>? Held(string full, CancellationToken cancel) =>
        File.Exists(full) ? [new HeldFile(full, null)] : Directory.Exists(full) ? new FolderFiles(full, Path.GetDirectoryName(Path.GetFullPath(cacheFile))!, cancel).Found() : null;

    private string Lines(string start, IEnumerable<HeldFile> files) =>
        string.Concat(files.Select(file => $"{Path.GetRelativePath(start, file.Path)} {file.Again ?? OfFile(file.Path)}\n"));

    private static string OfText(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    internal void Save()
    {
        if (!changed) return;
        changed = false;
        shared.Save();
        try
        {
            RunFolder.Write(cacheFile, JsonSerializer.Serialize(remembered.Value));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return; // only a cache: the next plan reads again
        }
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
        var stamp = FileStamp.Of(file);
        var key = $"{file}|{stamp}";
        if (remembered.Value.TryGetValue(key, out var known) || fresh.TryGetValue(key, out known)) return known;
        // Asked before the reading, which may take longer than a time needs to settle: a change meanwhile could have the same stamp.
        var settled = stamp is { } of && of.IsSettled(Clock.GetUtcNow()) ? stamp : null;
        if (settled is { } asBefore && shared.Find(file, asBefore) is { } read)
        {
            changed = true;
            return remembered.Value[key] = read;
        }
        using var stream = RegularFile.Open(file);
        var hash = StreamHash.Sha256(stream, Cancellation);
        if (settled is not { } still) return fresh[key] = hash; // another change may yet give it the same stamp
        shared.Add(file, still, hash);
        changed = true;
        return remembered.Value[key] = hash;
    }

    private static Dictionary<string, string> Load(string file)
    {
        try
        {
            return File.Exists(file) ? JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(file)) ?? [] : [];
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return []; // only a cache: a damaged one is made again
        }
    }
}
