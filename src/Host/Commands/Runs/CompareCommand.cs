// peftalign runs compare: the numbers of two or more runs side by side, a row for each metric of each label that they have in common.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Store;

namespace PeftAlign.Host.Commands.Runs;

internal static class CompareCommand
{
    private sealed record Row(string Label, string Metric, IReadOnlyList<double?> Values, IReadOnlyList<double?> Errors, bool IsSameJob);

    internal static Command Build(CommandFrame frame)
    {
        var paths = new Argument<string[]>("DIR") { Description = "Folders of runs, two or more.", Arity = ArgumentArity.OneOrMore };
        var only = new Option<string?>("--only") { HelpName = "GLOB", Description = "Only jobs with a matching label." };
        var metrics = new Option<string[]>("--metric") { HelpName = "NAME", Description = "Only this metric; repeatable (default: those of evaluations, losses of trainings).", DefaultValueFactory = _ => [] };
        const string about = """
            metrics and evaluations of runs side by side

            Jobs are matched by their labels; of two runs the difference (second less first) is shown too. '=' marks numbers of
            one and the same job: same inputs, options and seed, hence the same id.
            """;
        var command = new Command("compare", about) { paths, only, metrics };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var given = parsed.GetValue(paths)!;
            if (given.Length < 2) throw new UserError(given[0], "is one run", "name two or more");
            var views = given.Select(RunView.Of).ToList();
            var rows = Rows(views, parsed.GetValue(only), parsed.GetValue(metrics)!).ToList();
            if (rows.Count == 0) throw new UserError(string.Join(", ", given), "have no such number of a finished job", "peftalign runs show DIR --json lists labels and metrics");
            session.Output.Result(() => Document(given, views, rows), () => Lines(given, rows));
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static IEnumerable<Row> Rows(List<RunView> views, string? only, string[] metrics)
    {
        var jobs = views.ConvertAll(view => view.Jobs.Where(job => job.IsPlanned && job.Job.State == JobState.Finished).DistinctBy(job => job.Job.Label).ToDictionary(job => job.Job.Label, job => job.Job));
        foreach (var label in jobs.SelectMany(run => run.Keys).Distinct().Where(label => only is null || Core.Plans.Matches(only, label)))
        {
            var found = jobs.ConvertAll(run => run.GetValueOrDefault(label));
            foreach (var metric in found.SelectMany(job => job is null ? [] : Shown(job, metrics)).Distinct())
                yield return new Row(label, metric, found.ConvertAll(job => Value(job, metric)), found.ConvertAll(job => Value(job, metric + "_stderr")), found.All(job => job?.Id == found[0]?.Id));
        }
    }

    private static double? Value(IndexedJob? job, string metric) => job is not null && job.Metrics.TryGetValue(metric, out var value) ? value : null;

    private static IEnumerable<string> Shown(IndexedJob job, string[] metrics)
    {
        if (metrics.Length > 0) return metrics.Where(job.Metrics.ContainsKey);
        if (job.Kind == "evaluate") return job.Metrics.Keys.Where(name => !name.EndsWith("_stderr", StringComparison.Ordinal)).Order(StringComparer.Ordinal);
        return ((string[])["final_loss", "eval_loss"]).Where(job.Metrics.ContainsKey);
    }

    private static JsonObject Document(string[] given, List<RunView> views, List<Row> rows) => new()
    {
        ["runs"] = new JsonArray([.. given.Select((path, k) => (JsonNode)new JsonObject { ["path"] = path, ["name"] = views[k].Name })]),
        ["rows"] = new JsonArray([.. rows.Select(row => (JsonNode)new JsonObject
        {
            ["label"] = row.Label,
            ["metric"] = row.Metric,
            ["values"] = Numbers(row.Values),
            ["errors"] = row.Errors.Any(error => error is not null) ? Numbers(row.Errors) : null,
            ["same_job"] = row.IsSameJob,
        })]),
    };

    private static JsonArray Numbers(IReadOnlyList<double?> values) => new([.. values.Select(value => value is { } number && double.IsFinite(number) ? (JsonNode?)number : null)]);

    private static IEnumerable<string> Lines(string[] given, List<Row> rows)
    {
        string[] difference = given.Length == 2 ? [">difference"] : [];
        var table = new TextTable(["job", "metric", .. given.Select(path => ">" + path), .. difference]);
        foreach (var row in rows)
        {
            string[] last = given.Length < 2 || difference.Length == 0 ? [] : [row.IsSameJob ? "=" : row.Values[0] is { } a && row.Values[1] is { } b ? (b - a > 0 ? "+" : "") + RunsCommand.Number(b - a) : ""];
            table.Add([row.Label, row.Metric, .. row.Values.Select((value, k) => value is { } number ? RunsCommand.Number(number) + (row.Errors[k] is { } error ? $" ± {RunsCommand.Number(error)}" : "") : "-"), .. last]);
        }
        return table.Lines();
    }
}
