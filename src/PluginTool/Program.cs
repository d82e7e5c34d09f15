// The build's tool. Called by builds, not by users:
//   PluginTool manifest ID VERSION ENTRY_ASSEMBLY DOCS_XML REFERENCES_FILE    writes plugin.json into a plugin's build output
//   PluginTool feed FEED PRODUCT ASSETS_JSON NATIVE_LIBRARY VERSION           makes the feed for third parties' plugins
// REFERENCES_FILE has one path of a referenced assembly per line: what the host lends at run time is taken from there.

using System.Reflection;
using System.Runtime.Loader;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.PluginTool.Feed;

try
{
    switch (args)
    {
        case ["manifest", var id, var version, var entry, var docs, var references]:
            WriteManifest(id, version, Path.GetFullPath(entry), docs, references);
            return 0;
        case ["feed", var feed, var product, var assets, var native, var version]:
            FeedBuilder.Build(feed, product, assets, native, version);
            return 0;
        default:
            Console.Error.WriteLine("PluginTool: error PA0001: usage: PluginTool manifest ID VERSION ENTRY DOCS REFERENCES | PluginTool feed FEED PRODUCT ASSETS NATIVE VERSION");
            return 2;
    }
}
catch (Exception e) when (e is UserErrorException or TypeLoadException or FileNotFoundException or FileLoadException or BadImageFormatException or MissingMemberException)
{
    // The form that MSBuild shows as an error of the build.
    Console.Error.WriteLine($"{args[1]}: error PA0002: {(e is UserErrorException ? "" : $"{e.GetType().Name}: ")}{e.Message.ReplaceLineEndings(" ")}");
    return 1;
}

static void WriteManifest(string id, string version, string entry, string docs, string references)
{
    var lent = File.ReadAllLines(references).Where(line => line.Length > 0).ToLookup(file => Path.GetFileNameWithoutExtension(file));
    AssemblyLoadContext.Default.Resolving += (context, name) => lent[name.Name!].FirstOrDefault() is { } file ? Load(context, file) : null;
    ManifestFile.Write(Path.GetDirectoryName(entry)!, ManifestBuilder.Build(id, version, entry, docs));
}

static Assembly Load(AssemblyLoadContext context, string file) => context.LoadFromAssemblyPath(Path.GetFullPath(file));
