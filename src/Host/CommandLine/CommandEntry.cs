// One command as the catalogue knows it: name and one line of help without building anything, and how to build the rest.

using System.CommandLine;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.CommandLine;

/// <summary>A command: its name, its line in the list of commands, and a function that builds options and actions when it is called.</summary>
internal sealed record CommandEntry(string Name, string Summary, Func<CommandFrame, Command> Build)
{
    /// <summary>For a command whose options depend on what it is asked: builds it for these arguments, and spells them as it does. Used in place of Build.</summary>
    public Func<CommandFrame, string[], (Command Command, string[] Arguments)>? BuildFor { get; init; }

    /// <summary>True for a command that the product calls itself; help does not list it.</summary>
    public bool IsHidden { get; init; }
}

/// <summary>What an action gets beside its own options.</summary>
internal sealed record Session(Output Output, GlobalOptions Global)
{
    /// <summary>Processor threads of a command that neither trains nor runs jobs: --threads, else PEFTALIGN_THREADS, else every core that the process may use.</summary>
    /// <exception cref="Torch.TorchSettingException">PEFTALIGN_THREADS is no such number.</exception>
    internal int Threads => Global.Threads ?? LibTorch.DefaultThreads;
}

/// <summary>Ties actions to the global options, the output and the exit code; one per invocation.</summary>
internal sealed class CommandFrame(TextWriter results, TextWriter remarks)
{
    private readonly GlobalOptionSet global = new();

    /// <summary>True once an action runs under -v: failures then show their stack traces.</summary>
    public bool Verbose { get; private set; }

    /// <summary>Gives a command its action. It returns the exit code, throws <see cref="UserError"/> for a user's mistake,
    /// and stops soon after the token is cancelled.</summary>
    public void OnRun(Command command, Uses uses, Func<ParseResult, Session, CancellationToken, Task<int>> action)
    {
        global.AddTo(command, uses);
        command.SetAction((parsed, cancel) =>
        {
            var output = global.Output(parsed, results, remarks);
            Verbose = output.Verbose;
            return action(parsed, new Session(output, global.Read(parsed)), cancel);
        });
    }
}
