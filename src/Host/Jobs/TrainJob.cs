// One training job: policy, data, method and adapter from the plan; the trainer; the result in the ecosystem's formats.

using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch.Extras;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

internal static class TrainJob
{
    internal static JsonObject Run(JobContext job)
    {
        var spec = job.Spec.Options;
        var options = TrainingOptions.Of(spec["training"]!.AsObject(), (long)spec["seed"]!);
        if (spec["reference_log_probs"] is not null) throw new UserErrorException("precompute_reference is not built yet; leave it out.");
        var place = Policies.Place(job, spec["policy"]!);
        var policy = Policies.Load(job, place);
        if (options.MaxLength > policy.Model.Spec.MaxPositions)
        {
            job.Logger.LogWarning("max_length {Given} is more than the model's {Positions} positions; rows are cut there", options.MaxLength, policy.Model.Spec.MaxPositions);
            options = options with { MaxLength = (int)policy.Model.Spec.MaxPositions };
        }
        if (policy.Adapter.Count > 0) throw new UserErrorException($"{job.Spec.Label} starts from an adapter; chains over adapters are not built yet. Train the first stage without an adapter.");

        var adapter = spec["adapter"] is { } contract ? job.Create<IPeftAdapter>(contract) : null;
        if (spec["adapter"]?["quantization"] is not null) throw new UserErrorException("quantization is not built yet; use adapter lora over a full-precision base.");
        var sites = Start(job, adapter, policy.Outline, (ulong)options.Seed);
        var outcome = Trainer.Train(new TrainingRun
        {
            Model = policy.Model,
            Tokenizer = policy.Tokenizer,
            ChatTemplate = policy.ChatTemplate,
            Records = job.Records(spec["dataset"]!),
            EvalRecords = spec["training"]!["eval_data"] is { } heldOut ? job.Records(heldOut) : [],
            Method = job.Create<IAlignmentMethod>(spec["method"]!),
            Adapter = sites,
            Options = options,
            Folder = job.Folder.Path,
            Inexact = job.Spec.Inexact,
            Progress = p => job.Progress(p.Step, p.TotalSteps, $"loss {p.Loss:0.0000}"),
        }, job.Cancellation);

        if (outcome.ResumedFrom > 0) job.Logger.LogInformation("resumed from step {Step}", outcome.ResumedFrom);
        if (adapter is not null && sites is not null)
            RunFolder.Fill(job.Folder.Adapter, folder => Write(folder, adapter.Save(policy.Outline, sites)));
        else
            RunFolder.Fill(job.Folder.Model, folder => ModelFolder.Save(folder, policy.Model, place.Base));
        RunFolder.Write(job.Folder.File("run.json"), Record(job, place).ToJsonString(new() { WriteIndented = true }) + "\n");
        return new JsonObject
        {
            ["steps"] = outcome.Steps,
            ["trainable_parameters"] = outcome.TrainableParameters,
            ["final_loss"] = outcome.FinalLoss,
        };
    }

    // New deltas, or those of init_adapter, whose own settings hold.
    private static IReadOnlyList<AdapterSite>? Start(JobContext job, IPeftAdapter? adapter, ModelOutline outline, ulong seed)
    {
        if ((string?)job.Spec.Options["training"]!["init_adapter"] is not { } folder) return adapter?.Attach(outline, seed);
        if (adapter is null) throw new UserErrorException("init_adapter is given, but no adapter is trained; name the adapter's type, for instance lora.");
        return adapter.Load(outline, Policies.Files(job.Spec.FullPath(folder)));
    }

    // Everything that made the result, and what it was made on.
    private static JsonObject Record(JobContext job, PolicyPlace place) => new()
    {
        ["peftalign"] = CommandLine.TopHelp.Version,
        ["id"] = job.Spec.Id,
        ["label"] = job.Spec.Label,
        ["options"] = job.Spec.Options.DeepClone(),
        ["inputs"] = new JsonArray([.. (job.Spec.Inputs ?? []).Select(i => (JsonNode)new JsonObject { ["place"] = i.Place, ["path"] = i.Path, ["sha256"] = i.Sha256 })]),
        ["lineage"] = new JsonObject { ["base"] = place.Base },
        ["plugins"] = new JsonArray([.. job.Plugins.Plugins.Select(p => (JsonNode)$"{p.Manifest.Id} {p.Manifest.Version}")]),
        ["libtorch"] = LibTorch.Version,
        ["device"] = "cpu",
        ["threads"] = job.Spec.Threads,
    };

    private static void Write(string folder, AdapterFiles files) =>
        AdapterFolder.Write(folder, files.Config.ToDictionary(c => c.Key, c => (object?)(c.Value is null ? null : JsonSerializer.SerializeToElement(c.Value))), files.Tensors);
}
