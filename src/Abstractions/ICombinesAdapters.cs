// An adapter whose folders can be combined into one: `peftalign adapter combine`. A second, optional interface of an IPeftAdapter.

namespace PeftAlign.Abstractions;

/// <summary>Combines folders of its own peft_type.</summary>
public interface ICombinesAdapters
{
    /// <summary>Names of the ways to combine.</summary>
    IReadOnlyList<string> CombinationTypes { get; }

    /// <summary>One adapter from several of one base.</summary>
    /// <param name="inputs">At least two, each with its weight.</param>
    /// <param name="combination">How.</param>
    /// <exception cref="UserErrorException">The inputs do not fit each other or the way of combining.</exception>
    AdapterFiles Combine(IReadOnlyList<(AdapterFiles Files, double Weight)> inputs, AdapterCombination combination);
}

/// <summary>How to combine adapters; names and meanings are those of PEFT's add_weighted_adapter.</summary>
/// <param name="Type">One of <see cref="ICombinesAdapters.CombinationTypes"/>.</param>
public sealed record AdapterCombination(string Type)
{
    /// <summary>Share of the entries that pruning keeps; null where the type does not prune.</summary>
    public double? Density { get; init; }

    /// <summary>Whether the sign of an entry is elected by counting inputs instead of by their sum.</summary>
    public bool SignByFrequency { get; init; }

    /// <summary>Rank of the result of a type that truncates; null = the largest that an input's configuration names.</summary>
    public int? Rank { get; init; }

    /// <summary>Quantile of a truncated result's entries beyond which they are cut to it; null = none are.</summary>
    public double? Clamp { get; init; }

    /// <summary>Ends the work between two modules.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>Seeds random pruning.</summary>
    public ulong Seed { get; init; }
}
