// The exit codes that scripts rely on.

namespace PeftAlign.Host;

internal static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int UserError = 2;
    public const int Interrupted = 130;
}
