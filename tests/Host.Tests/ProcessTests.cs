// What only a process of its own shows: signals, the exit code, the product's lock, and that libtorch stays closed.

using System.Diagnostics;
using System.Runtime.InteropServices;

namespace PeftAlign.Host.Tests;

public partial class ProcessTests
{
    private const int SIGINT = 2;
    private const int SIGTERM = 15;
    private const int Patience = 300_000; // ms; longer means that a process never ends
    private static readonly string Folder = Path.GetDirectoryName(typeof(ProcessTests).Assembly.Location)!;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int pid, int signal);

    internal static Process Start(string assembly, params string[] args) => Start(assembly, [], args);

    internal static Process Start(string assembly, Dictionary<string, string> environment, params string[] args)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } path && Path.GetFileName(path) == "dotnet" ? path : "dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.ArgumentList.Add(Path.Combine(Folder, assembly));
        foreach (var arg in args) start.ArgumentList.Add(arg);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    // Commands whose work needs no libtorch, as tokenize, must not open it for that.
    [TestCase("3", "", 0, "3, libtorch is closed")]
    [TestCase("3", "--threads 2", 0, "2, libtorch is closed")]
    [TestCase("", "", 0, null)]
    [TestCase("0", "", 2, "PEFTALIGN_THREADS is '0'; it may be a whole number from 1 to 4096, or unset")]
    public void The_variable_counts_where_no_number_of_threads_is_given(string variable, string options, int code, string? said)
    {
        using var process = Start("PeftAlign.Host.Tests.dll", new() { ["PEFTALIGN_THREADS"] = variable }, ["threads", .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        var (printed, errors) = (process.StandardOutput.ReadToEnd(), process.StandardError.ReadToEnd());
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That((process.ExitCode, printed + errors), Is.EqualTo((code, code == 0 ? (said ?? $"{Environment.ProcessorCount}, libtorch is closed") + "\n" : $"peftalign: {said}\n")));
    }

    // As a job's process does: what .NET does at the end is done, and native destructors are not run.
    [Test]
    public void AnEndWithoutDestructorsKeepsTheCodeAndWhatWasWritten()
    {
        using var process = Start("PeftAlign.Host.Tests.dll", "end");
        var (printed, errors) = (process.StandardOutput.ReadToEnd(), process.StandardError.ReadToEnd());
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That((process.ExitCode, printed, errors), Is.EqualTo((1, "printed by C\n", "a handler of .NET\n")));
    }

    [TestCase("end")]
    [TestCase("deaf")]
    public void AnEndWithoutDestructorsLeavesNoTemporaryFiles(string command)
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-end-").FullName;
        try
        {
            using var process = Start("PeftAlign.Host.Tests.dll", new() { ["TMPDIR"] = folder }, [command]);
            if (command == "deaf")
            {
                Assert.That(process.StandardError.ReadLine(), Is.EqualTo("waiting"));
                Assert.That(Directory.GetFileSystemEntries(folder), Is.Not.Empty, "what the runtime has for debuggers");
                kill(process.Id, SIGINT);
                Assert.That(process.StandardError.ReadLine(), Is.EqualTo("told"));
                kill(process.Id, SIGINT);
            }
            Assert.That(process.WaitForExit(Patience), Is.True);
            Assert.That(Directory.GetFileSystemEntries(folder), Is.Empty);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [TestCase(SIGINT)]
    [TestCase(SIGTERM)]
    public void ASignalEndsWithCode130(int signal)
    {
        using var process = Start("PeftAlign.Host.Tests.dll", "wait");
        Assert.That(process.StandardError.ReadLine(), Is.EqualTo("waiting"));
        Assert.That(kill(process.Id, signal), Is.Zero);
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That((process.ExitCode, process.StandardError.ReadToEnd()), Is.EqualTo((130, "peftalign: interrupted\n")));
    }

    // One answer first, so that the signal comes while the next line is waited for; the pipe stays open.
    [Test]
    public void ASignalEndsAChatThatWaitsForALine()
    {
        var model = Path.Combine(JudgeCommandTests.Model(".."), "stories260K");
        string[] args = [Path.Combine(Folder, "PeftAlign.Host.dll"), "chat", "--model", model, "--chat-template", "vicuna", "--max-new-tokens", "2", "--threads", "1", "--json"];
        using var process = Process.Start(new ProcessStartInfo("dotnet", args) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.StandardInput.WriteLine("Hello");
        process.StandardInput.Flush();
        Assert.That(process.StandardOutput.ReadLine(), Does.Contain("finish"), "an answer comes first");
        Thread.Sleep(300);
        kill(process.Id, SIGINT);
        var ended = process.WaitForExit(Patience);
        if (!ended) process.Kill();
        Assert.That(ended, Is.True);
        Assert.That((process.ExitCode, process.StandardError.ReadToEnd()), Is.EqualTo((130, "peftalign: interrupted\n")));
    }

    // As 'peftalign tokenize --in - | head -1' over rows without end.
    [Test]
    public void ACommandWhoseRowsNobodyReadsEnds()
    {
        var model = Path.Combine(JudgeCommandTests.Model(".."), "stories260K");
        string[] args = [Path.Combine(Folder, "PeftAlign.Host.dll"), "tokenize", "--model", model, "--in", "-"];
        using var process = Process.Start(new ProcessStartInfo("dotnet", args) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.StandardInput.AutoFlush = true;
        process.StandardInput.WriteLine("""{"text":"a"}""");
        Assert.That(process.StandardOutput.ReadLine(), Does.Contain("ids"));
        process.StandardOutput.Close();
        var clock = Stopwatch.StartNew();
        try
        {
            while (clock.ElapsedMilliseconds < Patience / 5 && !process.WaitForExit(10)) process.StandardInput.WriteLine("""{"text":"a"}""");
        }
        catch (IOException)
        {
            // it ended, and reads no more
        }
        var ended = process.WaitForExit(Patience / 5);
        if (!ended) process.Kill();
        Assert.That(ended, Is.True);
        Assert.That((process.ExitCode, process.StandardError.ReadToEnd()), Is.EqualTo((130, "")));
    }

    [TestCase(64, 2, "ulimit -n 64")]
    [TestCase(256, 0, "")]
    public void AFewOpenFilesAreEnoughOrRefused(int limit, int expected, string says)
    {
        var model = Path.Combine(JudgeCommandTests.Model(".."), "stories260K");
        using var process = Bash($"ulimit -n {limit}; exec dotnet '{Folder}/PeftAlign.Host.dll' tokenize --model '{model}' --text 'Once upon a time'");
        var errors = process.StandardError.ReadToEnd();
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That(process.ExitCode, Is.EqualTo(expected), errors);
        if (says.Length > 0) Assert.That(errors, Does.StartWith("peftalign: " + says).And.Contain("needs 256").And.Not.Contain("   at "));
    }

    [Test]
    public void AWorkingFolderThatIsGoneIsSaid()
    {
        var gone = Directory.CreateTempSubdirectory("peftalign-gone-").FullName;
        using var process = Bash($"cd '{gone}' && rmdir '{gone}' && exec dotnet '{Folder}/PeftAlign.Host.dll' plugins add rows.peftplugin --plugins some");
        var errors = process.StandardError.ReadToEnd();
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That((process.ExitCode, errors), Is.EqualTo((2, "peftalign: the working folder is not there any more; change to one that is (cd) and run the same command again\n")));
    }

    private static Process Bash(string line) => Process.Start(new ProcessStartInfo("bash", ["-c", line]) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    [Test]
    public void TheSecondSignalEndsACommandThatHeedsNone()
    {
        using var process = Start("PeftAlign.Host.Tests.dll", "deaf");
        Assert.That(process.StandardError.ReadLine(), Is.EqualTo("waiting"));
        kill(process.Id, SIGINT);
        Assert.That(process.StandardError.ReadLine(), Is.EqualTo("told"));
        kill(process.Id, SIGINT);
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That(process.ExitCode, Is.EqualTo(130));
    }

    // Ending the usual way would run libtorch's destructors beside its threads at work.
    [Test]
    [Repeat(3)]
    public void TheSecondSignalEndsACommandInNativeCode()
    {
        using var process = Start("PeftAlign.Host.Tests.dll", "busy");
        Assert.That(process.StandardError.ReadLine(), Is.EqualTo("waiting"));
        kill(process.Id, SIGINT);
        Assert.That(process.StandardError.ReadLine(), Is.EqualTo("told"));
        kill(process.Id, SIGTERM);
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That((process.ExitCode, process.StandardError.ReadToEnd()), Is.EqualTo((130, "")));
    }

    // With a libtorch that cannot be found, what needs no tensor works all the same.
    [TestCase("--help", 0, "peftalign")]
    [TestCase("--version", 0, "peftalign")]
    [TestCase("doctor --help", 0, "peftalign")]
    [TestCase("plugins list --json", 0, "\"plugins\": [")]
    [TestCase("nonsense", 2, "")]
    public void WithoutLibtorch(string line, int expected, string says)
    {
        using var process = Start("PeftAlign.Host.dll", new Dictionary<string, string> { ["PEFTALIGN_NATIVE"] = "/nonexistent" }, line.Split(' '));
        var text = process.StandardOutput.ReadToEnd();
        Assert.That(process.WaitForExit(Patience), Is.True);
        Assert.That(process.ExitCode, Is.EqualTo(expected));
        Assert.That(text, says.Length > 0 ? Does.Contain(says) : Is.Empty);
    }

    // script(1) gives the program a terminal.
    [TestCase("", true)]
    [TestCase("NO_COLOR=1", false)]
    [TestCase("TERM=dumb", false)]
    public void ATerminalIsColouredUnlessItIsNotWanted(string setting, bool coloured)
    {
        using var probe = Process.Start(new ProcessStartInfo("script", ["-qec", "true", "/dev/null"]) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        probe.WaitForExit();
        if (probe.ExitCode != 0) Assert.Ignore("this machine makes no pseudo-terminals");
        var command = $"env -u NO_COLOR TERM=xterm PEFTALIGN_NATIVE=/nonexistent {setting} dotnet '{Path.Combine(Folder, "PeftAlign.Host.dll")}' doctor";
        using var process = Process.Start(new ProcessStartInfo("script", ["-qec", command, "/dev/null"]) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.EqualTo(1));
        Assert.That(text, Does.Contain("problem: "));
        Assert.That(text.Contains("\u001b[31mproblem: ", StringComparison.Ordinal), Is.EqualTo(coloured));
    }

    [Test]
    public void WhatIsRedirectedHasNoColour()
    {
        using var process = Start("PeftAlign.Host.dll", new Dictionary<string, string> { ["PEFTALIGN_NATIVE"] = "/nonexistent", ["TERM"] = "xterm" }, "doctor");
        Assert.That(process.StandardOutput.ReadToEnd(), Does.Contain("problem: ").And.Not.Contain("\u001b"));
    }

    [Test]
    public void AProductInUseIsLocked()
    {
        var file = Path.Combine(Folder, "in-use");
        File.WriteAllText(file, "");
        try
        {
            using (ProductInUse.Hold())
            using (var other = ProductInUse.Hold())
            {
                Assert.That(other, Is.Not.Null, "two hosts run from one product");
                Assert.Throws<IOException>(() => OpenExclusively(file), "and nobody deletes it meanwhile");
            }
            OpenExclusively(file);
        }
        finally
        {
            File.Delete(file);
        }
        using var none = ProductInUse.Hold();
        Assert.That(none, Is.Null);
    }

    private static void OpenExclusively(string file) => new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
}
