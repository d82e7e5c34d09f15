// The entry point of merging: read a configuration, plan it, write the model.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;

namespace PeftAlign.Merging;

/// <summary>Finds strategies among plugins.</summary>
/// <param name="plugins">All that may be used.</param>
/// <param name="context">What a plugin's instance gets.</param>
internal sealed class StrategyFinder(PluginCatalogue plugins, IPluginContext context)
{
    public ProvidedStrategy Find(string name)
    {
        var found = plugins.Find("merge", name);
        return new ProvidedStrategy(found.Contract, options => plugins.Create<IMergeStrategy>(name, options, context));
    }
}

internal static class Merger
{
    /// <summary>Plans the merge that a mergekit file describes; nothing is written.</summary>
    /// <param name="text">The file's text.</param>
    /// <param name="file">Its path, for messages.</param>
    /// <param name="find">Finds a strategy by name.</param>
    /// <param name="resolve">From a model's path as written to a full one.</param>
    /// <param name="decodes">Decodes models in 4 bits; null = they are refused.</param>
    /// <exception cref="UserErrorException">The file, or the models that it names, are wrong.</exception>
    public static MergePlan Plan(string text, string file, Func<string, ProvidedStrategy> find, Func<string, string> resolve, ModelArchitectures? decodes = null)
    {
        var faults = new MergeFaults(file);
        var config = new MergeFile(faults, name => find(name).Contract.Options).Read(text);
        return Plan(config, faults, find, name => ModelPlace.Of(name, resolve) with { Decodes = decodes });
    }

    /// <summary>Plans a merge.</summary>
    public static MergePlan Plan(MergeConfig config, MergeFaults faults, Func<string, ProvidedStrategy> find, Func<string, ModelPlace> locate)
    {
        MergeTemplate.Check(config, faults);
        try
        {
            return MergePlanner.Plan(config, find(config.Method), locate, faults);
        }
        catch (UserErrorException e) when (!e.Message.StartsWith(faults.File, StringComparison.Ordinal))
        {
            throw new UserErrorException($"{faults.File}: {e.Message}", e);
        }
    }
}
