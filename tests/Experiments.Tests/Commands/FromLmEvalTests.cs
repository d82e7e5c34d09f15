// docs/from-lm-eval.md: its files are written, its commands and its row of a manifest are executed, and where the harness is at hand the
// numbers are its own.

using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed partial class FromLmEvalTests
{
    private static readonly string Page = File.ReadAllText(Path.Combine(Peftalign.Repository, "docs", "from-lm-eval.md"));
    private static readonly string Model = Peftalign.Stories;

    private const string Theirs = """
        import json, sys, lm_eval
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
        out = lm_eval.simple_evaluate(model=HFLM(pretrained=sys.argv[1], device="cpu", dtype="float32"), tasks=["even"], task_manager=TaskManager(include_path="tasks", include_defaults=False))
        print("RESULT" + json.dumps({k: v for k, v in out["results"]["even"].items() if isinstance(v, float)}))
        """;

    [Test]
    public void The_page_is_executed()
    {
        using var user = new Peftalign();
        Directory.CreateDirectory(user.File("tasks"));
        foreach (Match file in Files().Matches(Page)) user.Write(file.Groups[1].Value, file.Groups[2].Value);
        var commands = Page.Split("```sh\n")[1].Split("```")[0].Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(commands, Has.Length.EqualTo(2));
        foreach (var command in commands)
            Run(user, Path.Combine(Peftalign.Repository, "peftalign"), [.. command.Replace("MODEL", Model).Split(' ').Skip(1), "--threads", "1"]);
        var results = Peftalign.Json(user.File("out/even/results.json"))["results"]!["even"]!;
        foreach (var name in (string[])["acc,none", "acc_stderr,none", "acc_norm,none"]) Assert.That((double?)results[name], Is.Not.Null, name);
        Assert.That((int)Peftalign.Json(user.File("out/even-1/results.json"))["n-samples"]!["even"]!["effective"]!, Is.EqualTo(2));

        var rows = Page.Split("```yaml\nevaluate:")[1].Split("```")[0];
        user.Write("page.yaml", $"peftalign: 1\nname: page\nseeds: [1]\nmodels:\n  m: {{ path: '{Model}' }}\nevaluate:{rows.Replace("of: trained", "of: untouched")}");
        Run(user, Path.Combine(Peftalign.Repository, "peftalign"), "run", "page.yaml", "--threads", "1");
        var job = Directory.GetFiles(user.File("out/page/jobs"), "results.json", SearchOption.AllDirectories).Single();
        Assert.That((double)Peftalign.Json(job)["results"]!["even"]!["acc,none"]!, Is.EqualTo((double)results["acc,none"]!));

        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python) return;
        var said = JsonNode.Parse(Run(user, python, "-c", Theirs, Model).Split("RESULT")[1])!.AsObject();
        foreach (var (name, value) in said) Assert.That((double)results[name]!, Is.EqualTo((double)value!).Within(1e-9), name);
    }

    private static string Run(Peftalign user, string program, params string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(program, args) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = user.File("") })!;
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, text + err.Result);
        return text;
    }

    [GeneratedRegex(@"`(tasks/[a-z.]+)`:\n\n```[a-z]+\n([^`]+)```")]
    private static partial Regex Files();
}
