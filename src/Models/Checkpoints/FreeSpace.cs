// Whether a disk has room for what is to be written, asked before minutes of work go into it.

using System.Globalization;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Room on a disk.</summary>
public static class FreeSpace
{
    private const int NoSpace = 28; // errno on Linux

    /// <summary>Bytes that this process may still write; null where the file system keeps no count, as some that programs serve.</summary>
    /// <param name="folder">A folder that is there.</param>
    public static long? In(string folder)
    {
        var disk = new DriveInfo(folder);
        return disk.TotalSize == 0 ? null : disk.AvailableFreeSpace;
    }

    /// <summary>Refuses to begin what the disk cannot hold. What lies beside weights is not counted: only what is certain is refused.</summary>
    /// <param name="folder">Where the weights go; need not be there, but its parent must.</param>
    /// <param name="bytes">Of all tensors.</param>
    /// <exception cref="UserErrorException">Fewer bytes are free; its cause is the full disk, which of a run's job is no mistake of the user's.</exception>
    internal static void Require(string folder, long bytes)
    {
        var shown = Path.GetDirectoryName(Path.GetFullPath(folder))!; // the folder itself may have a temporary name
        if (In(Directory.Exists(folder) ? folder : shown) is not { } free || free >= bytes) return;
        throw new UserErrorException($"No space left for all of it: the result takes {Shown(bytes)} and {shown} has {Shown(free)} free; make room there, or give --out a folder on another disk.", new IOException("No space left on device", NoSpace));
    }

    private static string Shown(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{(bytes < 1e9 ? bytes / 1e6 : bytes / 1e9):0.00} {(bytes < 1e9 ? "MB" : "GB")}");
}
