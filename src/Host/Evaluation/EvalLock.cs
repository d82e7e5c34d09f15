// One `eval` or `winrate` at a time in a folder: two would write over each other's records.

using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Evaluation;

internal sealed class EvalLock : IDisposable
{
    private readonly JobFolder folder;
    private readonly bool isNew;
    private readonly FileStream held;

    /// <param name="folder">The folder of results; made where it is not there.</param>
    /// <param name="target">As the user named it.</param>
    /// <exception cref="UserError">Another process works there, or nothing can be written there.</exception>
    internal EvalLock(JobFolder folder, string target)
    {
        (this.folder, isNew) = (folder, !Directory.Exists(folder.Path));
        try
        {
            held = LockFile.Hold(folder.Lock);
        }
        catch (IOException e) when (e.HResult == JobProcess.WouldBlock)
        {
            throw new UserError($"--out {target}", "another evaluation works in this folder", "wait for it, or give another folder", e);
        }
        catch (Exception e) when (NewFolder.IsRefused(e))
        {
            throw new UserError($"--out {target}", $"cannot be written ({e.Message.ReplaceLineEndings(" ").TrimEnd('.')})", "make it writable for you, or give another folder", e);
        }
    }

    /// <summary>Frees the folder; a command that wrote nothing leaves nothing.</summary>
    public void Dispose()
    {
        try
        {
            if (!Directory.EnumerateFileSystemEntries(folder.Path).All(path => path == folder.Lock)) return;
            File.Delete(folder.Lock);
            if (isNew) Directory.Delete(folder.Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The folder was taken away, or another command has begun in it: how this one ends is not about that.
        }
        finally
        {
            held.Dispose();
        }
    }
}
