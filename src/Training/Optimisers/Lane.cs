// A queue of work beside others: its work runs in order, and marks order the work of two queues. On a GPU a lane is a stream; on the
// processor it is a chain of tasks, so that tests run all code that uses lanes.

using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Work in order.</summary>
internal abstract class Lane
{
    /// <summary>The caller's lane, and one beside it for each direction of copies.</summary>
    internal static (Lane Own, Lane Fetching, Lane Returning) ForCopies(torch.Device device) => device.type == DeviceType.CUDA
        ? (new StreamLane(device, null), new StreamLane(device, new torch.cuda.Stream(device)), new StreamLane(device, new torch.cuda.Stream(device)))
        : (new CallerLane(), new TaskLane(), new TaskLane());

    /// <summary>Runs work behind all that was asked before.</summary>
    internal abstract void Run(Action work);

    /// <summary>All that was asked so far.</summary>
    internal abstract IDisposable Mark();

    /// <summary>What is asked from now on waits for another lane's mark.</summary>
    internal abstract void Wait(IDisposable mark);

    /// <summary>The caller waits until all that was asked is done.</summary>
    internal abstract void Settle();
}

/// <summary>A stream of a GPU; null = the one that the caller's operators run on.</summary>
internal sealed class StreamLane(torch.Device device, torch.cuda.Stream? stream) : Lane
{
    internal override void Run(Action work)
    {
        using var on = stream is null ? null : torch.cuda.stream(stream);
        work();
    }

    internal override IDisposable Mark() => Stream.record_event();

    internal override void Wait(IDisposable mark) => Stream.wait_event((torch.cuda.Event)mark);

    internal override void Settle() => torch.cuda.synchronize(device);

    private torch.cuda.Stream Stream => stream ?? torch.cuda.Stream.Current(device);
}

/// <summary>Work on the processor beside the caller's.</summary>
/// <param name="before">What runs before each piece of work; null for nothing. Tests delay it.</param>
internal sealed class TaskLane(Action? before = null) : Lane
{
    private Task last = Task.CompletedTask;

    internal override void Run(Action work) => last = After(last, work);

    internal override IDisposable Mark() => new Point(last);

    internal override void Wait(IDisposable mark) => last = Task.WhenAll(last, ((Point)mark).Reached);

    internal override void Settle() => last.GetAwaiter().GetResult();

    internal sealed record Point(Task Reached) : IDisposable
    {
        public void Dispose()
        {
        }
    }

    private async Task After(Task earlier, Action work)
    {
        await earlier.ConfigureAwait(false);
        await Task.Run(() =>
        {
            before?.Invoke();
            work();
        }).ConfigureAwait(false);
    }
}

/// <summary>The caller's own work on the processor: done when it is asked.</summary>
internal sealed class CallerLane : Lane
{
    internal override void Run(Action work) => work();

    internal override IDisposable Mark() => new TaskLane.Point(Task.CompletedTask);

    internal override void Wait(IDisposable mark) => ((TaskLane.Point)mark).Reached.GetAwaiter().GetResult();

    internal override void Settle()
    {
    }
}
