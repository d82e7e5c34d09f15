// What the jobs of a plan that are still to be run read, read before any of them starts: a broken line would end its job after others.

using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running.Estimates;

internal static class PlannedData
{
    /// <summary>Reads data sets and benchmarks once each, and makes tokens of the first rows. Code of third parties runs in jobs alone, which a crash ends and not the run: what needs it is left to them.</summary>
    /// <returns>What is odd about data that can be read.</returns>
    /// <exception cref="UserErrorException">A line for each job that would fail on data that lie there, or on the modules that its adapter names.</exception>
    internal static IReadOnlyList<string> ThrowIfUnreadable(Planned planned)
    {
        var shapes = new Shapes(planned, onGpu: false);
        ThrowIfUnreadable(planned, shapes, job => job.Plugins.All(id => !planned.Plugins.TryGetValue(id, out var plugin) || plugin.Origin == PluginOrigin.Product));
        return shapes.Warnings;
    }

    /// <summary>The same for jobs of the caller's choice, with shapes that may be known already.</summary>
    internal static void ThrowIfUnreadable(Planned planned, Shapes shapes, Func<PlanJob, bool> isRead)
    {
        var targets = new PlannedTargets(shapes);
        PlanFaults.ThrowIfAny(planned.Plan, job =>
        {
            if (planned.Run.IsSettled(job) || !isRead(job)) return null;
            var spec = Shapes.Options(job);
            return targets.Fault(job, spec) ?? shapes.Unreadable(spec);
        });
    }
}
