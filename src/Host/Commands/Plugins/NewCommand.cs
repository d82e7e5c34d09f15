// peftalign plugins new KIND NAME: a project of one's own, anywhere on disk, that builds and passes its conformance tests before
// the first edit, from the feed beside the product and no other source.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Commands.Plugins;

internal static class NewCommand
{
    public static Command Build(CommandFrame frame)
    {
        var kind = new Argument<string>("KIND") { Description = string.Join(", ", Template.Kinds) + "." };
        var name = new Argument<string>("NAME") { Description = "The project's name, such as Acme.Rows; its id is acme.rows." };
        var language = new Option<string>("--lang") { HelpName = "cs|fs", Description = "C# or F#.", DefaultValueFactory = _ => "cs" };
        var target = new Option<string?>("--out") { HelpName = "DIR", Description = "The folder to make (default: ./NAME)." };
        var command = new Command("new", "make a plugin project that builds and passes its tests") { kind, name, language, target };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var template = Template.Of(parsed.GetRequiredValue(kind), parsed.GetRequiredValue(language), parsed.GetRequiredValue(name));
            NewFolder.ThrowIfTaken(parsed.GetValue(target) ?? template.Name);
            var folder = Path.GetFullPath(parsed.GetValue(target) ?? template.Name);
            template.Write(folder, Feed.BesideHost());
            session.Output.Result(
                () => new JsonObject { ["id"] = template.Id, ["folder"] = folder },
                () => [folder, $"next: cd {ShellWord.Of(folder)} && dotnet test"]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }
}
