// A line of a job's log.txt: what it is, who says it, and all of what was said.

using Microsoft.Extensions.Logging;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Tests;

public sealed class JobLoggerTests
{
    private static string Written(Action<ILogger> log)
    {
        var (before, text) = (Console.Error, new StringWriter());
        Console.SetError(text);
        try
        {
            log(new JobLogger("train"));
        }
        finally
        {
            Console.SetError(before);
        }
        return text.ToString();
    }

    [TestCase(LogLevel.Trace, "")]
    [TestCase(LogLevel.Debug, "")]
    [TestCase(LogLevel.Information, "info: train[7] 3 rows\n")]
    [TestCase(LogLevel.Warning, "warn: train[7] 3 rows\n")]
    [TestCase(LogLevel.Error, "fail: train[7] 3 rows\n")]
    [TestCase(LogLevel.Critical, "crit: train[7] 3 rows\n")]
    [TestCase(LogLevel.None, "")]
    public void A_line_has_its_level_and_kind(LogLevel level, string expected) =>
        Assert.That(Written(log => log.Log(level, 7, "{Count} rows", 3)), Is.EqualTo(expected));

    [Test]
    public void An_exception_stands_on_the_same_line()
    {
        var line = Written(log => log.LogWarning(new FormatException("two\nlines"), "bad"));
        Assert.That(line, Is.EqualTo("warn: train[0] bad System.FormatException: two lines\n"));
    }
}
