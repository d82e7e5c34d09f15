// A task over rows of its own, written to a folder that is gone at the end.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

internal sealed class TaskFiles : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("peftalign-task-").FullName;

    /// <summary>The task's file.</summary>
    internal string YamlFile => Path.Combine(folder, "task.yaml");

    /// <summary>A benchmark of one task over a split `test`.</summary>
    /// <param name="rows">The data file.</param>
    /// <param name="fields">YAML beside task, dataset_path, dataset_kwargs and test_split.</param>
    /// <param name="kind">json or csv.</param>
    /// <param name="options">Where its path goes; null for no other option.</param>
    /// <param name="warn">Told of warnings.</param>
    internal TasksBenchmark Task(string rows, string fields, string kind = "json", TasksOptions? options = null, Action<string>? warn = null)
    {
        File.WriteAllText(Path.Combine(folder, "rows"), rows);
        File.WriteAllText(YamlFile, $"task: t\ndataset_path: {kind}\ndataset_kwargs: {{ data_files: {{ test: rows }} }}\ntest_split: test\n{fields}\n");
        options ??= new TasksOptions { BootstrapIters = 0 };
        options.Path = YamlFile;
        return new TasksBenchmark(options, warn);
    }

    /// <summary>What the template v gives for each row.</summary>
    internal string[] Printed(string rows, string kind = "json", string text = "{{v}}") =>
        [.. Requests(Task(rows, $"output_type: generate_until\ndoc_to_text: '{text.Replace("'", "''")}'\ndoc_to_target: x", kind)).Select(r => ((EvalRequest.Generate)r[0]).Prompt)];

    /// <summary>What is asked of each item.</summary>
    internal static IReadOnlyList<EvalRequest>[] Requests(IBenchmark benchmark) => [.. benchmark.Items().Select(benchmark.Requests)];

    /// <summary>The scores of answers, one for each item, by the task's one metric.</summary>
    internal static double[] Scores(IBenchmark benchmark, string metric, params string[] answers) =>
        [.. benchmark.Items().Zip(answers, (item, answer) => benchmark.Score(item, [new EvalResponse(0, 0, false) { Texts = [answer] }])[0].Scores[metric])];

    /// <summary>JSON lines of a column v.</summary>
    internal static string Lines(params string[] values) => string.Concat(values.Select(v => $"{{\"v\": {v}}}\n"));

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
