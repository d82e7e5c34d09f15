// A file whose kernel lock keeps a folder for one process; the kernel frees it when the process ends, however it ends. Who lets go of a
// folder may delete the file. Another process that had opened it by then gets a lock that keeps nobody out, since the next one makes a
// new file of that name: so what was locked is compared with what the name leads to.

using PeftAlign.Host.Running;

namespace PeftAlign.Host;

internal static class LockFile
{
    // Some file systems in user space give a file another number each time; there the lock is believed in the end.
    private const int Most = 100;

    /// <summary>Locks a file, which is made, with its folder, where it is not there.</summary>
    /// <param name="file">Its full path.</param>
    /// <param name="locked">Runs between locking and comparing; for tests.</param>
    /// <exception cref="IOException">Another process has it (<see cref="Jobs.JobProcess.WouldBlock"/>), or it cannot be made.</exception>
    internal static FileStream Hold(string file, Action? locked = null)
    {
        for (var tries = 1; ; tries++)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            var held = new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            locked?.Invoke();
            if (tries == Most || IsStill(file, held)) return held;
            held.Dispose();
        }
    }

    // Where the kernel says nothing of an open file, the lock is believed.
    private static bool IsStill(string file, FileStream held) =>
        FileStamp.Of($"/proc/self/fd/{held.SafeFileHandle.DangerousGetHandle()}") is not { } own || (FileStamp.Of(file) is { } there && (own.Device, own.Inode) == (there.Device, there.Inode));
}
