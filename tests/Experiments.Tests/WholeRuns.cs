// Runs from their beginning to their end without a disturbance, made once for all tests that compare with one and leave it as it is.

using System.Collections.Concurrent;

namespace PeftAlign.Experiments.Tests;

[SetUpFixture]
public sealed class WholeRuns
{
    private static readonly ConcurrentDictionary<string, Lazy<Peftalign>> made = new();

    /// <summary>The finished run of a manifest; not to be changed.</summary>
    internal static Peftalign Of(string manifest) => made.GetOrAdd(manifest, text => new Lazy<Peftalign>(() => Make(text))).Value;

    private static Peftalign Make(string manifest)
    {
        var run = new Peftalign();
        run.Finish(run.Write("whole.yaml", manifest), "--jobs", "2");
        return run;
    }

    [OneTimeTearDown]
    public void Remove()
    {
        foreach (var run in made.Values.Where(run => run.IsValueCreated)) run.Value.Dispose();
    }
}
