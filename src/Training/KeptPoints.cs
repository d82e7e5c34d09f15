// Points of a training whose policies others need: "step:100", "epoch:1.5". Their policies are written as the training passes them
// and stay. For an adapter, which is small, the state to continue from is kept as well, so that a point that is asked for later costs only
// the steps since the previous one; for whole weights that would be three more models per point.

using System.Globalization;
using PeftAlign.Abstractions;

namespace PeftAlign.Training;

/// <summary>What to keep, and where to stop.</summary>
/// <param name="Names">The points; "step:N" is after N updates, "epoch:E" after as many as E epochs have.</param>
/// <param name="Until">The last point that is needed; empty for the end. Schedules are those of the whole training.</param>
/// <param name="IsThere">Whether a point's policy is written already.</param>
/// <param name="Write">Writes the policy as it is now; gets the point and what is trained.</param>
public sealed record KeptPoints(IReadOnlyList<string> Names, string Until, Func<string, bool> IsThere, Action<string, TrainedParts> Write)
{
    /// <summary>No points: only the end counts.</summary>
    public static KeptPoints None { get; } = new([], "", _ => true, (_, _) => { });
}

/// <summary>What a training changes, with its present numbers.</summary>
/// <param name="Adapter">The adapter's sites; null where there is none.</param>
/// <param name="Controls">Each control's sites; null where there are none.</param>
/// <param name="Model">Whether the model's own weights are changed by now; the model holds them.</param>
public sealed record TrainedParts(IReadOnlyList<AdapterSite>? Adapter, IReadOnlyDictionary<string, IReadOnlyList<AdapterSite>>? Controls, bool Model);

/// <summary>The points of a run whose number of updates is known.</summary>
/// <param name="points">What is asked for.</param>
/// <param name="order">Epochs in updates.</param>
/// <param name="small">Whether the state of each point is kept.</param>
internal sealed class PointSteps(KeptPoints points, BatchOrder order, bool small)
{
    private readonly List<(string Name, int Step)> all = [.. points.Names.Select(name => (name, StepOf(name, order)))];

    /// <summary>Updates after which the run ends.</summary>
    internal int End { get; } = points.Until.Length == 0 ? order.TotalSteps : StepOf(points.Until, order);

    /// <summary>Steps whose checkpoints last: those of the points before the end.</summary>
    internal IReadOnlySet<int> Resumable => resumable ??= small ? all.Select(point => point.Step).Where(step => step > 0 && step < order.TotalSteps).ToHashSet() : [];

    private HashSet<int>? resumable;

    /// <summary>Whether the run ends here although its training may go on later: then the state is kept whatever save_every says.</summary>
    internal bool StopsAt(int step) => points.Until.Length > 0 && step == End;

    /// <summary>A run must not go on from behind this: the first point that is still to be written, or where it ends early.</summary>
    internal int LatestStart => all.Where(point => !points.IsThere(point.Name)).Select(point => point.Step).Append(points.Until.Length > 0 ? End : int.MaxValue).Min();

    /// <summary>Writes the points that lie here.</summary>
    /// <param name="step">Updates done.</param>
    /// <param name="policy">The policy after them.</param>
    internal void Write(int step, TrainedPolicy policy)
    {
        foreach (var (name, _) in all.Where(point => point.Step == step && !points.IsThere(point.Name))) policy.Show(parts => points.Write(name, parts));
    }

    private static int StepOf(string point, BatchOrder order)
    {
        var (unit, number) = point.Split(':') is [var u, var n] ? (u, n) : throw new ArgumentException($"'{point}' is no point of a training");
        var step = unit == "step" ? int.Parse(number, CultureInfo.InvariantCulture) : order.StepsOf(double.Parse(number, CultureInfo.InvariantCulture));
        if (step <= order.TotalSteps) return step;
        throw new UserErrorException($"The point {point} of this training lies after {step} updates, but it has {order.TotalSteps} in all (data, batch sizes, max_steps and epochs decide). Name an earlier point, or train longer.");
    }
}
