// What is deleted of jobs, as a kill at any moment would leave it: another thread looks all the while.

using PeftAlign.Core;
using PeftAlign.Host.Running;
using PeftAlign.Host.Store;

namespace PeftAlign.Host.Tests.Running;

public sealed class DeletionTests
{
    private const int Files = 4000;
    private RunFolder run = new("");

    [SetUp]
    public void Make() => run = new RunFolder(Directory.CreateTempSubdirectory("peftalign deletion ").FullName);

    [TearDown]
    public void Remove() => Directory.Delete(run.Path, recursive: true);

    [Test]
    public void A_forgotten_job_has_no_half_a_checkpoint()
    {
        var job = Filled();
        Assert.That(Watched(() => JobPreparation.Forget(job), () => IsHalf(job)), Is.False, "a checkpoint under its own name was not whole");
        Assert.That(Directory.GetFileSystemEntries(job.Path), Is.EquivalentTo(new[] { job.Lock, job.Log }));
    }

    // What was made with other files is either a finished job or marked as forgotten: never work that the next start goes on from.
    [Test]
    public void A_forgotten_job_is_never_taken_for_unfinished_work()
    {
        var job = Filled();
        bool IsTakenUp() => !File.Exists(job.Result) && !File.Exists(job.Forgotten) && (Directory.Exists(job.File("checkpoints")) || File.Exists(job.File("samples-1")));
        bool IsHalfFinished() => !Directory.Exists(job.File("checkpoints")) && File.Exists(job.Result);
        Assert.That(Watched(() => JobPreparation.Forget(job), () => IsTakenUp() || IsHalfFinished()), Is.False);
    }

    // The states that a kill can leave, in order.
    [TestCase("forgotten.json checkpoints/step-3 metrics.jsonl job.json")]
    [TestCase("forgotten.json checkpoints.partial-7/step-3 points/step-5 metrics.jsonl job.json")]
    [TestCase("forgotten.json points.partial-7/step-5 metrics.jsonl job.json")]
    [TestCase("forgotten.json metrics.jsonl")]
    [TestCase("forgotten.json")]
    [TestCase("failure.json", Description = "of the try before")]
    [TestCase("")]
    public void A_job_whose_forgetting_was_killed_begins_from_nothing(string left)
    {
        var folder = run.Job("c3");
        Directory.CreateDirectory(folder.Path);
        foreach (var name in left.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            var file = Path.Combine(folder.Path, name.Contains('/') ? Path.Combine(name, "numbers") : name);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, name == "metrics.jsonl" ? """{"epoch":0.5}""" + "\n" : "not to be read");
        }
        var job = Training(folder.Id);
        Assert.That(Repeats.Of(run, job), Is.Null);
        new JobPreparation(run, run.Path, new Dictionary<string, string>(), 2, Inexact: false, new FileHashes(new Dictionary<string, Plugins.PluginFolder>())).Begin(job);
        Assert.That(Directory.GetFileSystemEntries(folder.Path), Is.EqualTo(new[] { folder.Spec }));
        Assert.That(PeftAlign.Host.Jobs.JobSpec.Read(folder).Threads, Is.EqualTo(2));
    }

    [Test]
    public void Garbage_stays_known_for_garbage_until_all_of_it_is_gone()
    {
        var job = Filled();
        var garbage = Garbage.Of(run, new HashSet<string>()).Single();
        var isDeleted = false;
        // Asked in this order: a folder without job.json in which something is left.
        bool IsOrphan() => !File.Exists(job.Spec) && Directory.Exists(job.Path) && Directory.EnumerateFileSystemEntries(job.Path).Any();
        bool IsHalfFinished() => !Directory.Exists(job.File("checkpoints")) && File.Exists(job.Result);
        Assert.That(Watched(() => isDeleted = garbage.Delete(), () => IsOrphan() || IsHalf(job) || IsHalfFinished()), Is.False, "no later gc would find it, half a checkpoint had its own name, or a finished job lacked what it had made");
        Assert.That((isDeleted, Directory.Exists(job.Path)), Is.EqualTo((true, false)));
    }

    // A kill left one partial folder in another: the next start deletes both.
    [Test]
    public void Partial_folders_in_partial_folders_are_deleted()
    {
        var job = run.Job("b2");
        Directory.CreateDirectory(Path.Combine(job.Path, "checkpoints.partial-7", "step-3.partial-5"));
        Directory.CreateDirectory(Path.Combine(job.Path, "model"));
        RunFolder.DeletePartials(job.Path);
        Assert.That(Directory.GetDirectories(job.Path), Is.EqualTo(new[] { Path.Combine(job.Path, "model") }));
    }

    private JobFolder Filled()
    {
        var job = run.Job("a1");
        Directory.CreateDirectory(Checkpoint(job));
        for (var k = 0; k < Files; k++) File.WriteAllText(Path.Combine(Checkpoint(job), $"{k}"), "");
        foreach (var path in (string[])[job.Spec, job.Result, job.Lock, job.Log, job.Timing]) File.WriteAllText(path, "{}");
        for (var k = 0; k < 500; k++) File.WriteAllText(job.File($"samples-{k}"), "");
        return job;
    }

    private static PlanJob Training(string id) => new(id, "train", "teach", [], new Dictionary<string, string>(), [], "{}", "{}", [], [], ["step:1"], "", [], "");

    private static string Checkpoint(JobFolder job) => Path.Combine(job.File("checkpoints"), "step-3");

    // The name is looked for again at the end: files may be missed that were moved meanwhile with their folder.
    private static bool IsHalf(JobFolder job) =>
        Directory.Exists(Checkpoint(job)) && Directory.EnumerateFiles(Checkpoint(job)).Count() < Files && Directory.Exists(Checkpoint(job));

    // Whether something held at any moment of the work.
    private static bool Watched(Action work, Func<bool> holds)
    {
        using var isOver = new ManualResetEventSlim();
        using var begun = new ManualResetEventSlim();
        bool Holds()
        {
            try
            {
                return holds();
            }
            catch (DirectoryNotFoundException)
            {
                return false; // gone between two looks
            }
        }
        var watch = Task.Run(() =>
        {
            var seen = false;
            while (!isOver.IsSet)
            {
                seen |= Holds();
                begun.Set();
            }
            return seen;
        });
        begun.Wait();
        work();
        isOver.Set();
        return watch.Result;
    }
}
