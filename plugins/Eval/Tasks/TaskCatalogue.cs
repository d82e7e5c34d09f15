// Which tasks and groups run: those that are asked for by name or tag, with all that groups hold; else all that the files hold.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Tasks;

internal sealed class TaskCatalogue
{
    /// <param name="all">All task and group files, and the folder that a file's data paths start from.</param>
    /// <param name="names">What to run; empty for all.</param>
    /// <param name="warn">Told of numbers of groups that no task gives.</param>
    /// <exception cref="UserErrorException">A file is at fault, or a name is unknown.</exception>
    internal TaskCatalogue(IReadOnlyList<(string File, string Data, JsonObject Content)> all, IReadOnlyList<string> names, Action<string> warn)
    {
        var index = new TaskIndex(all);
        var (tasks, groups) = (index.Tasks, index.Groups);
        foreach (var name in names)
            if (!index.Has(name)) throw Unknown(name, index);
        var reported = (names.Count == 0 ? groups.Values : names.Where(groups.ContainsKey).Select(n => groups[n])).SelectMany(Below).DistinctBy(g => g.Name).ToList();
        var inner = reported.SelectMany(g => g.Members).Select(m => m.Name).ToHashSet();
        Groups = [.. reported.Where(g => !inner.Contains(g.Name)).SelectMany(Below).DistinctBy(g => g.Name)];
        var held = Groups.Where(g => !inner.Contains(g.Name)).SelectMany(Leaves).ToList();
        // A group may change a task's fields; where all runs, the task is then what its group makes of it.
        var wanted = names.Count == 0 ? [.. tasks.Values.Where(t => !held.Exists(h => h.Name == t.Name)), .. held] : names.SelectMany(n => groups.TryGetValue(n, out var group) ? Leaves(group) : index.Tagged(n)).ToList();
        foreach (var same in wanted.GroupBy(t => t.Name))
            if (same.Any(t => !JsonNode.DeepEquals(t.Content, same.First().Content))) throw new UserErrorException($"The task '{same.Key}' is asked for twice with different fields, since a group changes it; ask for that group and the task in evaluations of their own.");
        var order = names.Count == 0 ? tasks.Keys.ToList() : [];
        Tasks = [.. wanted.DistinctBy(t => t.Name).OrderBy(t => order.IndexOf(t.Name) is >= 0 and var at ? at : order.Count)];
        foreach (var group in Groups)
            foreach (var metric in group.Metrics) Check(group, metric, warn);
    }

    /// <summary>The tasks that run.</summary>
    internal IReadOnlyList<TaskConfig> Tasks { get; }

    /// <summary>The groups that are reported, each that is in no other followed by those within it.</summary>
    internal IReadOnlyList<TaskGroup> Groups { get; }

    /// <summary>The tasks below a group, however deep; one that stands in two groups below it twice, as in the harness.</summary>
    internal static IEnumerable<TaskConfig> Leaves(TaskGroup group) => group.Members.SelectMany(m => m.Group is { } inner ? Leaves(inner) : [m.Task!]);

    private static IEnumerable<TaskGroup> Below(TaskGroup group) => group.Members.SelectMany(m => m.Group is { } inner ? Below(inner) : []).Prepend(group);

    // What stands in a group's file alone is run with that group, as in the harness.
    private static UserErrorException Unknown(string name, TaskIndex index)
    {
        var around = index.Groups.Values.FirstOrDefault(g => Below(g).SelectMany(b => b.Members).Any(m => m.Name == name || m.Name.EndsWith($"::{name}", StringComparison.Ordinal)));
        return new UserErrorException(around is null
            ? $"There is no task, group or tag '{name}'; the files hold {string.Join(", ", index.Names.Order(StringComparer.Ordinal).Take(40))}."
            : $"'{name}' stands in the file of group {around.Name} alone and is evaluated with it; ask for {around.Name}, or give it a file of its own.");
    }

    // A number that no task gives would be missed only after all of them ran; as in the harness, whose own groups ask for such, the rest is reported.
    private static void Check(TaskGroup group, GroupMetric metric, Action<string> warn)
    {
        var given = Leaves(group).SelectMany(t => t.Metrics.SelectMany(m => t.Filters.Select(f => (Metric: m.Name, Filter: f.Name)))).Distinct().ToList();
        if (given.Exists(g => g.Metric == metric.Name && metric.Filters?.Contains(g.Filter) != false)) return;
        var filters = metric.Filters is null ? "" : $" of the filter '{string.Join("' or '", metric.Filters)}'";
        warn($"Group {group.Name} asks for the metric '{metric.Name}'{filters}, which none of its tasks gives; they give {string.Join(", ", given.Select(g => $"{g.Metric} ({g.Filter})"))}; it is reported without that number, unless aggregate_metric_list is changed");
    }
}
