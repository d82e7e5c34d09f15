// Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed.

namespace PeftAlign.Models.Checkpoints;

internal static class AtomicFile
{
    /// <summary>Writes a file through <paramref name="body"/>; after a failure neither it nor the temporary file is there.</summary>
    public static void Write(string path, Action<Stream> body)
    {
        var part = path + ".part";
        try
        {
            using (var stream = new FileStream(part, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
            {
                body(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(part, path, overwrite: true);
        }
        catch
        {
            File.Delete(part);
            throw;
        }
    }

    /// <summary>Writes a text as UTF-8.</summary>
    public static void Write(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));
}
