// peftalign models: looking at model folders. info reads headers and configuration, and every tensor where that is asked for.

using System.CommandLine;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inspection;

namespace PeftAlign.Host.Commands;

internal static class ModelsCommand
{
    private const string Summary = "look at model folders, and make new ones";

    public static CommandEntry Entry { get; } = new("models", Summary, Build);

    private static Command Build(CommandFrame frame) => new("models", Summary) { Info(frame), ModelsInitCommand.Build(frame) };

    private static Command Info(CommandFrame frame)
    {
        var path = new Argument<string>("PATH") { Description = "A model folder, or one .safetensors or .bin file." };
        var verify = new Option<bool>("--verify") { Description = "Read every tensor; count NaN and infinity (exit code 1 if there are any)." };
        var command = new Command("info", "say what a model folder or a weights file holds") { path, verify };
        frame.OnRun(command, Uses.Nothing, (parsed, session, cancel) => Task.FromResult(Info(parsed.GetValue(path)!, parsed.GetValue(verify), session, cancel)));
        return command;
    }

    private static int Info(string path, bool verify, Session session, CancellationToken cancel)
    {
        using var model = ModelInspection.Of(path);
        foreach (var warning in model.Warnings) session.Output.Remark($"warning: {warning}");
        if (verify) model.Verify(session.Output.Remark, cancel);
        session.Output.Result(model.Document, model.Lines);
        return model.IsSound ? ExitCode.Done : ExitCode.Failed;
    }
}
