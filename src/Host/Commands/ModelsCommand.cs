// peftalign models: model folders. info reads headers and configuration, and every tensor where that is asked for; pull
// fetches one from the hub.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Hub;
using PeftAlign.Host.Inspection;

namespace PeftAlign.Host.Commands;

internal static class ModelsCommand
{
    private const string Summary = "look at model folders, make new ones, fetch them from the hub";

    public static CommandEntry Entry { get; } = new("models", Summary, Build);

    private static Command Build(CommandFrame frame) => new("models", Summary) { Info(frame), ModelsInitCommand.Build(frame), Pull(frame) };

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
        foreach (var warning in model.Warnings) session.Output.Warn(warning);
        if (verify) model.Verify(session.Output, cancel);
        session.Output.Result(model.Document, model.Lines);
        return model.IsSound ? ExitCode.Done : ExitCode.Failed;
    }

    private static Command Pull(CommandFrame frame)
    {
        var name = new Argument<string>("HUB_ID") { Description = "OWNER/NAME." };
        var revision = new Option<string>("--revision") { HelpName = "R", DefaultValueFactory = _ => "main", Description = "A branch, tag or commit." };
        var include = new Option<string[]>("--include") { HelpName = "GLOB", Description = "Only files that match (may be repeated; '*' is all of them). Without it: what a model folder is read from." };
        var exclude = new Option<string[]>("--exclude") { HelpName = "GLOB", Description = "Leave out the files that match (may be repeated)." };
        const string about = """
            fetch a model from the hub into Hugging Face's cache, where other tools find it too

            Prints the model's folder. Without --include: configuration, tokenizer, templates, licence and weights (safetensors;
            pytorch_model.bin where there are none). What was fetched before is not fetched again; a file that broke off is
            taken up where it ended; every file's hash is checked.
            Environment: HF_ENDPOINT (the server), HF_TOKEN (for private and gated models; else the token that `hf auth login`
            stored), HF_HOME, HF_HUB_CACHE (the cache), HF_HUB_OFFLINE=1 (only what is there).
            """;
        var command = new Command("pull", about) { name, revision, include, exclude };
        frame.OnRun(command, Uses.Nothing, async (parsed, session, cancel) =>
        {
            var model = HubName.Parse(parsed.GetValue(name)!);
            var selection = new HubSelection(parsed.GetValue(include) ?? [], parsed.GetValue(exclude) ?? []);
            var pull = new HubPull(HubSettings.Of(Environment.GetEnvironmentVariable), session.Output.Remark, session.Output.Remark);
            var pulled = await pull.RunAsync(model, HubName.Revision(parsed.GetValue(revision)!), selection, cancel);
            session.Output.Result(() => Document(pulled), () => [pulled.Folder]);
            return ExitCode.Done;
        });
        return command;
    }

    private static JsonObject Document(PulledModel pulled) => new()
    {
        ["id"] = pulled.Id,
        ["commit"] = pulled.Commit,
        ["path"] = pulled.Folder,
        ["files"] = new JsonArray([.. pulled.Files.Select(file => (JsonNode)file)]),
        ["fetched_bytes"] = pulled.FetchedBytes,
    };
}
