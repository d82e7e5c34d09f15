// Test projects side by side, with a stand-in for the runner: what each prints stays together, what each leaves is counted, and the end of
// the whole is the end of each.

using System.Globalization;

namespace PeftAlign.Setup.Tests;

public class LaneTests
{
    private const string Passes = "echo '<UnitTestResult testName=\"Adds\" outcome=\"Passed\" />' >\"$results/$name.trx\"";
    private const string RunBoth = "tests_side_by_side '' < <(printf '%s\\n' A.Tests.csproj B.Tests.csproj)";

    private Clone clone = null!;

    private string Results => Path.Combine(clone.Build, "results");

    [SetUp]
    public void Copy()
    {
        clone = new Clone(built: false);
        Directory.CreateDirectory(Results);
    }

    [TearDown]
    public void Remove() => clone.Dispose();

    // In the runner $name is the project that it is called for.
    private Outcome Run(string runner, int lanes, string before = "")
    {
        var folder = clone.StandIn("runner", $"""
            case "$*" in *A.Tests.dll*) name=A.Tests ;; *) name=B.Tests ;; esac
            results=$ROOT/.build/results
            wait_for() {"{"} for ((n = 0; n < 600; n++)); do if [ -e "$results/$1" ]; then return; fi; sleep 0.1; done; exit 9; {"}"}
            {runner}
            """).Split(':')[0];
        return clone.Bash($". \"$ROOT/build/tests.sh\"; trap tests_summary EXIT; tests_traps; lanes_width() {{ echo {lanes}; }}; DOTNET='{folder}/runner'; {before}{RunBoth}; COMPLETE=1");
    }

    // A ends when B has begun, and B when A is done: one after the other neither would. Which is seen first to have ended depends on the machine's load.
    [Test]
    public void TwoRunAtOnceAndTheLinesOfEachStayTogether()
    {
        var outcome = Run($$"""
            echo "first of $name"
            : >"$results/begun $name"
            if [ $name = A.Tests ]; then wait_for 'begun B.Tests'; else wait_for 'A is done'; fi
            echo "last of $name"
            {{Passes}}
            if [ $name = A.Tests ]; then : >"$results/A is done"; fi
            """, lanes: 2);
        const string a = "\nA.Tests\nfirst of A.Tests\nlast of A.Tests\n", b = "\nB.Tests\nfirst of B.Tests\nlast of B.Tests\n", sum = "2 passed, 0 failed\n";
        Assert.That((outcome.Code, outcome.Err), Is.EqualTo((0, "peftalign: testing A.Tests\npeftalign: testing B.Tests\n")));
        Assert.That(outcome.Out, Is.EqualTo(a + b + sum).Or.EqualTo(b + a + sum));
    }

    [Test]
    public void InOneLaneTheyFollowOneAnother()
    {
        var outcome = Run($"echo \"begin $name\" >>\"$results/order\"; {Passes}; echo \"end $name\" >>\"$results/order\"", lanes: 1);
        Assert.That(outcome.Code, Is.Zero, outcome.Err);
        Assert.That(File.ReadAllLines(Path.Combine(Results, "order")), Is.EqualTo(new[] { "begin A.Tests", "end A.Tests", "begin B.Tests", "end B.Tests" }));
    }

    [Test]
    public void ACrashBesideAnotherProjectIsToldByName()
    {
        var outcome = Run($"if [ $name = A.Tests ]; then kill -SEGV $$; fi; {Passes}", lanes: 2);
        Assert.That(outcome.Code, Is.EqualTo(1));
        Assert.That(outcome.Out, Does.EndWith("\nfailed:\n  A.Tests ended with code 139 after 0 tests (a crash, a hang, or no tests at all)\n1 passed, 1 failed\n"), outcome.Err);
    }

