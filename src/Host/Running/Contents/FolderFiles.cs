// The files of a folder that a manifest names, with those of its subfolders. Links are followed, but each folder is entered once, since two
// links upwards would otherwise be walked in every order; a second link to a folder counts by its target. Results inside the folder are
// left out: they grow while the jobs that read the folder are at work.

using PeftAlign.Host.SingleTraining;

namespace PeftAlign.Host.Running;

/// <param name="Path">Its full path.</param>
/// <param name="Again">Of a link to a folder that stands elsewhere too, where it leads; null of a file.</param>
internal sealed record HeldFile(string Path, string? Again);

/// <param name="folder">Its full path.</param>
/// <param name="results">Where the results of the work go that asks.</param>
/// <param name="cancel">Ends the walk.</param>
internal sealed class FolderFiles(string folder, string results, CancellationToken cancel)
{
    private const int Most = 1_000_000;

    private readonly (ulong, ulong) own = Place(results);
    private readonly Dictionary<(ulong, ulong), string> seen = [];
    private readonly List<HeldFile> found = [];

    /// <summary>What the folder holds, by path.</summary>
    /// <exception cref="UserError">A folder cannot be listed, or holds too much.</exception>
    internal IReadOnlyList<HeldFile> Found()
    {
        Walk(folder);
        found.Sort((a, b) => string.CompareOrdinal(a.Path, b.Path));
        return found;
    }

    private void Walk(string inside)
    {
        cancel.ThrowIfCancellationRequested();
        var place = Place(inside);
        if (inside != folder && (place == own || IsResults(inside))) return;
        if (seen.TryGetValue(place, out var first))
        {
            found.Add(new HeldFile(inside, "-> " + Path.GetRelativePath(folder, first)));
            return;
        }
        seen.Add(place, inside);
        var (files, folders) = Listed(inside);
        found.AddRange(files.Select(file => new HeldFile(file, null)));
        if (found.Count > Most) throw new UserError(folder, $"holds more than {Most} files", "name the folder that the data lie in");
        foreach (var next in folders) Walk(next);
    }

    private static (ulong, ulong) Place(string folder) => FileStamp.Of(folder) is { } stamp ? (stamp.Device, stamp.Inode) : (0, 0);

    // Of a run, or of a training without a manifest.
    private static bool IsResults(string folder) => File.Exists(new RunFolder(folder).Plan) ? Directory.Exists(Path.Combine(folder, "jobs")) : File.Exists(Path.Combine(folder, TrainFolder.RequestName)) && File.Exists(new JobFolder(folder).Spec);

    private static (string[] Files, string[] Folders) Listed(string inside)
    {
        try
        {
            var folders = Directory.GetDirectories(inside);
            Array.Sort(folders, string.CompareOrdinal);
            return (Directory.GetFiles(inside), folders);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(inside, $"cannot be read ({e.Message})", "name a folder that you may read", e);
        }
    }
}
