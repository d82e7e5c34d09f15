// Runs ./peftalign as a user does, in a temporary folder, and looks at what it left.

using System.Diagnostics;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

internal sealed record Outcome(int Code, string Out, string Err)
{
    public string All => $"exit code {Code}\n{Out}\n{Err}";

    /// <summary>Asserts how it ended and what it said on stderr.</summary>
    public void Told(int code, string text)
    {
        Assert.That(Code, Is.EqualTo(code), All);
        Assert.That(Err, Does.Contain(text), All);
    }
}

/// <summary>A temporary folder with a manifest, and the run made from it.</summary>
internal sealed class Peftalign : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("peftalign run ").FullName;

    public static string Repository { get; } = Checkout.Root;

    /// <summary>A LLaMA of 260,000 parameters that was trained on children's stories.</summary>
    public static string Stories { get; } = Path.Combine(Checkout.Root, "tests", "fixtures", "stories260K");

    public string Run => Path.Combine(folder, "out");

    public string File(string name) => Path.Combine(folder, name);

    public string Write(string name, string text)
    {
        System.IO.File.WriteAllText(File(name), text);
        return File(name);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    /// <summary>A folder of reference numbers that lie outside the repository; the test is skipped where they are absent.</summary>
    public static string Golden(string name) => Checkout.Reference("golden", name);

    public static Outcome Call(params string[] args)
    {
        using var process = Start(args);
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Outcome(process.ExitCode, text, err.Result);
    }

    public static Process Start(params string[] args) =>
        Process.Start(new ProcessStartInfo(Path.Combine(Repository, "peftalign"), args) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    /// <summary>Runs the manifest to its end; fails the test if that fails.</summary>
    public Outcome Finish(string manifest, params string[] more)
    {
        var outcome = Call(["run", manifest, "--out", Run, "--threads", "1", .. more]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return outcome;
    }

    /// <summary>The folder of the only job whose label is this.</summary>
    public string Job(string label) => Directory.GetDirectories(Path.Combine(Run, "jobs")).Single(d => (string?)Json(Path.Combine(d, "job.json"))["label"] == label);

    public static JsonNode Json(string file) => JsonNode.Parse(System.IO.File.ReadAllText(file))!;

    /// <summary>The report's accuracy of the evaluation with this label.</summary>
    public double Accuracy(string label)
    {
        var job = Json(Path.Combine(Run, "report.json"))["jobs"]!.AsArray().Single(j => (string?)j!["label"] == label)!;
        return (double)job["result"]!["results"]!["acc,none"]!;
    }
}
