// peftalign report DIR: what follows from a run, as a page, as Markdown or as JSON; also of a run that goes on or was stopped.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Commands;

internal static class ReportCommand
{
    public static CommandEntry Entry { get; } = new("report", "what follows from a run: results with intervals, verdicts on claims, plots", Build);

    private const string Description = """
        Reports on a run's folder: results with 95 % intervals, verdicts on the manifest's claims, merges against their parents, which
        factor matters, training curves, times. Only the statistics are computed anew; a run that is still going is reported as far
        as it has come. --claims tests other claims than the manifest's.
        """;

    private static Command Build(CommandFrame frame)
    {
        var folder = new Argument<string>("DIR") { Description = "The run's folder." };
        var format = new Option<string?>("--format") { HelpName = "html|md|json", Description = "html: one file that needs nothing beside it (default: by the end of --out, else html)." };
        var target = new Option<string?>("--out") { HelpName = "F", Description = "The file to write; - is standard output (default: DIR/report.html, of md and json standard output)." };
        var claims = new Option<string?>("--claims") { HelpName = "NAME|F.yaml", Description = $"A built-in set ({string.Join(", ", Core.Claims.ClaimSets.BuiltIn)}), or a file if it holds a / or ends in .yaml." };
        var command = new Command("report", Description) { folder, format, target, claims };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var run = new RunFolder(Path.GetFullPath(parsed.GetValue(folder)!));
            var kind = Format(parsed.GetValue(format), parsed.GetValue(target), session.Output.Json);
            var data = RunData.Read(run);
            var own = parsed.GetValue(claims) is { } name ? new RunClaims(name, ClaimFile.Read(name, Directory.GetCurrentDirectory(), data.Placed.Select(job => job.Axes))) : RunClaims.Of(run);
            foreach (var job in data.Damaged) session.Output.Warn($"{(run.Job(job.Id).ReadResult() is null ? $"{run.Job(job.Id).Result} is damaged" : $"files that {run.Job(job.Id).Path} had are gone")}, so {job.Label} counts as not finished; run the manifest again, which makes it anew");
            var model = ReportModel.Of(data, own.Text, own.Name);
            Write(kind, parsed.GetValue(target), run, kind switch { "html" => HtmlReport.Render(model), "md" => MarkdownReport.Render(model), _ => JsonReport.Of(model).ToJsonString(new() { WriteIndented = true }) + "\n" }, session);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static string Format(string? asked, string? target, bool json)
    {
        var format = asked ?? Path.GetExtension(target ?? "") switch { ".md" => "md", ".json" => "json", _ => json && target is null or "-" ? "json" : "html" };
        if (format is not ("html" or "md" or "json")) throw new UserError($"--format {format}", "is html, md or json", "give one of them");
        if (json && format != "json" && (target == "-" || (target is null && format != "html")))
            throw new UserError($"--json with --format {format}", "allows only JSON on standard output, which this report is not", "give --out a file, --format json, or leave --json out");
        return format;
    }

    private static void Write(string format, string? target, RunFolder run, string text, Session session)
    {
        target ??= format == "html" ? run.Page : "-";
        if (target == "-")
        {
            session.Output.Piece(text);
            return;
        }
        try
        {
            RunFolder.Write(Path.GetFullPath(target), text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{target} cannot be written ({e.Message}); give --out another file.");
        }
        session.Output.Result(() => new JsonObject { ["format"] = format, ["out"] = target }, () => [target]);
    }
}
