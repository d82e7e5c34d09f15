// Benchmarks, and the judges that some of them ask.

using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Benchmarks;
using PeftAlign.Eval.Comparisons;
using PeftAlign.Eval.Judges;
using PeftAlign.Eval.Tasks;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Eval.EvalPlugin))]

namespace PeftAlign.Eval;

/// <summary>Provides benchmarks and judges.</summary>
public sealed class EvalPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IBenchmark, PreferenceOptions>("preference", resultVersion: 2, (context, options) => new PreferenceBenchmark(options, context));
        registry.Add<IBenchmark, MmluOptions>("mmlu", resultVersion: 2, (_, options) => new MmluBenchmark(options));
        registry.Add<IBenchmark, BbhOptions>("bbh", resultVersion: 4, (_, options) => new BbhBenchmark(options));
        registry.Add<IBenchmark, PerplexityOptions>("perplexity", resultVersion: 2, (_, options) => new PerplexityBenchmark(options));
        registry.Add<IBenchmark, ParaphraseOptions>("paraphrase", resultVersion: 3, (_, options) => new ParaphraseBenchmark(options));
        registry.Add<IBenchmark, SonnetOptions>("sonnets", resultVersion: 3, (_, options) => new SonnetBenchmark(options));
        registry.Add<IBenchmark, ToxicityOptions>("real_toxicity", resultVersion: 2, (_, options) => new ToxicityBenchmark(options));
        registry.Add<IBenchmark, RedInstructOptions>("red_instruct", resultVersion: 3, (_, options) => new RedInstructBenchmark(options));
        registry.Add<IBenchmark, AlpacaEvalOptions>("alpaca_eval", resultVersion: 1, (_, options) => new AlpacaEvalBenchmark(options));
        registry.Add<IBenchmark, WinrateOptions>("winrate", resultVersion: 2, (context, options) => options.Benchmark(context));
        registry.Add<IBenchmark, RewardOptions>("reward", resultVersion: 2, (context, options) => new RewardBenchmark(options, context));
        registry.Add<IBenchmark, TasksOptions>("tasks", resultVersion: 7, (context, options) => new TasksBenchmark(options, warning => context.Logger.LogWarning("{Warning}", warning)));
        registry.Add<IJudge, CausalOptions>("causal", resultVersion: 2, (context, options) => new CausalJudge(options, context));
        registry.Add<IJudge, OpenAiOptions>("openai", resultVersion: 2, (_, options) => new OpenAiJudge(options));
        registry.Add<IJudge, ClassifierOptions>("classifier", resultVersion: 2, (context, options) => new ClassifierJudge(options, context));
    }
}
