// Benchmarks, and the judges that some of them ask.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Judges;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Eval.EvalPlugin))]

namespace PeftAlign.Eval;

/// <summary>Provides benchmarks and judges.</summary>
public sealed class EvalPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IBenchmark, PreferenceOptions>("preference", resultVersion: 1, (context, options) => new PreferenceBenchmark(options, context));
        registry.Add<IJudge, CausalOptions>("causal", resultVersion: 1, (context, options) => new CausalJudge(options, context));
        registry.Add<IJudge, OpenAiOptions>("openai", resultVersion: 1, (_, options) => new OpenAiJudge(options));
        registry.Add<IJudge, ClassifierOptions>("classifier", resultVersion: 1, (context, options) => new ClassifierJudge(options, context));
    }
}
