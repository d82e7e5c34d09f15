// Readers of training and evaluation rows.

using PeftAlign.Abstractions;
using PeftAlign.Data.Sampling;
using PeftAlign.Data.Sonnets;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Data.DataPlugin))]

namespace PeftAlign.Data;

/// <summary>Provides the readers.</summary>
public sealed class DataPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IDatasetReader, JsonlOptions>("jsonl", resultVersion: 1, (_, options) => new JsonlReader(options));
        registry.Add<IDatasetReader, CsvOptions>("csv", resultVersion: 2, (_, options) => new CsvReader(options));
        registry.Add<IDatasetReader, HhRlhfOptions>("hh-rlhf", resultVersion: 2, (context, options) => new HhRlhfReader(options, context?.Logger));
        registry.Add<IDatasetReader, BeaverTailsOptions>("beavertails", resultVersion: 1, (context, options) => new BeaverTailsReader(options, context?.Logger));
        registry.Add<IDatasetReader, TldrOptions>("tldr", resultVersion: 1, (context, options) => new TldrReader(options, context?.Logger));
        registry.Add<IDatasetReader, AlpacaFarmOptions>("alpaca-farm", resultVersion: 1, (context, options) => new AlpacaFarmReader(options, context?.Logger));
        registry.Add<IDatasetReader, QqpOptions>("qqp", resultVersion: 2, (_, options) => new QqpReader(options));
        registry.Add<IDatasetReader, SonnetOptions>("sonnets", resultVersion: 2, (context, options) => new SonnetReader(options, context));
        registry.Add<IDatasetReader, SampledPairsOptions>("sampled-pairs", resultVersion: 1, (context, options) => new SampledPairsReader(options, context));
        registry.Add<IDatasetReader, SyntheticOptions>("synthetic", resultVersion: 1, (_, options) => new SyntheticReader(options));
        registry.Add<IDatasetReader, AssistantOptions>("assistant", resultVersion: 1, (_, options) => new AssistantReader(options));
    }
}
