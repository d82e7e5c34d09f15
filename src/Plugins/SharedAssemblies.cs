// Which assemblies a plugin gets from the host. Matched by simple name alone: matched by full name, a plugin built against a
// newer contract would silently get a private copy, whose types are not the host's.

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

    /// <summary>Whether .NET itself brings the assembly; contracts speak of its types, so a plugin's own copy would not fit.</summary>
    public static bool IsFramework(string simpleName) =>
        (simpleName.StartsWith("System", StringComparison.Ordinal) || simpleName.StartsWith("Microsoft.", StringComparison.Ordinal)
            || simpleName is "mscorlib" or "netstandard" or "WindowsBase")
        && File.Exists(Path.Combine(FrameworkFolder, simpleName + ".dll"));
}
