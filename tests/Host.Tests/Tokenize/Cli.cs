// `peftalign tokenize` as its user sees it: run by the real dispatcher in this process, on files in a temporary folder.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests.Tokenize;

internal sealed record Outcome(int Code, string Out, string Err)
{
    /// <summary>The rows on stdout.</summary>
    public IReadOnlyList<JsonElement> Rows { get; } =
        [.. Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
}

/// <summary>A temporary folder with input files and models.</summary>
internal sealed class Cli : IDisposable
{
    private int inputs;

    public string Folder { get; } = Directory.CreateTempSubdirectory("peftalign-tokenize-").FullName;

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    public static Outcome Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["tokenize", .. args]).GetAwaiter().GetResult();
        return new Outcome(code, results.ToString(), remarks.ToString());
    }

    /// <summary>Writes the rows to a file of JSON lines and runs the command on it.</summary>
    public Outcome OnRows(string model, IEnumerable<JsonObject> rows, params string[] args) => Run(["--model", model, "--in", Rows(rows), .. args]);

    /// <summary>As <see cref="OnRows"/>, where the command must succeed with a row for each.</summary>
    public IReadOnlyList<JsonElement> Answers(string model, IReadOnlyList<JsonObject> rows, params string[] args)
    {
        var outcome = OnRows(model, rows, args);
        Assert.That((outcome.Code, outcome.Err), Is.EqualTo((0, "")));
        Assert.That(outcome.Rows, Has.Count.EqualTo(rows.Count));
        return outcome.Rows;
    }

    public string Rows(IEnumerable<JsonObject> rows)
    {
        var path = Path($"rows{++inputs}.jsonl");
        File.WriteAllLines(path, rows.Select(row => row.ToJsonString()));
        return path;
    }

    /// <summary>A model folder with copies of files, and texts under their names.</summary>
    public string Model(IEnumerable<(string From, string Name)> copies, params (string Name, string Text)[] texts)
    {
        var folder = Path($"model{++inputs}");
        Directory.CreateDirectory(folder);
        foreach (var (from, name) in copies) File.Copy(from, System.IO.Path.Combine(folder, name));
        foreach (var (name, text) in texts) File.WriteAllText(System.IO.Path.Combine(folder, name), text);
        return folder;
    }
}
