// peftalign eval: benchmarks on a model, without a manifest. The same command again asks only what is missing.

using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Inference;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands;

internal static class EvalCommand
{
    private const string Summary = "benchmarks on a model";

    private const string Description = """
        Runs benchmarks on a model and writes DIR/results.json and DIR/samples_TASK.jsonl in lm-evaluation-harness's shape.

        --benchmarks picks benchmarks of plugins and, with --task, tasks, groups and tags of lm-evaluation-harness's YAML; without
        it all that --task names run. A flag below that no benchmark at hand has is refused; --option gives any other option
        (`plugins info eval` lists them all): --option mmlu.average=macro for one benchmark, --option seed=1 for all that have it.

        Answers are kept item by item in DIR/records.jsonl: giving the same command again asks only what is missing. Texts that
        do not fit into the model's context are cut on the left, as the harness does; results.json counts them ("cut").
        """;

    public static CommandEntry Entry { get; } = new("eval", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var (models, flags) = (new ModelOptions(), new EvalFlags());
        var command = new Command("eval", Description);
        models.AddTo(command);
        flags.AddTo(command);
        frame.OnRun(command, Uses.Device | Uses.Dtype | Uses.Threads | Uses.Seed, (parsed, session, cancel) =>
        {
            var choice = models.Read(parsed);
            var plugins = PluginSearch.Of(AppContext.BaseDirectory, choice.Plugins).Scan();
            var run = new EvalRun(choice, flags.Read(parsed, plugins, session.Global.Seed), plugins, session, cancel);
            var results = run.Run();
            session.Output.Result(() => results, () => Lines(results));
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    // "mmlu  acc 0.2312 ± 0.0035  (14042)"
    private static IEnumerable<string> Lines(JsonObject results)
    {
        foreach (var (task, row) in results["results"]!.AsObject())
        {
            if (results["configs"]?[task] is { } settings && settings["annotator"] is not null && settings["baseline"] is not null) yield return $"{task}  {PairLines.Who(settings)}";
            foreach (var (key, value) in row!.AsObject().Where(e => e.Key.Contains(',') && !e.Key.Contains("_stderr,", StringComparison.Ordinal)))
            {
                var (metric, filter) = (key[..key.LastIndexOf(',')], key[(key.LastIndexOf(',') + 1)..]);
                var error = row[$"{metric}_stderr,{filter}"] is JsonValue e && e.TryGetValue<double>(out var number) ? $" ± {number.ToString("0.0000", CultureInfo.InvariantCulture)}" : "";
                var shown = value is JsonValue v && v.TryGetValue<double>(out var n) ? n.ToString(Math.Abs(n) < 1000 ? "0.0000" : "0.00", CultureInfo.InvariantCulture) : value!.ToString();
                yield return $"{task}  {metric}{(filter == "none" ? "" : "," + filter)} {shown}{error}  ({results[ResultFiles.ScoredKey]![task]![key]})";
            }
        }
    }
}
