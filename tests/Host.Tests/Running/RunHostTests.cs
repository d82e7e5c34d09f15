// The host of a run: its services are put together and told of the jobs, and it ends with the command.

using PeftAlign.Core;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class RunHostTests
{
    private RunFolder run = null!;

    [SetUp]
    public void Make() => run = new RunFolder(Directory.CreateTempSubdirectory("peftalign run host ").FullName);

    [TearDown]
    public void Remove() => Directory.Delete(run.Path, recursive: true);

    private static Plan Two { get; } = new("two", [.. new[] { "a", "b" }.Select(id => new PlanJob(id, "train", $"train/{id}", [$"train/{id}"], new Dictionary<string, string>(), [], "{}", "{}", [], [], [], "", [], "group"))], []);

    private async Task<(RunSummary Summary, string Remarks)> Run(CancellationToken cancellation)
    {
        File.WriteAllText(Path.Combine(run.Path, "jobs"), "no folder, so that no job can be begun");
        using var remarks = new StringWriter();
        var preparation = new JobPreparation(run, run.Path, new Dictionary<string, string>(), 1, false, new FileHashes(new Dictionary<string, Plugins.PluginFolder>()));
        var summary = await RunHost.RunAsync(preparation, Two, 2, new Output(TextWriter.Null, remarks), cancellation);
        return (summary, remarks.ToString());
    }

    [Test]
    public async Task Who_watches_is_told_of_every_job()
    {
        var (summary, remarks) = await Run(CancellationToken.None);
        Assert.That(summary.Failed.Select(failure => failure.Label), Is.EqualTo((string[])["train/a", "train/b"]));
        Assert.That(remarks, Does.Contain("FAILED train/a").And.Contain("FAILED train/b").And.Contain("[0/2]"), "the display");
        Assert.That(File.Exists(run.Index), "the index");
    }

    [Test]
    public void A_command_that_was_interrupted_begins_nothing()
    {
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        Assert.That(() => Run(stopped.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(File.Exists(run.Index), Is.False);
    }
}
