// What a job and its plugins log: a line each on stderr, which is the job's log.txt. Written at once, so that a process that crashes has
// said what it knew; .NET's own console logger writes from a queue, and its set-up took a twentieth of a second of every job's process.

using Microsoft.Extensions.Logging;

namespace PeftAlign.Host.Jobs;

/// <summary>Lines as .NET's console logger writes them: <c>warn: train[0] what there is to say</c>.</summary>
/// <param name="category">The kind of the job.</param>
internal sealed class JobLogger(string category) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Information and < LogLevel.None;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel)) return;
        var text = formatter(state, exception) + (exception is null ? "" : $" {exception}");
        Console.Error.WriteLine($"{Word(logLevel)}: {category}[{eventId.Id}] {text.ReplaceLineEndings(" ")}");
    }

    private static string Word(LogLevel level) => level switch
    {
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "fail",
        _ => "crit",
    };
}
