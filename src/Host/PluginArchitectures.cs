// The architectures that a process knows: the built-in ones and those of its plugins. A plugin's assembly is loaded when one
// of its models is met.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;

namespace PeftAlign.Host;

internal static class PluginArchitectures
{
    /// <summary>Those of a catalogue beside the built-in ones, with the quantised folders that it reads.</summary>
    /// <exception cref="UserErrorException">Two have the same name.</exception>
    internal static ModelArchitectures Of(PluginCatalogue plugins)
    {
        var kind = ContractKinds.Of(typeof(IModelArchitecture));
        var provided = plugins.All.Where(p => p.Contract.Kind == kind);
        return ModelArchitectures.BuiltIn.With(provided.Select(p => KeyValuePair.Create(p.Contract.Name, (IModelArchitecture)new Deferred(p.QualifiedName, plugins)))).Reading(config => Quantization(plugins, config));
    }

    // A plugin is loaded when a quantised folder is met.
    private static IQuantization? Quantization(PluginCatalogue plugins, JsonElement config) =>
        plugins.All.Where(p => p.Contract.Kind == ContractKinds.Of(typeof(IQuantization)) && p.Contract.Alias == "")
            .Select(p => plugins.Create<IQuantization>(p.QualifiedName, [], new BareContext())).FirstOrDefault(q => q.Reads(config));

    /// <summary>Those of the product's plugins and of further folders.</summary>
    internal static ModelArchitectures Of(IReadOnlyList<string> pluginFolders) => Of(PluginSearch.Of(AppContext.BaseDirectory, pluginFolders).Scan());

    private sealed class Deferred(string name, PluginCatalogue plugins) : IModelArchitecture
    {
        private readonly Lazy<IModelArchitecture> made = new(() => plugins.Create<IModelArchitecture>(name, new JsonObject(), new BareContext()));

        public string ClassName => made.Value.ClassName;

        public IReadOnlyList<InitOption> InitOptions => BrokenContractException.Whole(made.Value, nameof(InitOptions), made.Value.InitOptions);

        public DecoderSpec Describe(ArchitectureConfig config) =>
            made.Value.Describe(config) ?? throw new BrokenContractException(made.Value, "Describe gave null", "a DecoderSpec is asked for, or a UserErrorException where a key asks for what it cannot compute");
    }
}
