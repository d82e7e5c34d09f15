// Every task, group and tag of the files. A group's members are names of tasks, groups and tags, such names with fields that replace
// the tasks' own, and groups and tasks that stand in the group's file alone, which are called GROUP::NAME as in lm-evaluation-harness.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Tasks;

internal sealed class TaskIndex
{
    private static readonly string[] OfGroup = ["group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag"];

    private readonly Dictionary<string, (string File, string Data, JsonObject Content)> groupFiles = [];
    private readonly Dictionary<string, TaskConfig> tasks = [];
    private readonly Dictionary<string, TaskGroup> groups = [];
    private readonly Dictionary<string, List<string>> tags = [];

    /// <param name="all">All task and group files, and the folder that a file's data paths start from.</param>
    /// <exception cref="UserErrorException">A file is at fault.</exception>
    internal TaskIndex(IReadOnlyList<(string File, string Data, JsonObject Content)> all)
    {
        foreach (var (file, data, content) in all.Where(f => f.Content["group"] is null)) AddTask(file, data, content);
        foreach (var (file, data, content) in all.Where(f => f.Content["group"] is not null))
        {
            var name = new TypedFields(file).Text(content["group"], "group")!;
            if (tasks.ContainsKey(name) || !groupFiles.TryAdd(name, (file, data, content))) throw new TypedFields($"{file}: group {name}").Fault("the name is taken", "rename one of them");
        }
        foreach (var name in groupFiles.Keys) OfFile(name, []);
    }

    /// <summary>The tasks of the files, by name, in the files' order.</summary>
    internal IReadOnlyDictionary<string, TaskConfig> Tasks => tasks;

    /// <summary>The groups of the files, by name.</summary>
    internal IReadOnlyDictionary<string, TaskGroup> Groups => groups;

    /// <summary>All names: tasks, groups, tags.</summary>
    internal IEnumerable<string> Names => tasks.Keys.Concat(groups.Keys).Concat(tags.Keys);

    internal bool Has(string name) => tasks.ContainsKey(name) || groupFiles.ContainsKey(name) || tags.ContainsKey(name);

    /// <summary>The task of a name, or those of a tag.</summary>
    internal IEnumerable<TaskConfig> Tagged(string name) => tasks.TryGetValue(name, out var task) ? [task] : tags[name].Order(StringComparer.Ordinal).Select(n => tasks[n]);

    private void AddTask(string file, string data, JsonObject content)
    {
        if (content["task"] is not JsonValue name || !name.TryGetValue<string>(out _)) throw new UserErrorException($"{file}: 'task' must be the task's name; a list of tasks needs 'group'.");
        var task = Task(file, data, content);
        if (!tasks.TryAdd(task.Name, task)) throw new UserErrorException($"{file}: there is already a task '{task.Name}'; rename one of them.");
        foreach (var tag in task.Tags)
        {
            if (!tags.TryGetValue(tag, out var members)) tags.Add(tag, members = []);
            members.Add(task.Name);
        }
    }

    private static TaskConfig Task(string file, string data, JsonObject content) => Typed(file, () => new TaskConfig(file, content) { Data = data });

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

    // A group as its file has it.
    private TaskGroup OfFile(string name, HashSet<string> above)
    {
        if (groups.TryGetValue(name, out var known)) return known;
        var (file, data, content) = groupFiles[name];
        return groups[name] = Group(name, file, data, content, [], above);
    }

    // fields: what a group around this one gives its tasks; it counts before what this one gives them.
    private TaskGroup Group(string name, string file, string data, JsonObject content, JsonObject fields, HashSet<string> above) => Typed(file, () =>
    {
        var group = new TypedFields($"{file}: group {name}");
        if (above.Contains(name)) throw new UserErrorException($"Group {name} holds itself; take it out of its members.");
        if (content.Select(e => e.Key).FirstOrDefault(k => !OfGroup.Contains(k) && !TaskConfig.Known.Contains(k)) is { } foreign)
            throw group.Fault($"'{foreign}' is not supported", $"the fields of a group are {string.Join(", ", OfGroup)}, and those that it gives its tasks");
        var own = With(new JsonObject(content.Where(e => !OfGroup.Contains(e.Key)).Select(Copy)), fields);
        var members = content["task"] switch
        {
            JsonArray list => list.SelectMany(m => Members(m, name, group, (file, data), own, [.. above, name])),
            JsonValue one => Named(group.Text(one, "task")!, name, own, [.. above, name]),
            _ => throw group.Fault("has no tasks", "list them under 'task'"),
        };
        var metrics = content["aggregate_metric_list"] switch
        {
            JsonArray list => list.Select(m => Metric(m, group)).ToList(),
            JsonObject one => [Metric(one, group)],
            null => [],
            var other => throw group.Fault($"'aggregate_metric_list: {other.ToJsonString()}' is neither a list nor a mapping", "write - metric: NAME"),
        };
        return new TaskGroup(name, group.Text(content["group_alias"], "group_alias"), (content["metadata"] as JsonObject)?["version"]?.ToString() ?? "N/A", OncePerName(members), metrics);
    });

    // Of members with one name the last takes the first one's place.
    private static List<GroupMember> OncePerName(IEnumerable<GroupMember> members)
    {
        var once = new List<GroupMember>();
        foreach (var member in members)
            if (once.FindIndex(m => m.Name == member.Name) is >= 0 and var at) once[at] = member;
            else once.Add(member);
        return once;
    }

    private IEnumerable<GroupMember> Members(JsonNode? node, string name, TypedFields group, (string File, string Data) place, JsonObject fields, HashSet<string> above)
    {
        if (node is JsonValue known) return Named(group.Text(known, "task")!, name, fields, above);
        if (node is not JsonObject map) throw group.Fault("a member is neither a name nor a mapping", "write a task's name");
        if (map["group"] is { } inner)
        {
            var called = group.Text(inner, "group.group")!;
            return Has(called) ? Named(called, name, With(fields, map, "group"), above) : [new(null, Group($"{name}::{called}", place.File, place.Data, map, fields, above))];
        }
        if (map["task"] is not { } task) throw group.Fault("a member has no field 'task'", "name the task");
        var (asked, all) = (group.Text(task, "task.task")!, With(fields, map, "task"));
        if (Has(asked) || !all.ContainsKey("dataset_path")) return Named(asked, name, all, above);
        all["task"] = $"{name}::{asked}";
        return [new(Task(place.File, place.Data, all), null)];
    }

    // The task or group of a name, or the tasks of a tag, with fields in place of their own.
    private IEnumerable<GroupMember> Named(string name, string group, JsonObject fields, HashSet<string> above)
    {
        if (groupFiles.TryGetValue(name, out var file)) return [new(null, fields.Count == 0 ? OfFile(name, above) : Group(name, file.File, file.Data, file.Content, fields, above))];
        if (!Has(name)) throw new UserErrorException($"Group {group} names the task '{name}', which is in none of the files; add its file, or take it out.");
        return Tagged(name).Select(task => new GroupMember(fields.Count == 0 ? task : Task(task.File, task.Data, With(task.Content, fields)), null));
    }

    // A mapping with the entries of a second one, but for one of them, in place of its own.
    private static JsonObject With(JsonObject first, JsonObject second, string except = "")
    {
        var both = first.DeepClone().AsObject();
        foreach (var (key, value) in second.Where(e => e.Key != except).Select(Copy)) both[key] = value;
        return both;
    }

    private static KeyValuePair<string, JsonNode?> Copy(KeyValuePair<string, JsonNode?> field) => new(field.Key, field.Value?.DeepClone());

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
