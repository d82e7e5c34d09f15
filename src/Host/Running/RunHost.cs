// A run put together by .NET's generic host: its services, the option that they share, and a life that ends with the command's. Jobs have
// processes of their own without one, since what it costs would be paid at every job's start.

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using PeftAlign.Core;
using PeftAlign.Host.Store;

namespace PeftAlign.Host.Running;

internal static class RunHost
{
    /// <summary>Does a plan's jobs that are not finished; whoever watches them is disposed of with the host.</summary>
    /// <param name="preparation">Begins a job of the run.</param>
    /// <param name="plan">The jobs.</param>
    /// <param name="atOnce">Most processes at once.</param>
    /// <param name="output">Where progress is shown.</param>
    /// <param name="cancellation">The command's.</param>
    /// <exception cref="OperationCanceledException">Cancelled; what was finished stays.</exception>
    internal static async Task<RunSummary> RunAsync(JobPreparation preparation, Plan plan, int atOnce, Output output, CancellationToken cancellation)
    {
        using var host = Build(preparation, atOnce, output, cancellation);
        await host.StartAsync(cancellation);
        var summary = await host.Services.GetRequiredService<Executor>().RunAsync(plan, host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
        await host.StopAsync(CancellationToken.None);
        return summary;
    }

    private static IHost Build(JobPreparation preparation, int atOnce, Output output, CancellationToken cancellation)
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.Configure<RunOptions>(options => options.JobsAtOnce = atOnce)
            .AddSingleton<IHostLifetime>(services => new CommandLifetime(services.GetRequiredService<IHostApplicationLifetime>(), cancellation))
            .AddSingleton<IRunWatcher>(services => new RunDisplay(output, JobsAtOnce(services)))
            .AddSingleton<IRunWatcher, IndexWatcher>()
            .AddSingleton(services => new Executor(preparation.Run, preparation.Begin, JobsAtOnce(services), [.. services.GetServices<IRunWatcher>()]));
        return builder.Build();
    }

    private static int JobsAtOnce(IServiceProvider services) => services.GetRequiredService<IOptions<RunOptions>>().Value.JobsAtOnce;

    private sealed class RunOptions
    {
        public int JobsAtOnce { get; set; } = 1;
    }

    // Signals are the command line's (Interrupts), which says what a second one does; the host's own lifetime would take them too.
    private sealed class CommandLifetime(IHostApplicationLifetime application, CancellationToken command) : IHostLifetime, IDisposable
    {
        private CancellationTokenRegistration registration;

        public Task WaitForStartAsync(CancellationToken cancellationToken)
        {
            registration = command.Register(application.StopApplication);
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public void Dispose() => registration.Dispose();
    }
}
