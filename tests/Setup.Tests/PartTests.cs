// The parts of the scripts, one by one: packages, old products, the sum of test results.

namespace PeftAlign.Setup.Tests;

public class PartTests
{
    private Clone clone = null!;

    [OneTimeSetUp]
    public void Copy() => clone = new Clone(built: false);

    [OneTimeTearDown]
    public void Remove() => clone.Dispose();

    [SetUp]
    public void Folder() => Directory.CreateDirectory(clone.Build);

    private const string NothingInstalled = "LT_ORIGIN=debian; LT_LIB=/nonexistent; has_library() { false; }; ";

    [Test]
    public void AUserWithoutRightsIsToldTheExactCommand()
    {
        clone.StandIn("id", "echo 1000");
        var path = clone.StandIn("sudo", "exit 1");
        var outcome = clone.Bash(NothingInstalled + "packages_ensure", new() { ["PATH"] = path });
        Assert.That(outcome, Is.EqualTo(new Outcome(2, "", "peftalign: packages are missing and this user may not install them; run: sudo apt-get install -y --no-install-recommends libssl3 libtorch-dev libopenblas0-pthread\n")));
    }

    // An apt-get that fails until its lists are updated, as on a machine that never did.
    [Test]
    public void ListsAreUpdatedOnlyWhereTheyMust()
    {
        var log = Path.Combine(clone.Root, "apt calls");
        clone.StandIn("id", "echo 0");
        var path = clone.StandIn("apt-get", $"echo \"$@\" >>'{log}'; case \"$*\" in *update*) touch '{log}.updated';; *) [ -e '{log}.updated' ];; esac");
        var outcome = clone.Bash(NothingInstalled + "packages_ensure || true; packages_missing", new() { ["PATH"] = path });
        Assert.That(outcome.Code, Is.EqualTo(2), "the stand-in installs nothing, which is seen");
        Assert.That(outcome.Err, Does.Contain("apt-get is done, but still missing: libssl3 libtorch-dev libopenblas0-pthread"));
        var calls = File.ReadAllLines(log).Select(line => line.Split("Timeout=600 ")[1]).ToArray();
        const string install = "install -y --no-install-recommends libssl3 libtorch-dev libopenblas0-pthread";
        Assert.That(calls, Is.EqualTo(new[] { install, "update", install }));
    }

    [Test]
    public void AGivenLibtorchNeedsNoPackageOfDebians()
    {
        var outcome = clone.Bash("LT_ORIGIN=libtorch; has_library() { false; }; packages_missing; echo \"${MISSING[*]}\"");
        Assert.That(outcome.Out, Is.EqualTo("libssl3\n"));
    }

    [Test]
    public void OldProductsGoUnlessTheyAreInUse()
    {
        var outcome = clone.Bash("""
            for name in old busy young kept; do mkdir -p "$BUILD/product/$name"; touch "$BUILD/product/$name/in-use"; done
            touch -d '20 days ago' "$BUILD"/product/{old,busy,kept}
            exec 5<"$BUILD/product/busy/in-use"; flock -s 5
            remove_old_products "$BUILD/product/kept"
            ls "$BUILD/product"; rm -r "$BUILD/product"
            """);
        Assert.That(outcome, Is.EqualTo(new Outcome(0, "busy\nkept\nyoung\n", "")));
    }

    [Test]
    public void AnInterruptedSetUpIsCleanedUp()
    {
        var outcome = clone.Bash("""
            mkdir -p "$BUILD"/product/new.abc "$BUILD"/native/new.def; touch "$BUILD/stamp.new.1"
            packages_ensure() { ls "$BUILD" "$BUILD/product" "$BUILD/native"; exit 0; }
            make_all
            """);
        Assert.That(outcome.Code, Is.Zero);
        Assert.That(outcome.Out, Does.Not.Contain("new."));
    }

    [Test]
    public void ALinkIsSwappedInOneStep()
    {
        var outcome = clone.Bash("""
            cd "$BUILD"; mkdir -p one two; swap_link one link; readlink link; swap_link two link; readlink link; ls -d link*
            rm -r one two link
            """);
        Assert.That(outcome, Is.EqualTo(new Outcome(0, "one\ntwo\nlink\n", "")));
    }

