// Which updates of a training belong to which phase. A method without phases is one phase.

using PeftAlign.Abstractions;

namespace PeftAlign.Training;

/// <param name="Phase">What is trained; null for a method without phases.</param>
/// <param name="Number">From 1.</param>
/// <param name="Start">Updates before it.</param>
/// <param name="End">Updates after it.</param>
internal sealed record PhaseSteps(TrainingPhase? Phase, int Number, int Start, int End)
{
    /// <summary>The phases of so many updates.</summary>
    /// <exception cref="UserErrorException">A phase has no update.</exception>
    internal static IReadOnlyList<PhaseSteps> Of(IAlignmentMethod method, int total)
    {
        if (method is not ITrainsControls { Phases: var phases }) return [new PhaseSteps(null, 1, 0, total)];
        if (phases.SkipLast(1).Any(p => p.ModelRate > 0)) throw new InvalidOperationException("only the last phase of a method may train the model's weights");
        var (steps, share) = (new List<PhaseSteps>(), 0.0);
        foreach (var (k, phase) in phases.Index())
        {
            var start = steps.Count == 0 ? 0 : steps[^1].End;
            share += phase.Share;
            var end = k == phases.Count - 1 ? total : (int)Math.Round(total * share, MidpointRounding.AwayFromZero);
            if (end <= start) throw new UserErrorException($"Of {total} updates none is left for the phase '{phase.Name}', whose share is {phase.Share}; raise max_steps or epochs, or change the shares.");
            steps.Add(new PhaseSteps(phase, k + 1, start, end));
        }
        return steps;
    }
}
