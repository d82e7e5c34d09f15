// Benchmarks.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Eval.EvalPlugin))]

namespace PeftAlign.Eval;

/// <summary>Provides the benchmarks.</summary>
public sealed class EvalPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IBenchmark, PreferenceOptions>("preference", resultVersion: 1, (context, options) => new PreferenceBenchmark(options, context));
}
