// peftalign doctor: what this machine offers, what is wrong with it, and the remedy. Exit code 1 if something is wrong, 2 if it
// is what the user set.

using System.CommandLine;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Doctor;

namespace PeftAlign.Host.Commands;

internal static class DoctorCommand
{
    private const string Summary = "check this machine: libtorch, speed, devices, disk; what is wrong and how to mend it";

    public static CommandEntry Entry { get; } = new("doctor", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var command = new Command("doctor", Summary);
        frame.OnRun(command, Uses.Threads, (_, session, cancel) => Task.FromResult(Run(session, cancel)));
        return command;
    }

    private static int Run(Session session, CancellationToken cancel)
    {
        var report = new Report();
        Machine.Examine(report);
        session.Output.Detail("opening libtorch");
        var engine = Engine.Examine(report, session.Global.Threads);
        cancel.ThrowIfCancellationRequested();
        Gpus.Examine(report, engine);
        session.Output.Detail("multiplying matrices");
        if (engine) Gemm.Examine(report, cancel);
        session.Output.Result(report.Document, () => report.Lines(session.Output.Paint));
        return report.Code;
    }
}
