// These tests where there is no SDK, as on a machine with a GPU (bench/gpu): PeftAlign.Rehearsal.Tests [TEXT] runs those whose full name
// has TEXT on the device that PEFTALIGN_TEST_DEVICE names. Each is said as it ends, so that a run that is cut off leaves what it found.

using System.Diagnostics;
using System.Globalization;
using System.Security;
using System.Text.RegularExpressions;
using NUnit.Framework.Api;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;
using PeftAlign.Torch;

namespace PeftAlign.Tests;

internal static class Runner
{
    private const string Usage = "PeftAlign.Rehearsal.Tests [TEXT]";

    /// <summary>Code 0 where every test passed or was skipped, 1 where one failed, 2 where there is nothing to run or no such device.</summary>
    private static int Main(string[] arguments)
    {
        if (arguments.Length > 1) return Refused($"{arguments.Length} arguments given, at most one taken; usage: {Usage}");
        if (Absent() is { } reason) return Refused(reason);
        var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
        // One after the other: on a device they would share its memory, and what they say would mix.
        runner.Load(typeof(Runner).Assembly, new Dictionary<string, object> { [NUnit.FrameworkPackageSettings.NumberOfTestWorkers] = 0 });
        var filter = arguments is [var text] ? TestFilter.FromXml($"<filter><test re='1'>{SecurityElement.Escape(Regex.Escape(text))}</test></filter>") : TestFilter.Empty;
        if (runner.CountTestCases(filter) == 0) return Refused($"'{arguments.FirstOrDefault()}' is in no test's name; usage: {Usage}");
        var heard = new Heard();
        runner.Run(heard, filter);
        Console.WriteLine($"{heard.Passed} passed, {heard.Failed} failed, {heard.Skipped} skipped on {TestDevice.Here}");
        return heard.Failed == 0 ? 0 : 1;
    }

    private static int Refused(string reason)
    {
        Console.Error.WriteLine(reason);
        return 2;
    }

    // What would else be said by every test.
    private static string? Absent()
    {
        const string setting = "PEFTALIGN_TEST_DEVICE";
        try
        {
            var (device, count) = (TestDevice.Here, torch.cuda.device_count());
            return device.type == DeviceType.CUDA && device.index >= count ? $"{setting}={device}: libtorch sees {count} CUDA device(s); name one of them, or unset it" : null;
        }
        catch (ArgumentException e)
        {
            return $"{setting}: {e.Message}";
        }
        catch (TorchUnavailableException e)
        {
            return $"{e.Message} PEFTALIGN_NATIVE names the folder that native/build wrote";
        }
    }

    private sealed class Heard : ITestListener
    {
        internal int Passed { get; private set; }

        internal int Failed { get; private set; }

        internal int Skipped { get; private set; }

        public void TestFinished(ITestResult result)
        {
            // What goes wrong around a class's tests is told of the class alone.
            var isFailure = result.ResultState.Status == TestStatus.Failed && (!result.Test.IsSuite || result.ResultState.Site == FailureSite.TearDown);
            if (result.Test.IsSuite && !isFailure) return;
            var word = isFailure ? "FAILED " : result.ResultState.Status == TestStatus.Passed ? "passed " : "skipped";
            if (isFailure) Failed++;
            else if (word == "skipped") Skipped++;
            else Passed++;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{word} {result.Duration,6:0.00} s  {result.FullName}"));
            if (word != "passed " && !string.IsNullOrWhiteSpace(result.Message)) Console.WriteLine(Indented(result.Message));
            if (isFailure && result.StackTrace is { } trace) Console.WriteLine(Indented(trace));
        }

        public void TestStarted(ITest test)
        {
        }

        public void TestOutput(TestOutput output)
        {
        }

        public void SendMessage(TestMessage message) => Debug.WriteLine(message.Message);

        private static string Indented(string text) => "    " + text.Trim().ReplaceLineEndings("\n    ");
    }
}
