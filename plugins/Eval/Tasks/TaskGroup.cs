// A group of tasks: its members, and the numbers that are taken over them.

namespace PeftAlign.Eval.Tasks;

/// <summary>A number of a group.</summary>
/// <param name="Name">The metric.</param>
/// <param name="WeightBySize">Whether tasks count by their items.</param>
/// <param name="Filters">Filters whose numbers are taken; null for all that its tasks have.</param>
internal sealed record GroupMetric(string Name, bool WeightBySize, IReadOnlyList<string>? Filters);

/// <summary>A task of a group, or a group within it; one of the two is null.</summary>
internal sealed record GroupMember(TaskConfig? Task, TaskGroup? Group)
{
    internal string Name => Task?.Name ?? Group!.Name;
}

/// <summary>A group.</summary>
internal sealed record TaskGroup(string Name, string? Alias, string Version, IReadOnlyList<GroupMember> Members, IReadOnlyList<GroupMetric> Metrics);
