// The user's folder of what can be made again, by the XDG Base Directory Specification.

namespace PeftAlign.Plugins;

internal static class UserCache
{
    /// <summary>XDG_CACHE_HOME, which counts where it is a whole path; else .cache in HOME, if that is a folder; null where there is neither.</summary>
    public static string? Folder()
    {
        if (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } named && Path.IsPathRooted(named)) return named;
        return Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home && Directory.Exists(home) ? Path.Combine(home, ".cache") : null;
    }
}
