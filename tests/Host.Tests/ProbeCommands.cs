// Commands for tests, run by the real dispatcher: in this process, or as a program of their own (the entry point below).

using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Tests;

internal static partial class ProbeCommands
{
    public static IReadOnlyList<CommandEntry> Entries { get; } =
    [
        new("echo", "writes what it was given", Echo),
        new("throw", "fails in the way that is named", Throw),
        new("wait", "waits until it is interrupted", Wait),
        new("deaf", "waits and heeds no interrupt", Deaf),
        new("busy", "is in native code and heeds no interrupt", Busy),
        new("threads", "says how many threads a command takes", Threads),
        new("end", "has work at the process's end", End),
        new("box", "has commands of its own", Box),
    ];

    private static async Task<int> Main(string[] args)
    {
        var code = await new Dispatcher(Entries, Console.Out, Console.Error).RunAsync(args);
        if (args is ["end"]) ProcessEnd.SkipDestructors();
        return code;
    }

    // Native code's work at the end is an abort; what it has printed is still in C's buffer, since stdout is a pipe.
    private static Command End(CommandFrame frame)
    {
        var command = new Command("end", "has work at the process's end");
        frame.OnRun(command, Uses.Nothing, (_, session, _) =>
        {
            AppDomain.CurrentDomain.ProcessExit += (_, _) => session.Output.Remark("a handler of .NET");
            _ = AtExit(NativeLibrary.GetExport(NativeLibrary.Load("libc.so.6"), "abort"), 0, 0);
            _ = puts("printed by C");
            return Task.FromResult(ExitCode.Failed);
        });
        return command;
    }

    [LibraryImport("libc", EntryPoint = "__cxa_atexit")]
    private static partial int AtExit(nint function, nint argument, nint library);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int puts(string text);

    private static Command Echo(CommandFrame frame)
    {
        var text = new Option<string>("--text") { Description = "what to write" };
        var command = new Command("echo", "writes what it was given") { text };
        frame.OnRun(command, Uses.Device | Uses.Dtype | Uses.Threads | Uses.Seed, (parsed, session, _) =>
        {
            var given = parsed.GetValue(text) ?? "nothing";
            session.Output.Remark("remark");
            session.Output.Detail("detail");
            session.Output.Result(() => new JsonObject { ["text"] = given, ["device"] = session.Global.Device, ["seed"] = session.Global.Seed }, () => [given, session.Global.ToString()]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static Command Threads(CommandFrame frame)
    {
        var command = new Command("threads", "says how many threads a command takes");
        frame.OnRun(command, Uses.Threads, (_, session, _) =>
        {
            session.Output.Result(() => new JsonObject { ["threads"] = session.Threads }, () => [$"{session.Threads}, libtorch is {(LibTorch.IsOpen ? "open" : "closed")}"]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static Command Throw(CommandFrame frame)
    {
        var kind = new Argument<string>("kind");
        var command = new Command("throw", "fails in the way that is named") { kind };
        frame.OnRun(command, Uses.Nothing, (parsed, _, _) => parsed.GetValue(kind) switch
        {
            "user" => throw new UserError("rank 0", "is at least 1", "give --rank 8"),
            "work" => throw new InvalidOperationException("first line\nsecond line"),
            "code" => Task.FromResult(ExitCode.Failed),
            _ => throw new OperationCanceledException(),
        });
        return command;
    }

    private static Command Wait(CommandFrame frame)
    {
        var command = new Command("wait", "waits until it is interrupted");
        frame.OnRun(command, Uses.Nothing, async (_, session, cancel) =>
        {
            session.Output.Remark("waiting");
            await Task.Delay(TimeSpan.FromMinutes(5), cancel);
            return ExitCode.Done;
        });
        return command;
    }

    private static Command Deaf(CommandFrame frame)
    {
        var command = new Command("deaf", "waits and heeds no interrupt");
        frame.OnRun(command, Uses.Nothing, async (_, session, cancel) =>
        {
            using var told = cancel.Register(() => session.Output.Remark("told"));
            session.Output.Remark("waiting");
            await Task.Delay(TimeSpan.FromMinutes(5), CancellationToken.None);
            return ExitCode.Done;
        });
        return command;
    }

    private static Command Busy(CommandFrame frame)
    {
        var command = new Command("busy", "is in native code and heeds no interrupt");
        frame.OnRun(command, Uses.Nothing, (_, session, cancel) =>
        {
            using var told = cancel.Register(() => session.Output.Remark("told"));
            using var matrix = torch.ones([1500, 1500]);
            session.Output.Remark("waiting");
            for (var clock = System.Diagnostics.Stopwatch.StartNew(); clock.Elapsed < TimeSpan.FromMinutes(5);) matrix.mm(matrix).Dispose();
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static Command Box(CommandFrame frame)
    {
        var open = new Command("open", "opens the box");
        frame.OnRun(open, Uses.Nothing, (_, session, _) =>
        {
            session.Output.Result(() => new JsonObject(), () => ["open"]);
            return Task.FromResult(ExitCode.Done);
        });
        return new Command("box", "has commands of its own") { open };
    }
}
