// Writes plugin.json into a plugin's build output: loads the plugin in its own context, runs Register, reads the options classes.
// Called by the build (plugins/Directory.Build.targets, or PeftAlign.Sdk outside this tree):
//   PluginTool ID VERSION ENTRY_ASSEMBLY DOCS_XML REFERENCES_FILE
// REFERENCES_FILE has one path of a referenced assembly per line: what the host lends at run time is taken from there.

using System.Reflection;
using System.Runtime.Loader;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;

if (args is not [var id, var version, var entry, var docs, var references])
{
    Console.Error.WriteLine("error PA0001: usage: PluginTool ID VERSION ENTRY_ASSEMBLY DOCS_XML REFERENCES_FILE");
    return 2;
}
try
{
    var lent = File.ReadAllLines(references).Where(line => line.Length > 0).ToLookup(file => Path.GetFileNameWithoutExtension(file));
    AssemblyLoadContext.Default.Resolving += (context, name) => lent[name.Name!].FirstOrDefault() is { } file ? Load(context, file) : null;
    var manifest = ManifestBuilder.Build(id, version, Path.GetFullPath(entry), docs);
    ManifestFile.Write(Path.GetDirectoryName(Path.GetFullPath(entry))!, manifest);
    return 0;
}
catch (UserErrorException e)
{
    // The form that MSBuild shows as an error of the build.
    Console.Error.WriteLine($"{id}: error PA0002: {e.Message.ReplaceLineEndings(" ")}");
    return 1;
}

static Assembly Load(AssemblyLoadContext context, string file) => context.LoadFromAssemblyPath(Path.GetFullPath(file));
