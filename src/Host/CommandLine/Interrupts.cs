// SIGINT, SIGTERM and SIGHUP (the terminal is closed): the first asks the command to stop at its next safe point, the second ends the
// process at once. Either way the exit code is 130. Under nohup a hang-up stays ignored.

using System.Runtime.InteropServices;

namespace PeftAlign.Host.CommandLine;

internal sealed class Interrupts : IDisposable
{
    private readonly CancellationTokenSource source = new();
    private readonly PosixSignalRegistration[] registrations;

    public Interrupts()
    {
        PosixSignal[] signals = IgnoresHangUp() ? [PosixSignal.SIGINT, PosixSignal.SIGTERM] : [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP];
        registrations = [.. signals.Select(signal => PosixSignalRegistration.Create(signal, OnSignal))];
    }

    public CancellationToken Token => source.Token;

    public void Dispose()
    {
        foreach (var registration in registrations) registration.Dispose();
        source.Dispose();
    }

    internal void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        // No destructors and no finalisers: those of libtorch would run beside a native call that is going on, and crash.
        if (source.IsCancellationRequested) ProcessEnd.Now(ExitCode.Interrupted);
        try
        {
            source.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The command has just ended: it came while the registrations were being taken back, which waits for no handler.
        }
    }

    // SigIgn is a mask in hexadecimal; SIGHUP is signal 1, its lowest bit (proc(5)).
    private static bool IgnoresHangUp() => ProcessStatus.Text("self", "SigIgn") is { Length: > 0 } mask && (Convert.ToInt32(mask[^1..], 16) & 1) == 1;
}
