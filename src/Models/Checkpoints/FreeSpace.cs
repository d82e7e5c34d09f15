// Whether a disk has room for weights, asked before minutes of work go into them.

using System.Globalization;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

internal static class FreeSpace
{
    private const long Companions = 16 << 20; // configuration, tokenizer and headers

    /// <summary>Refuses to begin what the disk cannot hold.</summary>
    /// <param name="folder">Where the weights go; need not be there, but its parent must.</param>
    /// <param name="bytes">Of all tensors.</param>
    /// <exception cref="UserErrorException">Fewer bytes are free.</exception>
    internal static void Require(string folder, long bytes)
    {
        var place = Directory.Exists(folder) ? folder : Path.GetDirectoryName(Path.GetFullPath(folder))!;
        var disk = new DriveInfo(place);
        var (needed, free) = (bytes + Companions, disk.AvailableFreeSpace);
        if (free >= needed || disk.TotalSize == 0) return; // a file system that keeps no count (some that programs serve) says 0 of 0
        var shown = Path.GetDirectoryName(Path.GetFullPath(folder))!; // the folder itself may have a temporary name
        throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"the result takes {needed / 1e9:0.00} GB and {shown} has {free / 1e9:0.00} GB free; make room there, or give --out a folder on another disk."));
    }
}
