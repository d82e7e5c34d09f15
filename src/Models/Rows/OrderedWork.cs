// Work on batches by several threads, of which the results come in the batches' order. The thread that asks for results reads the batches and
// takes part in the work; others take batches as they come free. So nothing that a result is depends on the number of threads.

using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace PeftAlign.Models.Rows;

/// <summary>Work on rows by several threads.</summary>
public static class OrderedWork
{
    /// <summary>Rows of a batch: enough that handing it on costs nothing beside the work.</summary>
    public const int BatchRows = 64;

    /// <summary>Characters or bytes from which on fewer rows make a batch.</summary>
    public const int BatchLength = 1 << 18;

    // Batches that are read before a result is asked for, for each thread.
    private const int Ahead = 2;

    /// <summary>The result of each batch, in order. A failure, of the work or of reading, comes out behind the results of what stands before it.</summary>
    /// <param name="batches">Read by the caller's thread as they are needed. An empty one gives no result: all results before it come out before the next is asked for.</param>
    /// <param name="threads">Threads that work, the caller's included.</param>
    /// <param name="work">Makes a batch's result, on any thread.</param>
    public static IEnumerable<TResult> Map<T, TResult>(IEnumerable<IReadOnlyList<T>> batches, int threads, Func<IReadOnlyList<T>, TResult> work)
    {
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentNullException.ThrowIfNull(work);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        threads = Math.Min(threads, Environment.ProcessorCount);
        return threads == 1 ? batches.Where(batch => batch.Count > 0).Select(work) : Shared(batches, threads, work);
    }

    /// <summary>Rows in batches, as <see cref="Map"/> takes them; a failure of reading comes behind the rows before it.</summary>
    /// <param name="rows">Read as they are needed.</param>
    /// <param name="length">Characters or bytes that a row holds: long ones make small batches, so that few are in memory at once.</param>
    public static IEnumerable<IReadOnlyList<T>> Batches<T>(IEnumerable<T> rows, Func<T, long> length)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(length);
        using var source = rows.GetEnumerator();
        ExceptionDispatchInfo? broken = null;
        for (var more = true; more;)
        {
            var (batch, held) = (new List<T>(BatchRows), 0L);
            try
            {
                while (batch.Count < BatchRows && held < BatchLength && (more = source.MoveNext()))
                {
                    batch.Add(source.Current);
                    held += length(source.Current);
                }
            }
            catch (Exception e)
            {
                (broken, more) = (ExceptionDispatchInfo.Capture(e), false);
            }
            if (batch.Count > 0) yield return batch;
        }
        broken?.Throw();
    }

    private static IEnumerable<TResult> Shared<T, TResult>(IEnumerable<IReadOnlyList<T>> batches, int threads, Func<IReadOnlyList<T>, TResult> work)
    {
        using var open = new BlockingCollection<Part<T, TResult>>();
        // On threads of their own: those of the pool may all wait for this one.
        Task[] others = [.. Enumerable.Range(1, threads - 1).Select(_ => Task.Factory.StartNew(() =>
        {
            foreach (var part in open.GetConsumingEnumerable()) part.TryMake(work);
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        using var source = batches.GetEnumerator();
        var (queue, ahead, broken) = (new Queue<Part<T, TResult>>(), Ahead * threads, (ExceptionDispatchInfo?)null);

        // Whether there may be more; with how many batches may wait for it.
        (bool More, int Waiting) Read()
        {
            try
            {
                while (queue.Count < ahead)
                {
                    if (!source.MoveNext()) return (false, 0);
                    if (source.Current.Count == 0) return (true, 0);
                    var part = new Part<T, TResult>(source.Current);
                    queue.Enqueue(part);
                    open.Add(part);
                }
                return (true, ahead - 1);
            }
            catch (Exception e)
            {
                broken = ExceptionDispatchInfo.Capture(e);
                return (false, 0);
            }
        }

        try
        {
            for (var more = true; more;)
            {
                (more, var waiting) = Read();
                while (queue.Count > waiting) yield return Next(queue, work);
            }
            broken?.Throw();
        }
        finally
        {
            open.CompleteAdding();
            while (open.TryTake(out _)) ; // nobody wants them any more
            Task.WaitAll(others);
        }
    }

    // The first one's result. While another thread makes it, this one makes what nobody has begun.
    private static TResult Next<T, TResult>(Queue<Part<T, TResult>> queue, Func<IReadOnlyList<T>, TResult> work)
    {
        var first = queue.Peek();
        foreach (var part in queue)
        {
            if (first.IsMade) break;
            part.TryMake(work);
        }
        return queue.Dequeue().Result;
    }

    private sealed class Part<T, TResult>(IReadOnlyList<T> batch)
    {
        private readonly TaskCompletionSource<TResult> made = new();
        private int taken;

        public bool IsMade => made.Task.IsCompleted;

        public TResult Result => made.Task.GetAwaiter().GetResult();

        public void TryMake(Func<IReadOnlyList<T>, TResult> work)
        {
            if (Interlocked.Exchange(ref taken, 1) != 0) return;
            try
            {
                made.SetResult(work(batch));
            }
            catch (Exception e)
            {
                made.SetException(e);
            }
        }
    }
}
