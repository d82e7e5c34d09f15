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
        var (rows, calls) = (user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 8).Select(k => $$"""{"prompt": "{{k}}?", "completion": " yes {{k}}"}""" + "\n"))), user.File("calls"));
        string[] traced = ["-f", "-y", "-qq", "-e", "trace=fsync,rename,renameat,renameat2", "-o", calls, Path.Combine(Peftalign.Repository, "peftalign")];
        string[] train = ["train", "sft", "--model", Path.Combine(Peftalign.Repository, "tests", "fixtures", "stories260K"), "--data", rows, "--out", user.Run, "--max-steps", "3", "--save-every", "2", "--batch-size", "4", "--threads", "1"];
        using var process = Process.Start(new ProcessStartInfo(Tracer, [.. traced, .. train]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _ = process.StandardOutput.ReadToEndAsync();
        var err = process.StandardError.ReadToEndAsync();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, err.Result);
        var lines = File.ReadAllLines(calls);
        foreach (var (folder, least) in ((string, int)[])[(Path.Combine(user.Run, "checkpoints", "2"), 4), (Path.Combine(user.Run, "model"), 3)])
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
}
