// What a command that makes a folder asks before it starts.

namespace PeftAlign.Host;

internal static class NewFolder
{
    /// <summary>Makes sure that a folder can be made: nothing is there, or an empty folder.</summary>
    /// <param name="folder">As the user wrote it.</param>
    /// <exception cref="UserError">A file is there, or a folder that holds something.</exception>
    internal static void ThrowIfTaken(string folder)
    {
        if (File.Exists(folder) || (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any()))
            throw new UserError($"--out {folder}", $"is there and {(File.Exists(folder) ? "no folder" : "not empty")}", "name another folder, or remove it");
    }
}
