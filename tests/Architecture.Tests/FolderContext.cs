// Loads built assemblies for the tests that look at their public types.

using System.Reflection;
using System.Runtime.Loader;

namespace PeftAlign.Architecture.Tests;

/// <summary>Finds what an assembly refers to. A library's folder lacks its packages; some program's or test's has them.</summary>
internal sealed class FolderContext(string assembly) : AssemblyLoadContext(assembly)
{
    private readonly AssemblyDependencyResolver resolver = new(assembly);

    protected override Assembly? Load(AssemblyName name) =>
        (resolver.ResolveAssemblyToPath(name) ?? Tree.BuiltFile($"{name.Name}.dll")) is { } path ? LoadFromAssemblyPath(path) : null;
}
