// A copy of the tree in a temporary folder: sources, scripts and, where asked for, what set-up has built of them.

using System.Diagnostics;

namespace PeftAlign.Setup.Tests;

/// <summary>The copies are taken of a tree that is set up; under ./test it is, and this does nothing.</summary>
[SetUpFixture]
public class TreeIsSetUp
{
    [OneTimeSetUp]
    public void SetUp()
    {
        using var launch = Process.Start(new ProcessStartInfo(Path.Combine(Clone.Repository, "peftalign"), ["--version"]) { RedirectStandardError = true })!;
        var messages = launch.StandardError.ReadToEnd();
        launch.WaitForExit();
        Assert.That(launch.ExitCode, Is.Zero, messages);
    }
}

internal sealed record Outcome(int Code, string Out, string Err);

internal sealed class Clone : IDisposable
{
    private static readonly string[] Sources =
        ["src", "plugins", "native", "build", "peftalign", "test", "Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "PeftAlign.sln", ".config", ".editorconfig"];

    private readonly string parent = Directory.CreateTempSubdirectory("peftalign set-up ").FullName;

    /// <summary>A copy with a space in its path; <paramref name="built"/> copies the product and the native library too.</summary>
    public Clone(bool built)
    {
        Root = Path.Combine(parent, "a clone");
        Directory.CreateDirectory(Root);
        foreach (var name in Sources.Where(name => Path.Exists(Path.Combine(Repository, name)))) Copy(name, Root);
        if (!built) return;
        Copy(".build/native", Build);
        var product = new FileInfo(Path.Combine(Repository, ".build", "current")).LinkTarget!;
        Copy(Path.Combine(".build", product), Path.Combine(Build, "product"));
        File.CreateSymbolicLink(Path.Combine(Build, "current"), product);
    }

    public static string Repository { get; } = Checkout.Root;

    public string Root { get; private set; }

    public string Build => Path.Combine(Root, ".build");

    public string File_(string name) => Path.Combine(Root, name);

    public void Move(string name)
    {
        var target = Path.Combine(parent, name);
        Directory.Move(Root, target);
        Root = target;
    }

    /// <summary>The stamp of the libtorch that the tests run with.</summary>
    public string Stamp => Directory.GetFiles(Build, "stamp*").Single();

    /// <summary>Runs a program; the environment is this process's, less what ./test chose for itself, plus the given.</summary>
    public Outcome Run(string program, Dictionary<string, string?>? environment = null, params string[] args)
    {
        using var process = Start(program, environment, args);
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Outcome(process.ExitCode, text, err.Result);
    }

    public Outcome Launch(params string[] args) => Run(File_("peftalign"), null, args);

    /// <summary>Runs a script with the functions of build/setup.sh and build/make.sh at hand.</summary>
    public Outcome Bash(string script, Dictionary<string, string?>? environment = null) =>
        Run("bash", environment, "-euo", "pipefail", "-c", $". \"$ROOT/build/setup.sh\"; . \"$ROOT/build/make.sh\"\n{script}");

    public Process Start(string program, Dictionary<string, string?>? environment, params string[] args)
    {
        var start = new ProcessStartInfo(program, args) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() };
        foreach (var name in new[] { "PEFTALIGN_NATIVE", "PEFTALIGN_STRICT", "PEFTALIGN_SLOW" }) start.Environment.Remove(name);
        // The test host's own settings would reach the host program.
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("MSBuild", StringComparison.OrdinalIgnoreCase)).ToList()) start.Environment.Remove(name);
        start.Environment["ROOT"] = Root;
        foreach (var (name, value) in environment ?? [])
        {
            if (value == null) start.Environment.Remove(name);
            else start.Environment[name] = value;
        }
        return Process.Start(start)!;
    }

    /// <summary>Writes a program of a few lines of bash into a folder of stand-ins and returns a PATH that begins with it.</summary>
    public string StandIn(string name, string script)
    {
        var folder = Path.Combine(parent, "stand-ins");
        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, name);
        File.WriteAllText(file, $"#!/bin/bash\n{script}\n");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return $"{folder}:{Environment.GetEnvironmentVariable("PATH")}";
    }

    public void Dispose() => Directory.Delete(parent, true);

    private static void Copy(string name, string folder)
    {
        Directory.CreateDirectory(folder);
        using var copy = Process.Start("cp", ["-a", "--", Path.Combine(Repository, name), folder]);
        copy.WaitForExit();
        if (copy.ExitCode != 0) throw new IOException($"cp of {name} failed");
    }
}
