// A job's process ends without the destructors of its libraries, which the loader itself tells (LD_DEBUG=files, ld.so(8)).

using System.Diagnostics;

namespace PeftAlign.Experiments.Tests;

public sealed class ProcessEndTests
{
    [Test]
    public void No_destructors_run_at_the_end_of_a_job()
    {
        using var user = new Peftalign();
        var manifest = user.Write("tiny.yaml", Manifests.Tiny + """
            name: tiny
            datasets:
              exam: { reader: synthetic, rows: 4, split: test }
            evaluate:
              - { of: untouched, with: [{ type: preference, dataset: exam }] }
            """);
        var told = Directory.CreateDirectory(user.File("told")).FullName;
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(Peftalign.Repository, "peftalign"), ["run", manifest, "--out", user.Run, "--threads", "1"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["LD_DEBUG"] = "files", ["LD_DEBUG_OUTPUT"] = Path.Combine(told, "process") },
        })!;
        var errors = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, errors.Result);
        var jobs = Directory.GetFiles(told).Select(File.ReadAllText).Where(text => text.Contains("calling init:", StringComparison.Ordinal) && text.Contains("libpeftalign_torch.so", StringComparison.Ordinal)).ToList();
        Assert.That(jobs, Has.Count.GreaterThan(1), "the processes that opened libtorch");
        Assert.That(jobs, Has.None.Contains("calling fini:"));
    }
}
