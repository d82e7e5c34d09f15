// What has its name is on the disk: a machine that loses power right after a rename finds the content. The kernel's calls tell.

using System.Diagnostics;

namespace PeftAlign.Experiments.Tests;

public sealed class DurableTests
{
    private const string Tracer = "/usr/bin/strace";

    [OneTimeSetUp]
    public void Look()
    {
        if (!File.Exists(Tracer)) Assert.Ignore("there is no strace");
        using var allowed = Process.Start(new ProcessStartInfo(Tracer, ["-o", "/dev/null", "true"]) { RedirectStandardError = true })!;
        allowed.WaitForExit();
        if (allowed.ExitCode != 0) Assert.Ignore("no process may be traced here");
    }

    [Test]
    public void Every_file_of_a_checkpoint_and_of_a_model_is_on_the_disk_before_the_folder_has_its_name()
    {
        using var user = new Peftalign();
        var rows = user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 8).Select(k => $$"""{"prompt": "{{k}}?", "completion": " yes {{k}}"}""" + "\n")));
        var lines = Traced(user, "train", "sft", "--model", Stories, "--data", rows, "--out", user.Run, "--max-steps", "3", "--save-every", "2", "--batch-size", "4", "--threads", "1");
        AssertDurable(lines, Path.Combine(user.Run, "checkpoints", "2"), 4);
        AssertDurable(lines, Path.Combine(user.Run, "model"), 3);
    }

    // Configuration, tokenizer and certificate as well as weights.
    [Test]
    public void Every_file_of_a_merge_is_on_the_disk_before_the_folder_has_its_name()
    {
        using var user = new Peftalign();
        var second = Directory.CreateDirectory(user.File("second")).FullName; // which may be listed once
        foreach (var file in Directory.GetFiles(Stories)) File.Copy(file, Path.Combine(second, Path.GetFileName(file)));
        var config = user.Write("merge.yaml", $"merge_method: linear\ndtype: float32\nmodels:\n- {{model: '{Stories}', parameters: {{weight: 1}}}}\n- {{model: '{second}', parameters: {{weight: 1}}}}\n");
        AssertDurable(Traced(user, "merge", config, "--out", user.Run, "--certificate", "--threads", "1"), user.Run, 5);
    }

    private static string Stories => Peftalign.Stories;

    private static string[] Traced(Peftalign user, params string[] args)
    {
        string[] traced = ["-f", "-y", "-qq", "-e", "trace=fsync,rename,renameat,renameat2", "-o", user.File("calls"), Path.Combine(Peftalign.Repository, "peftalign")];
        using var process = Process.Start(new ProcessStartInfo(Tracer, [.. traced, .. args]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _ = process.StandardOutput.ReadToEndAsync();
        var err = process.StandardError.ReadToEndAsync();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, err.Result);
        return File.ReadAllLines(user.File("calls"));
    }

    private static void AssertDurable(string[] lines, string folder, int least)
    {
        var named = Array.FindIndex(lines, line => line.Contains("rename", StringComparison.Ordinal) && line.Contains($"\"{folder}\"", StringComparison.Ordinal));
        Assert.That(named, Is.Positive, folder);
        var part = lines[named].Split('"')[1];
        bool IsFlushed(string path, int from, int to) => lines[from..to].Any(line => line.Contains("fsync(", StringComparison.Ordinal) && line.Contains($"<{path}>", StringComparison.Ordinal));
        var files = Directory.GetFiles(folder).Select(Path.GetFileName).ToList();
        Assert.That(files, Has.Count.AtLeast(least));
        foreach (var file in files) Assert.That(IsFlushed($"{part}/{file}", 0, named), $"{folder}: {file}");
        Assert.That(IsFlushed(part, 0, named), $"{folder}: the names in it");
        Assert.That(IsFlushed(Path.GetDirectoryName(folder)!, named, lines.Length), $"{folder}: its own name");
    }
}
