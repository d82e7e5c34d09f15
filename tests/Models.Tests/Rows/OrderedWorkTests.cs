// Work on batches by several threads: the order of results and of failures is the batches'.

using PeftAlign.Models.Rows;

namespace PeftAlign.Models.Tests.Rows;

public sealed class OrderedWorkTests
{
    private static List<int> Doubled(IEnumerable<int> rows, int threads, Func<int, int> work) =>
        [.. OrderedWork.Map(OrderedWork.Batches(rows, _ => 1), threads, batch => batch.Select(work).ToList()).SelectMany(made => made)];

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(4)]
    public void ResultsComeInOrder(int threads)
    {
        // The first batches take longest.
        var made = Doubled(Enumerable.Range(0, 1000), threads, row =>
        {
            if (row is < 100 and >= 0 && row % 10 == 0) Thread.Sleep(1);
            return 2 * row;
        });
        Assert.That(made, Is.EqualTo(Enumerable.Range(0, 1000).Select(row => 2 * row)));
    }

    [TestCase(1)]
    [TestCase(3)]
    public void AFailureComesBehindWhatStandsBeforeIt(int threads)
    {
        var made = new List<int>();
        void Take(IEnumerable<int> rows, Func<int, int> work)
        {
            made.Clear();
            foreach (var batch in OrderedWork.Map(OrderedWork.Batches(rows, _ => 1), threads, batch => batch.Select(work).ToList())) made.AddRange(batch);
        }
        static IEnumerable<int> Broken()
        {
            for (var row = 0; row < 200; row++) yield return row;
            throw new InvalidOperationException("reading");
        }
        Assert.That(() => Take(Broken(), row => row), Throws.InvalidOperationException.With.Message.EqualTo("reading"));
        Assert.That(made, Is.EqualTo(Enumerable.Range(0, 200)), "all rows before");
        // Of several failures the first in order is told, whichever thread is done first.
        Assert.That(() => Take(Enumerable.Range(0, 1000), row => row is 300 or 500 ? throw new InvalidOperationException($"{row}") : row), Throws.InvalidOperationException.With.Message.EqualTo("300"));
        Assert.That(made, Is.EqualTo(Enumerable.Range(0, 300 / OrderedWork.BatchRows * OrderedWork.BatchRows)), "all batches before");
    }

    [TestCase(1)]
    [TestCase(3)]
    public void AnEmptyBatchAsksForAllResultsBeforeIt(int threads)
    {
        var (asked, made) = (0, 0);
        IEnumerable<IReadOnlyList<int>> Batches()
        {
            for (var k = 0; k < 5; k++)
            {
                yield return [k];
                asked++;
                yield return [];
                Assert.That(made, Is.EqualTo(asked), "the next may take for ever");
            }
        }
        foreach (var result in OrderedWork.Map(Batches(), threads, batch => batch[0])) Assert.That(result, Is.EqualTo(made++));
        Assert.That(made, Is.EqualTo(5));
    }

    [Test]
    public void WhoStopsEarlyLeavesNoWorkBehind()
    {
        var working = 0;
        var first = OrderedWork.Map(OrderedWork.Batches(Enumerable.Range(0, 100_000), _ => 1), 3, batch =>
        {
            Interlocked.Increment(ref working);
            Thread.Sleep(1);
            Interlocked.Decrement(ref working);
            return batch[0];
        }).First();
        Assert.That((first, working), Is.EqualTo((0, 0)));
    }

    [Test]
    public void LongRowsMakeSmallBatches()
    {
        var batches = OrderedWork.Batches(Enumerable.Range(0, 10), row => row == 3 ? OrderedWork.BatchLength : 1).Select(batch => batch.Count);
        Assert.That(batches, Is.EqualTo(new[] { 4, 6 }));
    }
}
