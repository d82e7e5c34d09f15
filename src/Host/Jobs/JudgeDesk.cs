// The judges of a job: made when a benchmark asks for them, once for each definition, and counted as they answer.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Jobs;

internal sealed class JudgeDesk(JobContext job) : IJudges
{
    private readonly Dictionary<string, IJudge> open = [];
    private readonly JudgeLedger ledger = new(job.Folder.File("judging.json"));

    /// <inheritdoc/>
    public IJudge Open(JudgeReference judge)
    {
        var key = judge.Definition.ToJsonString();
        if (!open.TryGetValue(key, out var made)) open.Add(key, made = ledger.Counted(key, Name(judge.Definition), Make(judge.Definition)));
        return made;
    }

    // The folder of a model that the run made is called like all others: its job's label says more. Null for other judges.
    private string? Name(JsonObject definition) =>
        (string?)definition["model"]?["weights"]?["job"] is { } id ? JobSpec.Read(job.Folder.Sibling(id)).Label : null;

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
