// A plugin as lists and `info` show it: as JSON and as lines.

using System.Text.Json.Nodes;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands.Plugins;

internal static class PluginReport
{
    /// <summary>plugin.json as it is, and where it was found.</summary>
    public static JsonObject Document(PluginFolder plugin)
    {
        var json = plugin.Json();
        json["path"] = plugin.Path;
        json["origin"] = plugin.Origin.ToString().ToLowerInvariant();
        return json;
    }

    public static IEnumerable<string> Lines(PluginFolder plugin)
    {
        var manifest = plugin.Manifest;
        yield return $"{manifest.Id} {manifest.Version} (ApiLevel {manifest.ApiLevel}) in {plugin.Path}";
        foreach (var provided in manifest.Provides)
        {
            yield return "";
            yield return $"{provided.Kind} {provided.Name} (resultVersion {provided.ResultVersion}){(provided.Alias == "" ? "" : $" = {provided.Alias}")}{(provided.Docs == "" ? "" : $": {provided.Docs}")}";
            foreach (var line in OptionHelp.Lines(provided.Options, manifestSpelling: true)) yield return "  " + line;
        }
    }
}