    [Test]
    public void WithoutAPlaceForTemporaryFilesTheVariableIsNamed()
    {
        var outcome = clone.Bash(". \"$ROOT/build/dotnet.sh\"; dotnet_ensure", new() { ["TMPDIR"] = "/nonexistent" });
        Assert.That(outcome, Is.EqualTo(new Outcome(2, "", "peftalign: TMPDIR is '/nonexistent': no temporary file can be made in /nonexistent; set TMPDIR to a folder that is there and can be written\n")));
    }

    [Test]
    public void WhatMSBuildWouldReadAsItsOwnIsWrittenInNumbers()
    {
        var outcome = clone.Bash(". \"$ROOT/build/dotnet.sh\"; msbuild_text \"/a user's/100%/a;b,c\"; msbuild_text '/$(x)@y z'");
        Assert.That(outcome, Is.EqualTo(new Outcome(0, "/a user%27s/100%25/a%3Bb%2Cc/%24%28x%29%40y z", "")));
    }

    // Else a change of the clock would compile native/ again, and a clone that cannot be written would be refused.
    [Test]
    public void TheNativeKeyIsTheSameInEveryTimeZone()
    {
        var outcome = clone.Bash("for zone in UTC0 Asia/Tokyo XYZ-5:30; do TZ=$zone; export TZ; setup_select; native_key; echo \"$NATIVE_KEY\"; done | uniq -c");
        Assert.That(outcome.Out, Does.Match("^ *3 [0-9a-f]{16}\n$"), outcome.Err);
    }

    [Test]
    public void TheKeyKnowsNamesAndContents()
    {
        var outcome = clone.Bash("""
            mkdir -p k/sub k/obj; echo a >k/one; echo b >k/sub/two
            cd "$ROOT"; content_key k; echo junk >k/obj/x; echo junk >k/one~; content_key k
            mv k/one k/three; content_key k; echo c >k/sub/two; content_key k; rm -r k
            """.Replace(" k/", " \"$ROOT\"/k/").Replace(">k/", ">\"$ROOT\"/k/").Replace("rm -r k", "rm -r \"$ROOT/k\""));
        var keys = outcome.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(keys, Has.Length.EqualTo(4), outcome.Err);
        Assert.That(keys[1], Is.EqualTo(keys[0]), "outputs and editors' copies do not count");
        Assert.That(keys.Distinct().Count(), Is.EqualTo(3));
        Assert.That(keys[0], Does.Match("^[0-9a-f]{16}$"));
    }

    private const string Trx = """
        <TestRun><Results>
          <UnitTestResult testName="Adds" outcome="Passed" duration="1" />
          <UnitTestResult testName="Breaks" outcome="Failed"><Output><ErrorInfo><Message>2 is not 3</Message></ErrorInfo></Output></UnitTestResult>
          <UnitTestResult testName="Names(&quot;a&gt;b&quot;)" outcome="Passed" /><UnitTestResult testName="Waits" outcome="NotExecuted"><Output><ErrorInfo><Message>no &lt;folder&gt; &amp;&#xD;
        so skipped</Message></ErrorInfo></Output></UnitTestResult>
          <UnitTestResult testName="Aborts" outcome="Aborted" />
        </Results></TestRun>
        """;

    [Test]
    public void ResultsAreCountedAndSkipsAndFailuresNamed()
    {
        var file = clone.File_("results.trx");
        File.WriteAllText(file, Trx);
        var outcome = clone.Bash($". \"$ROOT/build/tests.sh\"; trx_counts '{file}'; trx_tests NotExecuted X.Tests '{file}'; trx_tests Failed X.Tests '{file}'");
        Assert.That(outcome.Out, Is.EqualTo("2 2 1\nX.Tests: Waits: no <folder> &  so skipped\nX.Tests: Breaks: 2 is not 3\n"), outcome.Err);
    }

    // The runner's exit code and results file against the sum that is printed last.
    [TestCase("exit 0", true, "2 passed, 2 failed, 1 skipped", 1)]
    [TestCase("exit 139", false, "0 passed, 1 failed", 1)]
    [TestCase("exit 0", false, "0 passed, 1 failed", 1)]
    public void ARunIsSummedUpInTheLastLine(string end, bool results, string last, int code)
    {
        var file = clone.File_("prepared.trx");
        File.WriteAllText(file, Trx);
        var runner = clone.StandIn("runner", (results ? $"cp '{file}' \"$ROOT/.build/results/X.Tests.trx\"\n" : "") + end).Split(':')[0] + "/runner";
        var outcome = clone.Bash($". \"$ROOT/build/tests.sh\"; trap tests_summary EXIT; mkdir -p \"$BUILD/results\"; DOTNET='{runner}'; tests_side_by_side '' <<<X.Tests.csproj; COMPLETE=1");
        Assert.That((outcome.Out.TrimEnd().Split('\n')[^1], outcome.Code), Is.EqualTo((last, code)), outcome.Err);
        Assert.That(outcome.Out, Does.Contain($"failed:\n  X.Tests{(results ? ": Breaks: 2 is not 3" : " ended with code ")}"));
    }

