// One training job: policy, data, method and adapter from the plan; the trainer; the result in the ecosystem's formats.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
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
        if (policy.Adapter.Count > 0) throw new UserErrorException($"{job.Spec.Label} starts from an adapter; chains over adapters are not built yet. Train the first stage without an adapter.");

        var adapter = spec["adapter"] is { } contract ? job.Create<IPeftAdapter>(contract) : null;
        if (spec["adapter"]?["quantization"] is not null) throw new UserErrorException("quantization is not built yet; use adapter lora over a full-precision base.");
        var sites = adapter?.Attach(policy.Outline, (ulong)options.Seed);
        var outcome = Trainer.Train(new TrainingRun
        {
            Model = policy.Model,
            Tokenizer = policy.Tokenizer,
            Records = job.Records(spec["dataset"]!),
            Method = job.Create<IAlignmentMethod>(spec["method"]!),
            Adapter = sites,
            Options = options,
            Folder = job.Folder.Path,
            Progress = p => job.Progress(p.Step, p.TotalSteps, $"loss {p.Loss:0.0000}"),
        }, job.Cancellation);

        if (adapter is not null && sites is not null)
            Appear(job.Folder.Adapter, folder => Write(folder, adapter.Save(policy.Outline, sites)));
        else
            Appear(job.Folder.Model, folder => ModelFolder.Save(folder, policy.Model, place.Base));
        return new JsonObject
        {
            ["steps"] = outcome.Steps,
            ["trainable_parameters"] = outcome.TrainableParameters,
            ["final_loss"] = outcome.FinalLoss,
        };
    }

    private static void Write(string folder, AdapterFiles files) =>
        AdapterFolder.Write(folder, files.Config.ToDictionary(c => c.Key, c => (object?)(c.Value is null ? null : JsonSerializer.SerializeToElement(c.Value))), files.Tensors);

    private static void Appear(string folder, Action<string> write)
    {
        var partial = folder + ".partial";
        if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        Directory.CreateDirectory(partial);
        write(partial);
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.Move(partial, folder);
    }
}
