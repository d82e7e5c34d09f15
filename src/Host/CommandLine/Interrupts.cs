// SIGINT and SIGTERM: the first asks the command to stop at its next safe point, the second ends the process at once.
// Either way the exit code is 130.

using System.Runtime.InteropServices;

namespace PeftAlign.Host.CommandLine;

internal sealed class Interrupts : IDisposable
{
    private readonly CancellationTokenSource source = new();
    private readonly PosixSignalRegistration[] registrations;

    public Interrupts() =>
        registrations = [PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal), PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal)];

    public CancellationToken Token => source.Token;

    public void Dispose()
    {
        foreach (var registration in registrations) registration.Dispose();
        source.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        if (source.IsCancellationRequested) Environment.Exit(ExitCode.Interrupted);
        source.Cancel();
    }
}
