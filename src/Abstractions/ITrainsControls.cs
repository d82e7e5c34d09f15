// Optional for a method: named controls, and phases of a training in which different parts learn.

namespace PeftAlign.Abstractions;

/// <summary>
/// Optional for a method: it trains the adapter several times over, once for each named control, and its groups say under which
/// control they are computed (<see cref="CompletionGroup.Control"/>). The phases follow each other; each begins where the one
/// before ended, with a learning-rate schedule and optimiser moments of its own. Of the method itself Prepare alone is asked, for
/// which rows have a token to train.
/// </summary>
public interface ITrainsControls
{
    /// <summary>Names of the controls, each once: letters, digits, '.', '_' and '-'.</summary>
    IReadOnlyList<string> Controls { get; }

    /// <summary>In order; their shares add up to 1. Only the last may train the model's weights.</summary>
    IReadOnlyList<TrainingPhase> Phases { get; }
}

/// <summary>One phase of a training.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Method">What is minimised. Where it needs a reference, that is the policy at this phase's beginning.</param>
/// <param name="Share">Of all updates, above 0.</param>
public sealed record TrainingPhase(string Name, IAlignmentMethod Method, double Share)
{
    /// <summary>Factor of learning_rate for the controls; 0 = they stay as they are.</summary>
    public double ControlRate { get; init; } = 1;

    /// <summary>The learning rate of the model's own weights; 0 = they stay as they are.</summary>
    public double ModelRate { get; init; }
}
