// The source tree as the architecture tests see it: projects, what they refer to, and their built assemblies.

using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Xml.Linq;

namespace PeftAlign.Architecture.Tests;

/// <summary>One project file of src/ or plugins/.</summary>
internal sealed record Project(string Name, string File, bool IsPlugin)
{
    /// <summary>Names of the projects that its file refers to.</summary>
    public IReadOnlyList<string> References { get; } =
        [.. XDocument.Load(File).Descendants("ProjectReference").Select(item => Path.GetFileNameWithoutExtension(item.Attribute("Include")!.Value.Replace('\\', '/')))];

    /// <summary>The assembly that the build of this configuration left.</summary>
    public string Assembly { get; } = Path.Combine(Tree.Root, ".build", "artifacts", "bin", Name, Tree.Configuration, $"PeftAlign.{Name}.dll");

    /// <summary>Simple names of the assemblies that the built assembly refers to.</summary>
    public IReadOnlyList<string> AssemblyReferences()
    {
        using var stream = System.IO.File.OpenRead(Assembly);
        using var file = new PEReader(stream);
        var metadata = file.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name))];
    }

    public override string ToString() => Name;
}

internal static class Tree
{
    private static readonly DirectoryInfo Output = new(Path.GetDirectoryName(typeof(Tree).Assembly.Location)!);

    /// <summary>release or debug, as this test was built.</summary>
    public static string Configuration { get; } = Output.Name;

    /// <summary>The folder of PeftAlign.sln.</summary>
    public static string Root { get; } = Checkout.Root;

    public static IReadOnlyList<Project> Projects { get; } = [.. Files("src").Select(file => Make(file, false)), .. Files("plugins").Select(file => Make(file, true))];

    /// <summary>Project files one folder below the given one.</summary>
    public static IEnumerable<string> Files(string folder)
    {
        var path = Path.Combine(Root, folder);
        return Directory.Exists(path) ? Directory.GetDirectories(path).SelectMany(sub => Directory.GetFiles(sub, "*.*proj")).Order(StringComparer.Ordinal) : [];
    }

    /// <summary>A file of that name in some project's output, or null.</summary>
    public static string? BuiltFile(string name) =>
        Directory.GetDirectories(Path.Combine(Root, ".build", "artifacts", "bin")).Select(folder => Path.Combine(folder, Configuration, name)).FirstOrDefault(File.Exists);

    private static Project Make(string file, bool isPlugin) => new(Path.GetFileNameWithoutExtension(file), file, isPlugin);
}
