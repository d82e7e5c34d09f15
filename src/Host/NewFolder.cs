// What a command that makes a folder asks before it starts, and what it says where none can be made.

using System.Text.RegularExpressions;
using PeftAlign.Host.Running;

namespace PeftAlign.Host;

internal static partial class NewFolder
{
    /// <summary>Makes sure that a folder can be made: nothing is there, or an empty folder.</summary>
    /// <param name="folder">As the user wrote it.</param>
    /// <exception cref="UserError">A file is there, or a folder that holds something.</exception>
    internal static void ThrowIfTaken(string folder)
    {
        if (File.Exists(folder) || (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any()))
            throw new UserError($"--out {folder}", $"is there and {(File.Exists(folder) ? "no folder" : "not empty")}", "name another folder, or remove it");
    }

    /// <summary>RunFolder.Fill for what a user names.</summary>
    /// <param name="folder">As the user wrote it.</param>
    /// <param name="write">Fills the folder that it is given.</param>
    /// <exception cref="UserError">The folder cannot be made; nothing was written then.</exception>
    internal static void Fill(string folder, Action<string> write)
    {
        var begun = false;
        try
        {
            RunFolder.Fill(folder, made =>
            {
                begun = true;
                write(made);
            });
        }
        catch (Exception e) when (!begun && IsRefused(e))
        {
            throw Refused(folder, e);
        }
    }

    /// <summary>Writes a text in one step, in a folder that need not be there yet.</summary>
    /// <param name="file">As the user wrote it.</param>
    /// <param name="text">What it shall hold.</param>
    /// <exception cref="UserError">It cannot be made there.</exception>
    internal static void Write(string file, string text)
    {
        try
        {
            RunFolder.Write(Path.GetFullPath(file), text);
        }
        catch (Exception e) when (IsRefused(e))
        {
            throw Refused(file, e);
        }
    }

    /// <summary>Whether a place cannot be written; a full disk is another matter, since nothing that the user named is wrong.</summary>
    internal static bool IsRefused(Exception error) => error is (IOException or UnauthorizedAccessException) && !DiskMessage.IsFull(error);

    /// <summary>What is said then.</summary>
    /// <param name="target">As the user wrote it.</param>
    /// <param name="error">Why.</param>
    internal static UserError Refused(string target, Exception error) =>
        new($"--out {target}", $"cannot be made ({Temporary().Replace(error.Message.ReplaceLineEndings(" "), "").TrimEnd('.')})", "give another place, which can be made and written", error);

    // Nobody but us knows these names.
    [GeneratedRegex(@"\.(partial-\d+|\d+-\d+\.part)(?=')")]
    private static partial Regex Temporary();
}
