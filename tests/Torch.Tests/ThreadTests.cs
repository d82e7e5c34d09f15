// Threads: the number that is set is every thread's, and what goes wrong on one of the kernels' own is the caller's to know.

using PeftAlign.Torch.Tests.Children;

namespace PeftAlign.Torch.Tests;

public sealed class ThreadTests
{
    // OpenMP's number is each thread's own: one that had computed before went on with the number of then, and rounded its sums otherwise.
    [Test]
    public void A_number_of_threads_is_that_of_every_thread_also_of_one_that_has_computed_before()
    {
        using var scope = torch.NewDisposeScope();
        var x = new Extras.CounterStream(5, "threads").Normal([3_000_000], dtype: torch.float32);
        var (said, sums, sign) = (new List<int>(), new List<float>(), new Barrier(2));
        var other = new Thread(() =>
        {
            for (var turn = 0; turn < 3; turn++)
            {
                sign.SignalAndWait();
                using var own = torch.NewDisposeScope();
                sums.Add(x.sum().item<float>());
                said.Add(torch.get_num_threads());
                sign.SignalAndWait();
            }
        });
        other.Start();
        var expected = new List<float>();
        foreach (var number in (int[])[4, 1, 2])
        {
            using var threads = new Near.Threads(number);
            expected.Add(x.sum().item<float>());
            sign.SignalAndWait();
            sign.SignalAndWait();
        }
        other.Join();
        Assert.That(said, Is.EqualTo((int[])[4, 1, 2]));
        Assert.That(sums, Is.EqualTo(expected));
    }

    // Whoever follows reads the number and sets it for itself, which sets it for all: between the two another one may have been set.
    [Test]
    public void A_number_of_threads_is_not_taken_back_by_a_thread_that_follows_the_one_before()
    {
        using var own = new Near.Threads(1);
        var isOver = false;
        var others = Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            while (!Volatile.Read(ref isOver)) torch.get_num_threads();
        })).ToList();
        others.ForEach(other => other.Start());
        var lost = 0;
        for (var k = 0; k < 500; k++)
        {
            torch.set_num_threads(1 + (k % 2));
            if (torch.get_num_threads() != 1 + (k % 2)) lost++;
        }
        Volatile.Write(ref isOver, true);
        others.ForEach(other => other.Join());
        Assert.That(lost, Is.Zero);
    }

    [TestCase("threads")]
    [TestCase("merge-threads")]
    public void Work_that_no_further_thread_can_be_begun_for_is_done_by_those_that_there_are(string work)
    {
        var child = Child.Run(["no-room", work]);
        Assert.That(child.LastLine, Is.EqualTo("equal=True threads=4"), $"exit code {child.ExitCode}: {child.Errors}");
    }

    [Test]
    public void Memory_that_runs_out_on_a_kernels_thread_is_an_exception_and_the_next_call_works()
    {
        var child = Child.Run(["no-room", "tasks"]);
        Assert.That(child.LastLine, Does.Contain("bad_alloc").And.EndsWith("equal=True"), $"exit code {child.ExitCode}: {child.Errors}");
    }
}
