// peftalign plugins schema: the JSON Schema of manifests, for editors.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands.Plugins;

internal static class SchemaCommand
{
    public static Command Build(CommandFrame frame)
    {
        const string about = """
            the JSON Schema of manifests, with every plugin's options

            Write it beside a manifest, and name it in the manifest's first line; an editor with a YAML language server then completes
            names and options, and marks what is unknown:

                peftalign plugins schema > manifest.schema.json
                # yaml-language-server: $schema=manifest.schema.json
            """;
        var folders = PluginFolders.Option();
        var command = new Command("schema", about) { folders };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var catalogue = PluginFolders.Search(parsed, folders).Scan();
            foreach (var failure in catalogue.Failures) session.Output.Remark($"peftalign: {failure.Message}");
            var schema = Of(catalogue);
            session.Output.Result(() => schema, () => [Output.Text(schema)]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    /// <summary>The schema over these plugins.</summary>
    /// <exception cref="UserError">A plugin describes an option wrongly.</exception>
    internal static JsonNode Of(PluginCatalogue catalogue)
    {
        try
        {
            return JsonNode.Parse(Manifests.JsonSchema(SchemaCatalogue.Of(catalogue.Plugins.Select(plugin => new KnownPlugin(plugin, "")))))!;
        }
        catch (ArgumentException e)
        {
            throw new UserError("plugins", e.Message, "take the plugin that has the option out of the search path", e);
        }
    }
}
