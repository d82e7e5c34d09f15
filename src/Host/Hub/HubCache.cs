// A model's folder in Hugging Face's cache: blobs/ETAG holds bytes once, snapshots/COMMIT/PATH links to them, refs/BRANCH
// holds a commit. Locks are theirs too (flock on .locks/MODEL/ETAG.lock), so two tools never write one blob at once.

namespace PeftAlign.Host.Hub;

internal sealed class HubCache(string cache, HubName name)
{
    // ENOTSUP and ENOSYS; EPERM arrives as UnauthorizedAccessException.
    private const int NotSupported = 95;
    private const int NotImplemented = 38;

    private readonly string folder = Path.Combine(cache, name.Folder);

    internal string Root => cache;

    internal string Blob(string tag) => Path.Combine(folder, "blobs", tag);

    internal string Incomplete(string tag) => Blob(tag) + ".incomplete";

    internal string Snapshot(string commit) => Path.Combine(folder, "snapshots", commit);

    /// <summary>Whether a snapshot holds a file, with its bytes.</summary>
    internal bool Has(string commit, string path) => File.Exists(Path.Combine(Snapshot(commit), path));

    /// <summary>The commit that a branch or tag stood for when it was last asked; null where it never was.</summary>
    internal string? Commit(string revision)
    {
        if (!revision.Contains('/') && Directory.Exists(Snapshot(revision))) return revision;
        var file = Reference(revision);
        return File.Exists(file) ? CheckedName(File.ReadAllText(file).Trim(), "commit") : null;
    }

    /// <summary>Makes the model's folder, and sees that something can be written there.</summary>
    internal void Make()
    {
        Directory.CreateDirectory(folder);
        var probe = Aside("probe");
        File.WriteAllText(probe, "");
        File.Delete(probe);
    }

    /// <summary>Whether a branch or tag stands for a commit already, or is it.</summary>
    internal bool Refers(string revision, string commit) =>
        revision == commit || (Reference(revision) is var file && File.Exists(file) && File.ReadAllText(file).Trim() == commit);

    internal void Refer(string revision, string commit)
    {
        if (Refers(revision, commit)) return;
        var file = Reference(revision);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        var fresh = Aside("ref");
        try
        {
            File.WriteAllText(fresh, commit);
            File.Move(fresh, file, overwrite: true);
        }
        finally
        {
            File.Delete(fresh);
        }
    }

    /// <summary>Makes a blob appear under its name in a snapshot.</summary>
    internal void Link(string commit, string path, string tag)
    {
        var link = Path.Combine(Snapshot(commit), path);
        var parent = Path.GetDirectoryName(link)!;
        Directory.CreateDirectory(parent);
        // Renamed into place, so that another pull's link never vanishes and a broken one is replaced; made where no model's file is looked for.
        var fresh = Aside("link");
        try
        {
            try
            {
                File.CreateSymbolicLink(fresh, Path.GetRelativePath(parent, Blob(tag)));
            }
            catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException && (e.HResult & 0xffff) is NotSupported or NotImplemented))
            {
                File.Move(Blob(tag), link, overwrite: true); // a file system without links
                return;
            }
            File.Move(fresh, link, overwrite: true);
        }
        finally
        {
            File.Delete(fresh);
        }
    }

    /// <summary>Waits until no other process fetches this blob, and keeps others from it.</summary>
    internal async Task<IDisposable> LockAsync(string tag, Action<string> remark, CancellationToken cancel)
    {
        var file = Path.Combine(cache, ".locks", name.Folder, tag + ".lock");
        for (var tries = 0; ; tries++)
        {
            try
            {
                return LockFile.Hold(file);
            }
            catch (IOException e) when (e.HResult == Jobs.JobProcess.WouldBlock)
            {
                if (tries == 10) remark($"waiting for another process that fetches {name.Id} (it holds {file})");
                await Task.Delay(100, cancel);
            }
        }
    }

    /// <summary>A path that stays below the folder it is put in.</summary>
    internal static string Checked(string path)
    {
        var parts = path.Split('/');
        if (path.Length > 1024 || path.Contains('\\') || path.Any(char.IsControl) || parts.Any(part => part is "" or "." or ".."))
            throw new InvalidDataException($"the hub names a file '{path}', which leaves the model's folder or is no file name; nothing was written");
        return path;
    }

    /// <summary>A name that is one part of a path.</summary>
    internal static string CheckedName(string text, string kind) =>
        text.Length is > 0 and <= 200 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') && text is not ("." or "..")
            ? text
            : throw new InvalidDataException($"the hub gives the {kind} '{text}', which is no name");

    // A name of this pull's own, in no folder that is searched for files or branches.
    private string Aside(string kind) => Path.Combine(folder, $".{Guid.NewGuid():N}.{kind}");

    private string Reference(string revision) => Path.Combine(folder, "refs", Checked(revision));
}
