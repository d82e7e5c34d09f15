// Inside a job process: take the folder's kernel lock, do the job, write result.json last. Messages to the executor are
// JSON lines on stdout; when stdin closes, the executor is gone and the job stops at its next step.

using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Jobs;

internal static class JobProcess
{
    internal static int Run(JobFolder folder, TextWriter messages, Stream parent, CancellationToken signals)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(signals);
        WatchParent(parent, stop);
        try
        {
            using var held = Hold(folder, messages, stop.Token);
            if (!folder.IsFinished) Work(folder, messages, stop.Token);
            return ExitCode.Done;
        }
        catch (UserErrorException e)
        {
            Say(messages, new JsonObject { ["error"] = e.Message });
            return ExitCode.UserError;
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Interrupted;
        }
        catch (Exception e)
        {
            Console.Error.WriteLine(e); // the whole of it, for log.txt
            Say(messages, new JsonObject { ["error"] = $"{e.Message.ReplaceLineEndings(" ")} ({folder.Log} says where)" });
            return ExitCode.Failed;
        }
    }

    private static void Work(JobFolder folder, TextWriter messages, CancellationToken cancellation)
    {
        var spec = JobSpec.Read(folder);
        var plugins = new PluginCatalogue(spec.Plugins.Select(p => PluginFolder.Open(p, PluginOrigin.Product)), []);
        torch.set_num_threads(spec.Threads);
        using var host = Services();
        var logging = host.Services.GetRequiredService<ILoggerFactory>();
        void Report(long done, long total, string text) => Say(messages, new JsonObject { ["done"] = done, ["total"] = total, ["text"] = text });
        var job = new JobContext(spec, folder, plugins, logging.CreateLogger(spec.Kind), Report, cancellation);
        var outcome = spec.Kind switch
        {
            "make-model" => MakeModelJob.Run(job),
            "train" => TrainJob.Run(job),
            "merge" => MergeJob.Run(job),
            "evaluate" => EvaluateJob.Run(job),
            _ => throw new UserErrorException($"Jobs of kind {spec.Kind} are not built yet ({spec.Label})."),
        };
        var result = new JsonObject { ["id"] = spec.Id, ["kind"] = spec.Kind, ["label"] = spec.Label, ["outcome"] = outcome };
        RunFolder.Write(folder.Result, result.ToJsonString(new() { WriteIndented = true }) + "\n");
    }

    // stdout belongs to the messages: the log goes to stderr, which the executor writes to log.txt.
    private static IHost Services()
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.AddSimpleConsole(c => c.SingleLine = true).AddConsole(c => c.LogToStandardErrorThreshold = LogLevel.Trace);
        return builder.Build();
    }

    internal const int WouldBlock = 11; // errno of a lock that another process holds

    // The kernel frees the lock when the process ends, however it ends. A job whose executor was killed stops at its next
    // step, so the wait is short.
    private static FileStream Hold(JobFolder folder, TextWriter messages, CancellationToken cancellation)
    {
        for (var told = false; ; told = true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                return new FileStream(folder.Lock, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
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
            stop.Cancel();
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
