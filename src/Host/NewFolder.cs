// What a command that makes a folder asks before it starts.

namespace PeftAlign.Host;

internal static class NewFolder
{
    /// <summary>True where nothing can be made: a file is there, or a folder that holds something.</summary>
    internal static bool IsTaken(string folder) => File.Exists(folder) || (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any());
}
