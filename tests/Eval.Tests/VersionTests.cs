// The version that results.json gives for a benchmark, and the one that a job's identity rests on: both rise when numbers change.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Tests;

public sealed class VersionTests
{
    [TestCase("perplexity")]
    [TestCase("paraphrase")]
    [TestCase("sonnets")]
    [TestCase("mmlu")]
    public void Results_tell_the_version_that_jobs_are_known_by(string name)
    {
        var registered = new Registered(name);
        new EvalPlugin().Register(registered);
        Assert.That(registered.Benchmark!.Info.Version, Is.EqualTo(registered.ResultVersion));
    }

    // A benchmark with the options that nobody gave.
    private sealed class Registered(string wanted) : IPluginRegistry
    {
        internal int ResultVersion { get; private set; }

        internal IBenchmark? Benchmark { get; private set; }

        public void Add<TContract, TOptions>(string name, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
            where TContract : class
            where TOptions : class, new()
        {
            if (name == wanted) (ResultVersion, Benchmark) = (resultVersion, create(null!, new TOptions()) as IBenchmark);
        }

        public void Alias<TContract>(string alias, string meaning)
            where TContract : class
        {
        }
    }
}
