// The commands. A new one is a file in Commands/ and a line here.

using PeftAlign.Host.Bench;
using PeftAlign.Host.Commands;
using PeftAlign.Host.Commands.Plugins;
using PeftAlign.Host.Commands.Runs;

namespace PeftAlign.Host.CommandLine;

internal static class Catalogue
{
    /// <summary>What can be run, in the order of the help.</summary>
    public static IReadOnlyList<CommandEntry> Commands { get; } =
    [
        RunCommand.Entry,
        RunsCommand.Entry,
        ReportCommand.Entry,
        TrainCommand.Entry,
        ScoreCommand.Entry,
        GenerateCommand.Entry,
        ChatCommand.Entry,
        JudgeCommand.Entry,
        EvalCommand.Entry,
        WinrateCommand.Entry,
        TokenizeCommand.Entry,
        QuantizeCommand.Entry,
        MergeCommand.Entry,
        AdapterCommand.Entry,
        ModelsCommand.Entry,
        DataCommand.Entry,
        ImportCommand.Entry,
        PluginsCommand.Entry,
        PublishCommand.Entry,
        DoctorCommand.Entry,
        BenchCommand.Entry,
        BenchDeviceCommand.Entry,
        BenchWorker.Entry,
        JobCommand.Entry,
    ];
}