    // Beside another project, whose folder is another; what .NET leaves of a process that is killed, and the runner, is not the project's.
    [Test]
    public void WhatAProjectLeavesInItsTemporaryFolderIsAFailureAndGoes()
    {
        var outcome = Run($$"""
            echo "$TMPDIR" >>"$results/folders"
            touch "$TMPDIR/clr-debug-pipe-1-2-in" "$TMPDIR/dotnet-diagnostic-1-2-socket"; mkdir "$TMPDIR/NUnit.Engine" "$TMPDIR/torchinductor_me"
            if [ $name = A.Tests ]; then mkdir "$TMPDIR/a folder"; touch "$TMPDIR/a folder/file" "$TMPDIR/other"; fi
            {{Passes}}
            """, lanes: 2);
        Assert.That(outcome.Out, Does.EndWith("\nfailed:\n  A.Tests left 2 entries in its folder for temporary files: a folder, other\n2 passed, 1 failed\n"), outcome.Err);
        Assert.That(outcome.Code, Is.EqualTo(1));
        var folders = File.ReadAllLines(Path.Combine(Results, "folders"));
        Assert.That(folders, Is.Unique.And.Length.EqualTo(2));
        Assert.That(folders.Append(Path.GetDirectoryName(folders[0])), Has.None.Matches<string>(Directory.Exists));
    }

    [Test]
    public void WhatIsStillRunningEndsWithTheWhole()
    {
        var outcome = Run("sleep 600 & echo $! >\"$results/child of $name\"; : >\"$results/begun $name\"; wait", lanes: 2,
            before: "(until [ -e \"$BUILD/results/begun A.Tests\" ] && [ -e \"$BUILD/results/begun B.Tests\" ]; do sleep 0.1; done; kill -TERM $$) & ");
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((143, "0 passed, 1 failed\n")), outcome.Err);
        foreach (var name in (string[])["A.Tests", "B.Tests"])
        {
            var child = int.Parse(File.ReadAllText(Path.Combine(Results, "child of " + name)), CultureInfo.InvariantCulture);
            Assert.That(File.Exists($"/proc/{child}/cmdline") && File.ReadAllText($"/proc/{child}/cmdline").Contains("sleep", StringComparison.Ordinal), Is.False, name);
        }
    }

    // Whoever presses Ctrl-C twice, or closes the terminal behind it: the first signal is being heeded when the second comes.
    [Test]
    public void ASecondSignalLeavesNothingRunningAndTheSumIsSaid()
    {
        var outcome = Run("trap '' TERM; echo $$ >\"$results/child\"; : >\"$results/begun\"; for ((n = 0; n < 600; n++)); do sleep 1; done", lanes: 1,
            before: "(until [ -e \"$BUILD/results/begun\" ]; do sleep 0.1; done; kill -TERM $$; sleep 1; kill -TERM $$ 2>/dev/null || true) & ");
        var child = int.Parse(File.ReadAllText(Path.Combine(Results, "child")), CultureInfo.InvariantCulture);
        Assert.That(File.Exists($"/proc/{child}/cmdline") && File.ReadAllText($"/proc/{child}/cmdline").Contains("runner", StringComparison.Ordinal), Is.False);
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((143, "0 passed, 1 failed\n")), outcome.Err);
    }

    // Bash lets what it starts in the background ignore interrupts, and tests send some.
    [Test]
    public void ALaneHearsWhatTheScriptHears()
    {
        var outcome = clone.Bash(". \"$ROOT/build/lanes.sh\"; lane_start one \"$BUILD/lane.log\" grep SigIgn /proc/self/status; lane_wait; grep SigIgn /proc/self/status | cmp - \"$BUILD/lane.log\" && echo \"$LANE_NAME $LANE_STATUS\"");
        Assert.That(outcome, Is.EqualTo(new Outcome(0, "one 0\n", "")));
    }

    [Test]
    public void TheLongOnesBeginFirst()
    {
        var outcome = clone.Bash(". \"$ROOT/build/tests.sh\"; printf '%s\\n' '/a b/tests/Core.Tests/Core.Tests.fsproj' '/a b/tests/Experiments.Tests/Experiments.Tests.csproj' '/a b/tests/Zeta.Tests/Zeta.Tests.csproj' | tests_order");
        Assert.That(outcome.Out, Is.EqualTo("/a b/tests/Experiments.Tests/Experiments.Tests.csproj\n/a b/tests/Core.Tests/Core.Tests.fsproj\n/a b/tests/Zeta.Tests/Zeta.Tests.csproj\n"));
    }
}
