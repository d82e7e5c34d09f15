// The judges of a job: made when a benchmark asks for them, once for each definition, and counted as they answer.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Host.Jobs;

internal sealed class JudgeDesk(JobContext job) : IJudges
{
    private readonly Dictionary<string, IJudge> open = [];
    private readonly JudgeLedger ledger = new(job.Folder.File("judging.json"));

    /// <inheritdoc/>
    public IJudge Open(JudgeReference judge)
    {
        var key = judge.Definition.ToJsonString();
        if (open.TryGetValue(key, out var made)) return made;
        made = ledger.Counted(key, Name(judge.Definition), Make(judge.Definition));
        if (job.Spec.Kind == MakeDatasetJob.Kind) made = new InsistentJudge(made, job.Cancellation);
        open.Add(key, made);
        return made;
    }

    /// <summary>Tells the ledger which failures stayed in a data set: each try asks all its questions.</summary>
    internal void Settle() => ledger.Settle(open.Where(judge => judge.Value is InsistentJudge).ToDictionary(judge => judge.Key, judge => ((InsistentJudge)judge.Value).Failures));

    /// <summary>Tells the ledger which failures stayed.</summary>
    internal void Settle(IReadOnlyList<Evaluated> evaluated) => ledger.Settle(evaluated
        .SelectMany(e => e.Items).SelectMany(item => item.Requests.Zip(item.Responses))
        .Select(pair => (Asked: pair.First as EvalRequest.Judge, pair.Second.Judgement)).Where(pair => pair.Asked is not null)
        .GroupBy(pair => pair.Asked!.By.Definition.ToJsonString())
        .ToDictionary(judge => judge.Key, judge => judge.LongCount(pair => pair.Judgement?.Failure is not null)));

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
