// While the host runs it holds a shared lock on the file "in-use" beside its program, so that set-up, which deletes old
// products after some days, never takes one away from a long experiment.

namespace PeftAlign.Host;

internal static class ProductInUse
{
    /// <summary>The lock, or null where the program is not a product (a build folder, a published copy).</summary>
    public static FileStream? Hold()
    {
        var file = Path.Combine(AppContext.BaseDirectory, "in-use");
        try
        {
            // .NET takes flock(LOCK_SH) for a reader that lets others read.
            return File.Exists(file) ? new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
