// How long a file is, before it is opened: opening a pipe would wait for a writer, and a device has no end. Links are
// followed, since the hub's cache consists of them.

namespace PeftAlign.Models.Checkpoints;

internal static class RegularFile
{
    /// <summary>Bytes of the file that a path leads to; 0 for pipes and devices.</summary>
    /// <exception cref="IOException">It is not there, or its links run in a circle.</exception>
    public static long Length(string path)
    {
        var file = new FileInfo(path);
        var target = file.LinkTarget is null ? file : (FileInfo)file.ResolveLinkTarget(returnFinalTarget: true)!;
        return target.Length;
    }
}
