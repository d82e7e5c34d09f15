// Small files of a folder that is renamed once it is complete: they are flushed to the disk before that.

using System.Text;

namespace PeftAlign.Merging;

internal static class Flushed
{
    public static void Write(string path, string text)
    {
        using var stream = new FileStream(path, FileMode.Create, FileAccess.Write);
        stream.Write(Encoding.UTF8.GetBytes(text));
        stream.Flush(flushToDisk: true);
    }
}