    // A case's full name has its arguments, which the runner's own filter would read as an expression.
    [Test]
    public void ACaseIsFoundByItsName()
    {
        var runner = clone.StandIn("runner", "printf '%s\n' \"$@\"").Split(':')[0] + "/runner";
        var outcome = clone.Bash($". \"$ROOT/build/tests.sh\"; mkdir -p \"$BUILD/results\"; DOTNET='{runner}'; tests_side_by_side 'Adds(1.5,\"a|b\")' <<<X.Tests.csproj; rm -r \"$TESTS_SCRATCH\"");
        Assert.That(outcome.Out, Does.Contain("""
            --
            NUnit.Where=test =~ 'Adds\\(1\\.5,\"a\\|b\"\\)'

            """), outcome.Err);
    }

    // By what the sources say; what several projects share counts for each, and a name that is in none may be made while tests run.
    [TestCase("A.Tests", "A.Tests")]
    [TestCase("A", "A.Tests")]
    [TestCase("OneTests", "A.Tests")]
    [TestCase("PeftAlign.B.Tests.TwoTests.Adds", "B.Tests")]
    [TestCase("TwoTests+Inner", "B.Tests")]
    [TestCase("Adds(1.5, \"x\")", "A.Tests B.Tests")]
    [TestCase("adds two numbers, 1.5", "F.Tests")]
    [TestCase("OneTests.Inherited", "A.Tests")]
    [TestCase("Inherited", "A.Tests B.Tests F.Tests")]
    [TestCase("OneTests.Inner", "A.Tests B.Tests F.Tests")]
    [TestCase("Nothing", "A.Tests B.Tests F.Tests")]
    public void OnlyProjectsThatMayHaveATestAreTaken(string name, string projects)
    {
        foreach (var (path, text) in (ReadOnlySpan<(string, string)>)[
            ("A.Tests/A.Tests.csproj", ""), ("A.Tests/One.cs", "namespace PeftAlign.A.Tests; class OneTests { void Adds() }"), ("A.Tests/Fixtures/notes.txt", "TwoTests"),
            ("B.Tests/B.Tests.csproj", ""), ("B.Tests/Deep/Two.cs", "namespace PeftAlign.B.Tests; class TwoTests { void Adds() class Inner {} }"),
            ("F.Tests/F.Tests.fsproj", ""), ("F.Tests/Three.fs", "let ``adds two numbers, 1.5 and 2`` () ="), ("Shared/Base.cs", "abstract class Base { void Inherited() }")])
        {
            var file = clone.File_(Path.Combine("tests", path));
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, text);
        }
        var outcome = clone.Bash($". \"$ROOT/build/tests.sh\"; found=$(tests_projects '{name}'); [ -n \"$found\" ] || found=$(tests_projects_with '{name}'); printf '%s' \"$found\"");
        Assert.That(outcome.Out.Split('\n').Select(file => Path.GetFileNameWithoutExtension(file)), Is.EqualTo(projects.Split(' ')), outcome.Err);
    }

    [Test]
    public void AnEarlyEndIsAFailure()
    {
        var outcome = clone.Bash(". \"$ROOT/build/tests.sh\"; trap tests_summary EXIT; PASSED=3; exit 5");
        Assert.That(outcome, Is.EqualTo(new Outcome(5, "3 passed, 1 failed\n", "")));
    }

    [TestCase("--frob", "unknown option --frob")]
    [TestCase("--only", "--only needs a value")]
    public void AWrongOptionOfTheTestCommandIsCodeTwo(string option, string message)
    {
        var outcome = clone.Run(clone.File_("test"), null, option);
        Assert.That(outcome.Code, Is.EqualTo(2));
        Assert.That(outcome.Err, Does.Contain(message).And.Contain("usage: ./test"));
    }
}
