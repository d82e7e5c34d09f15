// Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed. Compiled into each assembly
// that writes files (Models, Plugins, Training, and through Plugins the host), since no assembly that does I/O stands below them all.

namespace PeftAlign;

internal static class AtomicFile
{
    /// <summary>Writes a file through <paramref name="body"/>; after a failure neither it nor the temporary file is there.</summary>
    public static void Write(string path, Action<Stream> body)
    {
        // Two processes, or two threads of one, may write one file at once: the last to finish wins, and neither touches the other's part.
        var part = $"{path}.{Environment.ProcessId}-{Environment.CurrentManagedThreadId}.part";
        try
        {
            using (var stream = new FileStream(part, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
            {
                body(stream);
                stream.Flush(flushToDisk: true); // the name must not outlive the content
            }
            File.Move(part, path, overwrite: true);
        }
        catch
        {
            Delete(part);
            throw;
        }
    }

    private static void Delete(string part)
    {
        try
        {
            File.Delete(part);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // what ended the writing says more, and is on its way
        }
    }

    /// <summary>Writes a text as UTF-8 without a mark.</summary>
    public static void Write(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));
}
