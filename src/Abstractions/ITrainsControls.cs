// Optional for a method: named controls, and phases of a training in which different parts are trained.

namespace PeftAlign.Abstractions;

/// <summary>
/// Optional for a method: it trains one copy of the adapter for each named control, and its groups say under which control they are
/// computed (<see cref="CompletionGroup.Control"/>). The phases follow one another; each begins where the previous one ended, with a
/// learning-rate schedule and optimiser moments of its own. Of the method itself only Prepare is called, to find the rows that have a
/// token to train.
/// </summary>
public interface ITrainsControls
{
    /// <summary>Names of the controls, each once: letters, digits, '.', '_' and '-'.</summary>
    IReadOnlyList<string> Controls { get; }

    /// <summary>The phases, in order; their shares add up to 1. Only the last may train the model's weights.</summary>
    IReadOnlyList<TrainingPhase> Phases { get; }
}

/// <summary>One phase of a training.</summary>
/// <param name="Name">Its name in messages.</param>
/// <param name="Method">The method whose loss is minimised. Where it needs a reference, that is the policy at the start of this phase.</param>
/// <param name="Share">Its share of all updates, above 0.</param>
public sealed record TrainingPhase(string Name, IAlignmentMethod Method, double Share)
{
    /// <summary>Factor of learning_rate for the controls; 0 = they are not trained.</summary>
    public double ControlRate { get; init; } = 1;

    /// <summary>Learning rate of the model's own weights; 0 = they are not trained.</summary>
    public double ModelRate { get; init; }
}
