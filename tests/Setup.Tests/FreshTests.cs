// Once built, the launcher only compares times: wherever the clone lies, whoever runs it, and whether it can be written or not.
// The compiler, the SDK, apt-get and the network are replaced by programs that leave a trace, so that their use would show.

namespace PeftAlign.Setup.Tests;

public class FreshTests
{
    private Clone clone = null!;

    [SetUp]
    public void Copy()
    {
        clone = new Clone(built: true);
        Assert.That(clone.Launch("--version"), Is.EqualTo(new Outcome(0, Version, "")), "the copy's keys fit what was built: nothing is built again");
    }

    [TearDown]
    public void Remove() => clone.Dispose();

    private static string Version { get; } = Built();

    private static string Built()
    {
        using var any = new Clone(built: true);
        return any.Launch("--version").Out;
    }

    // Paths, sizes and times of everything under .build.
    private string[] Snapshot() =>
        [.. Directory.GetFileSystemEntries(clone.Build, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(path => $"{path} {File.GetLastWriteTimeUtc(path):O}")];

    [Test]
    public void NothingIsStartedAndNothingIsWritten()
    {
        var trace = Path.Combine(clone.Root, "..", "trace");
        string path = "";
        foreach (var name in new[] { "dotnet", "g++", "apt-get", "sudo" }) path = clone.StandIn(name, $"echo {name} >>'{trace}'; exit 99");
        var before = Snapshot();
        Assert.That(clone.Run(clone.File_("peftalign"), new() { ["PATH"] = path }, "--version"), Is.EqualTo(new Outcome(0, Version, "")));
        Assert.That(Snapshot(), Is.EqualTo(before));
        Assert.That(File.Exists(trace), Is.False);
    }

    [Test]
    public void AnyWorkingDirectoryALinkAndAnotherPlaceWillDo()
    {
        var link = Path.Combine(clone.Root, "..", "link to it");
        File.CreateSymbolicLink(link, clone.File_("peftalign"));
        Assert.That(clone.Run(link, null, "--version"), Is.EqualTo(new Outcome(0, Version, "")));
        Assert.That(clone.Run("bash", null, "-c", "cd / && \"$ROOT/peftalign\" --version"), Is.EqualTo(new Outcome(0, Version, "")));
        clone.Move("moved clone");
        Assert.That(clone.Launch("--version"), Is.EqualTo(new Outcome(0, Version, "")));
    }

    [Test]
    public void NoHomeIsNeeded() =>
        Assert.That(clone.Run(clone.File_("peftalign"), new() { ["HOME"] = null }, "--version"), Is.EqualTo(new Outcome(0, Version, "")));

    [Test]
    public void AnOldDateDoesNotHideAChange()
    {
        var file = clone.File_("src/Host/ExitCode.cs");
        File.AppendAllText(file, "// changed\n");
        File.SetLastWriteTimeUtc(file, new DateTime(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.That(Sdk8("--version").Code, Is.EqualTo(2), "it sets out to build");
    }

    [Test]
    public void AClockThatWasSetBackDoesNotHideAChange()
    {
        File.SetLastWriteTimeUtc(clone.Stamp, DateTime.UtcNow.AddHours(2));
        File.AppendAllText(clone.File_("src/Host/ExitCode.cs"), "// changed\n");
        Assert.That(Sdk8("--version").Code, Is.EqualTo(2), "it sets out to build");
    }

    [Test]
    public void ADeletedFileIsAChange()
    {
        File.Delete(clone.File_("src/Host/ExitCode.cs"));
        Assert.That(Sdk8("--version").Code, Is.EqualTo(2));
    }

    // With an SDK that is too old, a build would begin and end with its message.
    private Outcome Sdk8(params string[] args)
    {
        var folder = clone.StandIn("dotnet", "echo '8.0.100 [/nowhere]'").Split(':')[0];
        return clone.Run(clone.File_("peftalign"), new() { ["DOTNET_ROOT"] = folder }, args);
    }

    [Test]
    public void AnSdkThatIsTooOldIsOneLine()
    {
        File.AppendAllText(clone.File_("src/Host/ExitCode.cs"), "// changed\n");
        var outcome = Sdk8("--version");
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")));
        Assert.That(outcome.Err.Trim().Split('\n')[^1], Does.StartWith("peftalign: .NET SDK 8.0.100 in ").And.Contain("needs 10 or later"));
    }

    [Test]
    public void SameContentsAreNotBuiltAgain()
    {
        var file = clone.File_("src/Host/ExitCode.cs");
        File.SetLastWriteTimeUtc(file, DateTime.UtcNow);
        var stamp = File.GetLastWriteTimeUtc(clone.Stamp);
        Assert.That(clone.Launch("--version"), Is.EqualTo(new Outcome(0, Version, "")));
        Assert.That(File.GetLastWriteTimeUtc(clone.Stamp), Is.GreaterThan(stamp), "the next start is fresh");
        Assert.That(Directory.GetDirectories(Path.Combine(clone.Build, "product")), Has.Length.EqualTo(1));
    }

    [TestCase("/nonexistent", "peftalign: /nonexistent: no lib/libtorch_cpu.so there")]
    [TestCase("/tmp", "peftalign: /tmp: no lib/libtorch_cpu.so there")]
    public void ALibtorchThatIsNoneIsOneLine(string folder, string message)
    {
        var outcome = clone.Run(clone.File_("peftalign"), new() { ["LIBTORCH"] = folder }, "--version");
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")));
        Assert.That(outcome.Err, Does.StartWith(message).And.EndsWith("\n"));
        Assert.That(outcome.Err.Count(c => c == '\n'), Is.EqualTo(1));
    }

    [Test]
    public void APythonWithoutTorchIsOneLine()
    {
        var path = clone.StandIn("python3", "exit 1");
        var outcome = clone.Run(clone.File_("peftalign"), new() { ["LIBTORCH"] = null, ["LIBTORCH_USE_PYTORCH"] = "1", ["PATH"] = path }, "--version");
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")));
        Assert.That(outcome.Err, Does.Match("^peftalign: LIBTORCH_USE_PYTORCH=1, but python3 .* has no torch; .*\n$"));
    }

    [Test]
    public void AReadOnlyCloneWorks()
    {
        var mounted = clone.Run("unshare", null, "-m", "bash", "-c", """
            mount --bind "$ROOT" "$ROOT" && mount -o remount,ro,bind "$ROOT" || exit 77
            touch "$ROOT/x" 2>/dev/null && exit 78
            "$ROOT/peftalign" --version || exit 79
            exec "$ROOT/peftalign" --version
            """);
        if (mounted.Code is 1 or 77) Assert.Ignore($"this user may not mount a folder read-only: {mounted.Err.Trim()}");
        Assert.That(mounted, Is.EqualTo(new Outcome(0, Version + Version, "")));
    }

    [Test]
    public void TwoSetUpsWaitForOneAnother()
    {
        File.SetLastWriteTimeUtc(clone.File_("src/Host/ExitCode.cs"), DateTime.UtcNow);
        // The first ends when the second has said that it waits.
        var said = clone.File_("said");
        using var first = clone.Start("flock", null, Path.Combine(clone.Build, "lock"), "bash", "-c", $"echo held; for ((n = 0; n < 3000; n++)); do if [ -s '{said}' ]; then exit 0; fi; sleep 0.1; done; exit 9");
        Assert.That(first.StandardOutput.ReadLine(), Is.EqualTo("held"));
        Assert.That(clone.Run("bash", null, "-c", $"\"$ROOT/peftalign\" --version 2>'{said}'"), Is.EqualTo(new Outcome(0, Version, "")));
        Assert.That(File.ReadAllText(said), Is.EqualTo("peftalign: another set-up of this folder is at work; waiting for it\n"));
        first.WaitForExit();
        Assert.That(first.ExitCode, Is.Zero);
    }
}
