// The judges of a job: made when a benchmark asks for them, once for each definition.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Jobs;

internal sealed class JudgeDesk(JobContext job) : IJudges
{
    private readonly Dictionary<string, IJudge> open = [];

    /// <summary>Judges that were opened, for their costs.</summary>
    internal IEnumerable<IJudge> Opened => open.Values;

    /// <inheritdoc/>
    public IJudge Open(JudgeReference judge)
    {
        var key = judge.Definition.ToJsonString();
        if (!open.TryGetValue(key, out var made)) open.Add(key, made = Make(judge.Definition));
        return made;
    }

    // A judge that the run made lies where its job wrote it; its folder stands for the option path.
    private IJudge Make(JsonObject definition)
    {
        if (definition["model"] is not { } model) return job.Create<IJudge>(definition);
        var place = Policies.Place(job, model);
        if (place.Adapters.Count > 0)
            throw new UserErrorException($"The judge is an adapter over {place.Base}; train it without an adapter, or merge it, to judge with it.");
        var contract = definition.DeepClone().AsObject();
        if (contract["options"] is null) contract["options"] = new JsonObject();
        contract["options"]!["path"] = place.Base;
        return job.Create<IJudge>(contract);
    }
}
