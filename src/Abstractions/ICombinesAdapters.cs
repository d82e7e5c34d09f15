// An adapter whose folders can be combined into one: `peftalign adapter combine`. A second, optional interface of an IPeftAdapter.

namespace PeftAlign.Abstractions;

/// <summary>Combines folders of its own peft_type.</summary>
public interface ICombinesAdapters
{
    /// <summary>The supported values of <see cref="AdapterCombination.Type"/>.</summary>
    IReadOnlyList<string> CombinationTypes { get; }

    /// <summary>Combines several adapters of one base into one.</summary>
    /// <param name="inputs">At least two, each with its weight.</param>
    /// <param name="combination">How to combine them.</param>
    /// <exception cref="UserErrorException">The inputs do not fit each other or the way of combining.</exception>
    AdapterFiles Combine(IReadOnlyList<(AdapterFiles Files, double Weight)> inputs, AdapterCombination combination);
}

/// <summary>How to combine adapters; names and meanings are those of PEFT's add_weighted_adapter.</summary>
/// <param name="Type">One of <see cref="ICombinesAdapters.CombinationTypes"/>.</param>
public sealed record AdapterCombination(string Type)
{
    /// <summary>Share of the entries that pruning keeps; null where the type does not prune.</summary>
    public double? Density { get; init; }

    /// <summary>Whether an entry's sign is elected by the number of inputs that have it rather than by their sum.</summary>
    public bool SignByFrequency { get; init; }

    /// <summary>Rank of the result, for types that truncate; null = the largest rank in the inputs' configurations.</summary>
    public int? Rank { get; init; }

    /// <summary>Quantile to which entries of a truncated result are clamped; null = no clamping.</summary>
    public double? Clamp { get; init; }

    /// <summary>Cancels the work between two modules.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>Seed of random pruning.</summary>
    public ulong Seed { get; init; }
}
