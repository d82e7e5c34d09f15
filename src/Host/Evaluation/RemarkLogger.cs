// What plugins log, on stderr: warnings as remarks, the rest as details.

using Microsoft.Extensions.Logging;

namespace PeftAlign.Host.Evaluation;

internal sealed class RemarkLogger(Output output) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel >= LogLevel.Warning) output.Warn(formatter(state, exception));
        else output.Detail(formatter(state, exception));
    }
}
