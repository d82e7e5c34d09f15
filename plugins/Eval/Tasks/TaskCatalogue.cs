// Which tasks and groups run: those that are asked for by name or tag, with all that groups hold; else all that the files hold.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Tasks;

/// <summary>A number of a group.</summary>
/// <param name="Name">The metric.</param>
/// <param name="WeightBySize">Whether tasks count by their items.</param>
/// <param name="Filters">Filters whose numbers are taken; null for all that its tasks have.</param>
internal sealed record GroupMetric(string Name, bool WeightBySize, IReadOnlyList<string>? Filters);

/// <summary>A group.</summary>
internal sealed record TaskGroup(string Name, string? Alias, string Version, IReadOnlyList<string> Members, IReadOnlyList<GroupMetric> Metrics);

internal sealed class TaskCatalogue
{
    private static readonly string[] OfGroup = ["group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag"];

    private readonly Dictionary<string, TaskConfig> tasks = [];
    private readonly Dictionary<string, TaskGroup> groups = [];
    private readonly Dictionary<string, List<string>> tags = [];

    /// <param name="all">All task and group files, and the folder that a file's data paths start from.</param>
    /// <param name="names">What to run; empty for all.</param>
    /// <param name="warn">Told of numbers of groups that no task gives.</param>
    /// <exception cref="UserErrorException">A file is at fault, or a name is unknown.</exception>
    internal TaskCatalogue(IReadOnlyList<(string File, string Data, JsonObject Content)> all, IReadOnlyList<string> names, Action<string> warn)
    {
        foreach (var (file, data, content) in all.Where(f => f.Content["group"] is null)) AddTask(file, data, content);
        foreach (var (file, _, content) in all.Where(f => f.Content["group"] is not null)) Typed(file, () => AddGroup(file, content));
        foreach (var group in groups.Values)
            if (group.Members.FirstOrDefault(m => !tasks.ContainsKey(m) && !groups.ContainsKey(m) && !tags.ContainsKey(m)) is { } missing) throw new UserErrorException($"Group {group.Name} names the task '{missing}', which is in none of the files; add its file, or take it out.");
        foreach (var name in names)
            if (!tasks.ContainsKey(name) && !groups.ContainsKey(name) && !tags.ContainsKey(name)) throw new UserErrorException($"There is no task, group or tag '{name}'; the files hold {string.Join(", ", tasks.Keys.Concat(groups.Keys).Concat(tags.Keys).Order(StringComparer.Ordinal).Take(40))}.");
        var wanted = names.Count == 0 ? [.. tasks.Keys, .. groups.Keys] : names;
        Tasks = [.. wanted.SelectMany(n => Leaves(n, [])).Distinct().Select(n => tasks[n])];
        var reported = wanted.SelectMany(n => Below(n, [])).Distinct().ToList();
        var inner = reported.SelectMany(n => groups[n].Members).ToHashSet();
        Groups = [.. reported.Where(n => !inner.Contains(n)).SelectMany(n => Below(n, [])).Distinct().Select(n => groups[n])];
        foreach (var group in Groups)
            foreach (var metric in group.Metrics) Check(group, metric, warn);
    }

    /// <summary>The tasks that run.</summary>
    internal IReadOnlyList<TaskConfig> Tasks { get; }

    /// <summary>The groups that are reported, each that is in no other followed by those within it.</summary>
    internal IReadOnlyList<TaskGroup> Groups { get; }

    /// <summary>The tasks below a group, however deep, each once.</summary>
    internal IEnumerable<string> Leaves(TaskGroup group) => Leaves(group.Name, []).Distinct();

    /// <summary>A group's members; the tasks of a tag in its place, which has no numbers of its own.</summary>
    internal IReadOnlyList<string> MembersOf(TaskGroup group) =>
        [.. group.Members.SelectMany(m => !tasks.ContainsKey(m) && tags.TryGetValue(m, out var tagged) ? tagged : [m]).Distinct()];

    // A number that no task gives would be missed only after all of them ran; as in the harness, whose own groups ask for such, the rest is reported.
    private void Check(TaskGroup group, GroupMetric metric, Action<string> warn)
    {
        var given = Leaves(group).Select(n => tasks[n]).SelectMany(t => t.Metrics.SelectMany(m => t.Filters.Select(f => (Metric: m.Name, Filter: f.Name)))).Distinct().ToList();
        if (given.Exists(g => g.Metric == metric.Name && metric.Filters?.Contains(g.Filter) != false)) return;
        var filters = metric.Filters is null ? "" : $" of the filter '{string.Join("' or '", metric.Filters)}'";
        warn($"Group {group.Name} asks for the metric '{metric.Name}'{filters}, which none of its tasks gives; they give {string.Join(", ", given.Select(g => $"{g.Metric} ({g.Filter})"))}; it is reported without that number, unless aggregate_metric_list is changed");
    }

