// Inside a job process: for each of its jobs in turn, take the folder's kernel lock, do the job, write result.json last. Messages
// to the executor are JSON lines on stdout; stderr goes to the log of the running job. When stdin closes, the executor is gone:
// the job stops at its next step, and the process ends in any case soon after.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Jobs;

internal static class JobProcess
{
    /// <summary>errno of a lock that another process holds.</summary>
    internal const int WouldBlock = 11;

    /// <summary>How long a step may take once the executor is gone; what is finished is never at risk, since files appear by rename.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    /// <summary>Does the jobs in order. A user's mistake ends only its own job; after another failure the process is not trusted
    /// with the rest, which the executor starts anew.</summary>
    internal static int Run(IReadOnlyList<JobFolder> folders, TextWriter messages, Stream parent, CancellationToken signals)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(signals);
        WatchParent(parent, stop);
        var (kept, worst) = (new KeptModel(), ExitCode.Done);
        foreach (var folder in folders)
        {
            Say(messages, new JsonObject { ["begun"] = folder.Id });
            var (code, error) = One(folder, kept, messages, stop.Token);
            Say(messages, new JsonObject { ["ended"] = folder.Id, ["code"] = code, ["error"] = error });
            if (code != ExitCode.Done) worst = code;
            if (code is not (ExitCode.Done or ExitCode.UserError)) break;
        }
        return worst;
    }

    private static (int Code, string? Error) One(JobFolder folder, KeptModel kept, TextWriter messages, CancellationToken cancellation)
    {
        try
        {
            StandardError.Append(folder.Log);
            using var held = Hold(folder, messages, cancellation);
            RunFolder.DeletePartials(folder.Path);
            if (!folder.IsFinished || folder.Unanswered > 0) Work(folder, kept, messages, cancellation);
            return (ExitCode.Done, null);
        }
        catch (Exception e) when ((e is UserErrorException or TorchSettingException) && !DiskMessage.IsFull(e))
        {
            Console.Error.WriteLine(e.Message);
            return (ExitCode.UserError, e.Message);
        }
        catch (JudgeAwayException e)
        {
            Console.Error.WriteLine(e.Message);
            return (ExitCode.Failed, e.Message);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested) // another's, such as a time limit of HttpClient, is a failure
        {
            return (ExitCode.Interrupted, null);
        }
        catch (Exception e) when (e is OutOfMemoryException or TorchOutOfMemoryException)
        {
            Console.Error.WriteLine(e);
            return (ExitCode.Failed, OutOfMemory.Message(folder, e));
        }
        catch (Exception e)
        {
            Console.Error.WriteLine(e); // the whole of it, for log.txt
            return (ExitCode.Failed, $"{PluginFault.Line(e)} ({folder.Log} says where)");
        }
    }

    private static void Work(JobFolder folder, KeptModel kept, TextWriter messages, CancellationToken cancellation)
    {
        var (spec, time) = (JobSpec.Read(folder), new JobTime());
        Console.Error.WriteLine($"{time.Started:yyyy-MM-dd HH:mm:ss}Z start of {spec.Label} in process {Environment.ProcessId}, {spec.Threads} thread(s)");
        var kind = JobKind.Find(spec.Kind) ?? throw new UserErrorException($"Jobs of kind {spec.Kind} are not built yet ({spec.Label}).");
        var plugins = new PluginCatalogue(spec.Plugins.Select(p => PluginFolder.Open(p, PluginOrigin.Product)), []);
        JobInputs.ThrowIfPluginChanged(spec, plugins.Plugins);
        torch.set_num_threads(spec.Threads);
        void Report(long done, long total, string text) => Say(messages, new JsonObject { ["done"] = done, ["total"] = total, ["text"] = text });
        var job = new JobContext(spec, folder, plugins, new JobLogger(spec.Kind), Report, cancellation) { Kept = kept, Time = time, Say = warning => Say(messages, new JsonObject { ["warning"] = warning }) };
        JobInputs.ThrowIfChanged(job);
        Tracked(job, kind);
    }

    // The result is the last that is written: a job that has it is finished.
    private static void Finish(JobContext job, JsonObject outcome)
    {
        var (spec, folder, spent) = (job.Spec, job.Folder, job.Time.Before + job.Time.Now);
        var timing = new Timing(job.Time.Started, spent.Seconds, spent.Processor, ProcessStatus.Bytes("self", "VmHWM") ?? 0) { Device = job.UsedDevice?.ToString() };
        Timing.Write(folder, folder.IsFinished ? Timing.Read(folder) : null, timing, spec.Threads);
        var result = new JsonObject { ["id"] = spec.Id, ["kind"] = spec.Kind, ["label"] = spec.Label, ["until"] = spec.Until, ["made_with"] = MadeWith(spec), ["outcome"] = outcome };
        FinishedJob.NoteMade(result, folder);
        RunFolder.Write(folder.Result, result.ToJsonString(new() { WriteIndented = true }) + "\n");
    }

    private static void Tracked(JobContext job, JobKind kind)
    {
        using var trackers = new Trackers(job);
        try
        {
            var outcome = kind.Run(job with { Trackers = trackers });
            JobInputs.ThrowIfChangedMeanwhile(job);
            Finish(job, outcome);
            trackers.End(TrackedOutcome.Finished, Store.JobReading.Numbers(outcome)); // which promises that there is a result
        }
        catch (Exception e)
        {
            trackers.End(e is OperationCanceledException && job.Cancellation.IsCancellationRequested ? TrackedOutcome.Interrupted : TrackedOutcome.Failed, new Dictionary<string, double>());
            throw;
        }
    }

    // Recorded, not hashed into the id: `run` compares them, and --strict repeats what was made with other files.
    private static JsonObject MadeWith(JobSpec spec) => new(spec.MadeWith.Select(file => new KeyValuePair<string, JsonNode?>(file.Key, file.Value)));

    // The kernel frees the lock when the process ends, however it ends. A job whose executor was killed stops at its next
    // step, so the wait is short.
    private static FileStream Hold(JobFolder folder, TextWriter messages, CancellationToken cancellation)
    {
        for (var told = false; ; told = true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                return LockFile.Hold(folder.Lock);
            }
            catch (IOException e) when (e.HResult == WouldBlock)
            {
                if (!told) Say(messages, new JsonObject { ["waiting"] = "another process still works on this job" });
                Thread.Sleep(100);
            }
        }
    }

    private static void WatchParent(Stream parent, CancellationTokenSource stop)
    {
        var watch = new Thread(() =>
        {
            try
            {
                while (parent.ReadByte() >= 0) { }
            }
            catch (IOException)
            {
                // a broken pipe says the same
            }
            try
            {
                stop.Cancel();
            }
            catch (ObjectDisposedException)
            {
                return; // all jobs are done, and the process is about to end by itself
            }
            Thread.Sleep(Grace);
            ProcessEnd.Now(ExitCode.Interrupted); // inside a native call that takes long: no orphan outlives its executor
        })
        { IsBackground = true, Name = "parent" };
        watch.Start();
    }

    private static void Say(TextWriter messages, JsonObject message)
    {
        try
        {
            messages.WriteLine(message.ToJsonString());
            messages.Flush();
        }
        catch (IOException)
        {
            // nobody listens any more; stdin's end stops the job
        }
    }
}
