// One load context per plugin: shared assemblies come from the host, .NET's own from .NET, all else from the plugin's folder
// and never from the host's, so that a plugin means the same on every host. Not collectible: a plugin is reloaded with the process.

using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;

namespace PeftAlign.Plugins;

internal sealed class PluginLoadContext : AssemblyLoadContext
{
    private readonly string id;
    private readonly string folder;
    private readonly AssemblyDependencyResolver resolver;

    public PluginLoadContext(string id, string entryAssembly)
        : base(id)
    {
        this.id = id;
        folder = Path.GetDirectoryName(entryAssembly)!;
        resolver = new AssemblyDependencyResolver(entryAssembly);
    }

    protected override Assembly? Load(AssemblyName name)
    {
        var simple = name.Name!;
        if (SharedAssemblies.Contains(simple)) return Shared(simple);
        if (SharedAssemblies.IsFramework(simple)) return null;
        if ((resolver.ResolveAssemblyToPath(name) ?? Beside(name)) is { } path) return LoadFromAssemblyPath(path);
        if (simple.EndsWith(".resources", StringComparison.Ordinal)) return null;
        throw new FileNotFoundException($"plugin {id} needs the assembly {simple} {name.Version}, which is not in its folder {folder}", simple + ".dll");
    }

    protected override IntPtr LoadUnmanagedDll(string name) => NativeFile(name) is { } path ? LoadUnmanagedDllFromPath(path) : IntPtr.Zero;

    private Assembly Shared(string simple)
    {
        try
        {
            return Default.LoadFromAssemblyName(new AssemblyName(simple));
        }
        catch (FileNotFoundException e)
        {
            throw new FileNotFoundException($"plugin {id} needs the shared assembly {simple}, which this host does not have", simple + ".dll", e);
        }
    }

    // Where deps.json is silent.
    private string? Beside(AssemblyName name)
    {
        var path = Path.Combine(folder, name.CultureName ?? "", name.Name + ".dll");
        return File.Exists(path) ? path : null;
    }

    private string? NativeFile(string name)
    {
        if (resolver.ResolveUnmanagedDllToPath(name) is { } resolved) return resolved;
        var extension = OperatingSystem.IsWindows() ? ".dll" : OperatingSystem.IsMacOS() ? ".dylib" : ".so";
        string[] files = [name, name + extension, "lib" + name, "lib" + name + extension];
        string[] folders = [folder, Path.Combine(folder, "runtimes", RuntimeInformation.RuntimeIdentifier, "native")];
        return folders.SelectMany(_ => files, (place, file) => Path.Combine(place, file)).FirstOrDefault(File.Exists);
    }
}
