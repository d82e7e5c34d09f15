// peftalign doctor
using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Commands;

internal static class DoctorCommand
{
    public static CommandEntry Entry { get; } = new("doctor", "check this machine: libtorch, speed, devices, disk; what is wrong and how to mend it", Build);

    private static Command Build(CommandFrame frame)
    {
        var command = new Command("doctor", Entry.Summary);
        frame.OnRun(command, Uses.Threads, (_, s, c) => { s.Output.Result(() => new JsonObject(), () => ["x"]); return Task.FromResult(0); });
        return command;
    }
}
