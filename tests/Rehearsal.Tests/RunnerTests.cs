// The program that these tests are where there is no SDK: what it runs, says and ends with.

using System.Diagnostics;

namespace PeftAlign.Tests;

public sealed class RunnerTests
{
    private const string Fault = "PEFTALIGN_RUNNER_FAULT", Inner = "PEFTALIGN_RUNNER_INNER";

    // What a text names may be a test that starts the program with that text.
    [SetUp]
    public void Once()
    {
        if (Environment.GetEnvironmentVariable(Inner) is not null && TestContext.CurrentContext.Test.Name != nameof(A_fault_is_there_where_it_is_asked_for)) Assert.Ignore("started by one of these tests");
    }

    private static (int Code, string Out, string Err) Run(string text, string device = "privateuseone", string? fault = null)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "PeftAlign.Rehearsal.Tests"), text.Length == 0 ? [] : [text]) { RedirectStandardOutput = true, RedirectStandardError = true };
        // Under dotnet test this is the .NET to use; else it is known already.
        if (Path.GetFileName(Environment.ProcessPath) == "dotnet") start.Environment["DOTNET_ROOT"] = Path.GetDirectoryName(Environment.ProcessPath);
        (start.Environment["PEFTALIGN_TEST_DEVICE"], start.Environment[Inner]) = (device, "1");
        if (fault is not null) start.Environment[Fault] = fault;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, said, errors.Result);
    }

    private static string LastLine(string text) => text.TrimEnd('\n').Split('\n')[^1];

    [Test]
    public void What_is_named_is_run_on_the_device()
    {
        var (code, said, _) = Run("RehearsalTests.Views_share_memory");
        Assert.That((code, LastLine(said)), Is.EqualTo((0, "1 passed, 0 failed, 0 skipped on privateuseone:0")));
        Assert.That(said, Does.Match(@"^passed +\d+\.\d\d s  PeftAlign\.Tests\.RehearsalTests\.Views_share_memory"));
    }

    [Test]
    public void What_asks_for_another_device_is_skipped_with_its_reason()
    {
        var (code, said, _) = Run("Tests.RehearsalTests.Views", "cpu");
        Assert.That((code, LastLine(said)), Is.EqualTo((0, "0 passed, 0 failed, 1 skipped on cpu")));
        Assert.That(said, Does.Contain("    on cpu: it asks the device to rehearse on"));
    }

    [Test]
    public void A_failure_is_said_with_what_is_known_of_it_and_is_the_code()
    {
        var (code, said, _) = Run("A_fault_is_there_where_it_is_asked_for", fault: "on purpose");
        Assert.That((code, LastLine(said)), Is.EqualTo((1, "0 passed, 1 failed, 0 skipped on privateuseone:0")));
        Assert.That(said, Does.StartWith("FAILED").And.Contain("    on purpose").And.Contain("RunnerTests.cs:line"));
    }

    // Fails where the test above starts it.
    [Test]
    public void A_fault_is_there_where_it_is_asked_for()
    {
        if (Environment.GetEnvironmentVariable(Fault) is { } fault) Assert.Fail(fault);
    }

    // Not a case below: a case's name holds its text, so that the program would find and start this test again, without end.
    [Test]
    public void A_text_in_no_name_is_refused()
    {
        var text = string.Join(' ', "no", "such", "test");
        var outcome = Run(text);
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")));
        Assert.That(outcome.Err.TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1).And.One.StartsWith($"'{text}' is in no test's name"));
    }

    [TestCase("RehearsalTests", "gpu", "PEFTALIGN_TEST_DEVICE: device 'gpu' is not known; use cpu, cuda or cuda:N")]
    [TestCase("RehearsalTests", "cuda:99", "PEFTALIGN_TEST_DEVICE=cuda:99: libtorch sees ")]
    public void What_cannot_be_run_is_said_in_one_line(string text, string device, string said)
    {
        var outcome = Run(text, device);
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")));
        Assert.That(outcome.Err.TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1).And.One.StartsWith(said));
    }
}
