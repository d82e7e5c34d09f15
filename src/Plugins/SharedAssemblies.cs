// Which assemblies a plugin gets from the host. Matched by simple name alone: matched by full name, a plugin built against a
// newer contract would silently get a private copy, whose types are not the host's.

using System.Reflection;
using System.Runtime.Loader;

namespace PeftAlign.Plugins;

internal static class SharedAssemblies
{
    private static readonly string[] Names =
        ["PeftAlign.Abstractions", "PeftAlign.Torch", "PeftAlign.Algebra", "PeftAlign.Core", "PeftAlign.Models", "FSharp.Core"];

    private static readonly string FrameworkFolder = Path.GetDirectoryName(typeof(object).Assembly.Location)!;

    /// <summary>Whether the host's copy is everybody's copy.</summary>
    public static bool Contains(string simpleName) =>
        Names.Contains(simpleName)
        || (simpleName.StartsWith("Microsoft.Extensions.", StringComparison.Ordinal) && simpleName.EndsWith(".Abstractions", StringComparison.Ordinal));

    /// <summary>The version of the host's copy; null where the host has none.</summary>
    public static Version? Version(string simpleName)
    {
        try
        {
            return AssemblyLoadContext.Default.LoadFromAssemblyName(new AssemblyName(simpleName)).GetName().Version;
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Whether .NET itself brings the assembly; contracts speak of its types, so a plugin's own copy would not fit.</summary>
    public static bool IsFramework(string simpleName) =>
        (simpleName.StartsWith("System", StringComparison.Ordinal) || simpleName.StartsWith("Microsoft.", StringComparison.Ordinal)
            || simpleName is "mscorlib" or "netstandard" or "WindowsBase")
        && File.Exists(Path.Combine(FrameworkFolder, simpleName + ".dll"));
}