    private IEnumerable<string> Leaves(string name, HashSet<string> above) =>
        tasks.ContainsKey(name) ? [name]
        : tags.TryGetValue(name, out var tagged) ? tagged
        : above.Contains(name) ? throw new UserErrorException($"Group {name} holds itself; take it out of its members.")
        : groups[name].Members.SelectMany(m => Leaves(m, [.. above, name]));

    private IEnumerable<string> Below(string name, HashSet<string> above) =>
        groups.TryGetValue(name, out var group) && !above.Contains(name) ? [name, .. group.Members.SelectMany(m => Below(m, [.. above, name]))] : [];

    private void AddTask(string file, string data, JsonObject content)
    {
        if (content["task"] is not JsonValue name || !name.TryGetValue<string>(out _)) throw new UserErrorException($"{file}: 'task' must be the task's name; a list of tasks needs 'group'.");
        var task = Typed(file, () => new TaskConfig(file, content) { Data = data });
        if (!tasks.TryAdd(task.Name, task)) throw new UserErrorException($"{file}: there is already a task '{task.Name}'; rename one of them.");
        foreach (var tag in task.Tags)
        {
            if (!tags.TryGetValue(tag, out var members)) tags.Add(tag, members = []);
            members.Add(task.Name);
        }
    }

    // A field of another type than it must have: JSON's own words say which.
    private static T Typed<T>(string file, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            throw new UserErrorException($"{file}: a field has a value of the wrong type ({e.Message}); compare it with lm-evaluation-harness's documentation of tasks.", e);
        }
    }

    private string AddGroup(string file, JsonObject content)
    {
        var name = new TypedFields(file).Text(content["group"], "group")!;
        var group = new TypedFields($"{file}: group {name}");
        if (content.Select(e => e.Key).FirstOrDefault(k => !OfGroup.Contains(k)) is { } foreign) throw group.Fault($"'{foreign}' is not supported", $"the fields of a group are {string.Join(", ", OfGroup)}");
        var members = content["task"] switch
        {
            JsonArray list => list.Select(m => Member(file, m, group)).ToList(),
            JsonValue one => [group.Text(one, "task")!],
            _ => throw group.Fault("has no tasks", "list them under 'task'"),
        };
        var metrics = content["aggregate_metric_list"] switch
        {
            JsonArray list => list.Select(m => Metric(m, group)).ToList(),
            JsonObject one => [Metric(one, group)],
            null => [],
            var other => throw group.Fault($"'aggregate_metric_list: {other.ToJsonString()}' is neither a list nor a mapping", "write - metric: NAME"),
        };
        if (tasks.ContainsKey(name) || !groups.TryAdd(name, new TaskGroup(name, group.Text(content["group_alias"], "group_alias"), Version(content["metadata"] as JsonObject), members, metrics)))
            throw group.Fault("the name is taken", "rename one of them");
        return name;
    }

    private static string Version(JsonObject? metadata) => metadata?["version"]?.ToString() ?? "N/A";

    // A name, a group within the group, or a task with some fields of its own.
    private string Member(string file, JsonNode? node, TypedFields group)
    {
        if (node is JsonValue name) return group.Text(name, "task")!;
        if (node is not JsonObject map) throw group.Fault("a member is neither a name nor a mapping", "write a task's name");
        if (map["group"] is not null) return AddGroup(file, map);
        if (map["task"] is not JsonValue task) throw group.Fault("a member has no field 'task'", "name the task");
        if (map.Count == 1) return group.Text(task, "task.task")!;
        throw group.Fault($"the member '{task}' changes fields of a task", "give the changed task a file of its own, with include");
    }

    private static GroupMetric Metric(JsonNode? node, TypedFields group)
    {
        if (node is not JsonObject map || map["metric"] is not JsonValue name) throw group.Fault("an entry of aggregate_metric_list has no field 'metric'", "name the metric");
        if (map["aggregation"] is { } aggregation && aggregation.ToString() != "mean") throw group.Fault($"aggregation '{aggregation}' is not supported", "groups take means");
        if (map.Select(e => e.Key).FirstOrDefault(k => k is not ("metric" or "aggregation" or "weight_by_size" or "filter_list")) is { } foreign) throw group.Fault($"aggregate_metric_list has '{foreign}', which is not supported", "leave it out");
        IReadOnlyList<string>? filters = map["filter_list"] switch
        {
            JsonArray or JsonValue => [.. group.Texts(map["filter_list"], "aggregate_metric_list.filter_list").Distinct()],
            null => null,
            var other => throw group.Fault($"'filter_list: {other.ToJsonString()}' is neither a name nor a list", "name filters of its tasks, or leave it out for all"),
        };
        return new GroupMetric(group.Text(name, "aggregate_metric_list.metric")!, group.Value<bool>(map["weight_by_size"], "aggregate_metric_list.weight_by_size", TypedFields.Truth) ?? true, filters);
    }
}
