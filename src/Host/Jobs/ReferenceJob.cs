// Reference log-probs of a whole data set, computed once for all trainings that have the same reference, data and limits: reference/ in
// the job's folder. The plan's job id stands for weights, chat template, data, truncation and the method that makes the answers.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Running;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

internal static class ReferenceJob
{
    private const int RecordsAtOnce = 64;
    private const int TriedRecords = 256;

    internal static JsonObject Run(JobContext job)
    {
        var spec = job.Spec.Options;
        var options = TrainingOptions.Of(spec["limits"]!.AsObject(), 0, ComputeDevice.TrainingType(job));
        var (place, quantization) = Base(job) ?? (Policies.Place(job, spec["policy"]!).Plain, spec["quantization"]);
        var policy = Policies.Load(job, place, quantization, dtype: options.Dtype);
        var (model, mode) = (policy.Model, Mode(job, policy));
        options = options.Within(model.Spec);
        if (Named(spec["reference"]) is { } folder && !IsAdapter(job, folder) && !IsSame(job.Spec.FullPath(folder), place.Base))
        {
            model = Policies.Load(job, new PolicyPlace(job.Spec.FullPath(folder), []), dtype: options.Dtype).Model;
            if (model.Spec.Vocabulary != policy.Model.Spec.Vocabulary)
                throw new UserErrorException($"The reference {folder} has a vocabulary of {model.Spec.Vocabulary} and the policy one of {policy.Model.Spec.Vocabulary}; a reference needs the policy's tokenizer.");
        }
        var method = job.Create<IAlignmentMethod>(spec["method"]!);
        var (records, stored) = (Records(job, method, policy, options), new StoredLogProbs());
        var (engine, done) = (new LogProbEngine(model), 0);
        foreach (var chunk in records.Rows.Chunk(RecordsAtOnce))
        {
            job.Cancellation.ThrowIfCancellationRequested();
            stored.Add(engine, mode, [.. chunk.SelectMany(record => method.Prepared([record], records.Context))]);
            job.Progress(done += chunk.Length, records.Rows.Count, "reference log-probs");
        }
        RunFolder.Fill(job.Folder.LogProbs, path => stored.Write(path, job.Spec.Id));
        return new JsonObject { ["rows"] = records.Rows.Count, ["answers"] = stored.Count };
    }

    /// <summary>What a training's plan had computed before; null where it asked for nothing.</summary>
    /// <exception cref="UserErrorException">The files do not fit.</exception>
    internal static StoredLogProbs? Stored(JobContext job)
    {
        if ((string?)job.Spec.Options["reference_log_probs"]?["job"] is not { } id) return null;
        // A training without a manifest has its reference job inside its own folder.
        var own = OfSingle(job.Folder);
        return StoredLogProbs.Read((own.IsFinished ? own : job.Folder.Sibling(id)).LogProbs, id);
    }

    /// <summary>The same for batches of a method's; null too where a batch mixes answers of its rows (kto's for z0), since the job that stored them saw each row alone.</summary>
    /// <param name="job">The training.</param>
    /// <param name="method">Makes the answers.</param>
    /// <param name="rows">Its rows, of which the first are tried.</param>
    /// <param name="context">For Arrange and Prepare.</param>
    internal static StoredLogProbs? Serving(JobContext job, IAlignmentMethod method, IReadOnlyList<DataRecord> rows, PrepareContext context)
    {
        if (Stored(job) is not { } stored)
        {
            if (method.Needs.Reference && (bool?)job.Spec.Options["training"]?["precompute_reference"] == true) TellMixed(job);
            return null;
        }
        using var scope = torch.NewDisposeScope();
        bool Has(IReadOnlyList<DataRecord> batch) => batch.Count == 0 || stored.Find(method.Prepared(batch, context), torch.CPU) is not null;
        List<DataRecord> tried = [.. method.Arranged([.. rows.Take(TriedRecords)], context).Take(TriedRecords)];
        if (Has(tried)) return stored;
        // Answers that are missing for another reason are computed as they come, and counted anew.
        if (Has([.. tried.Where(record => Has([record]))])) return Stored(job);
        TellMixed(job);
        return null;
    }

    // A plan has no reference job for a method that says so of itself; of another its rows show it.
    private static void TellMixed(JobContext job) =>
        job.Logger.LogWarning("precompute_reference: {Method} measures answers that each batch mixes anew, which cannot be stored; the reference is computed with each batch", (string)job.Spec.Options["method"]!["name"]!);

    /// <summary>The folder of the reference job of a training without a manifest.</summary>
    internal static JobFolder OfSingle(JobFolder training) => new(training.File("reference"));

    private static (IReadOnlyList<DataRecord> Rows, PrepareContext Context) Records(JobContext job, IAlignmentMethod method, Policy policy, TrainingOptions options)
    {
        var context = options.Context(policy.Tokenizer, policy.ChatTemplate, new MaskLedger()); // answers that a batch mixes are its own, and computed when it comes
        var parts = job.Parts(job.Spec.Options["dataset"]!);
        return ([.. parts.SelectMany(part => method.Arranged(part.Rows, context))], context);
    }

    // reference: base is the declared model's weights alone; in the training's bits where its policy lies over these very weights.
    private static (PolicyPlace Place, JsonNode? Quantization)? Base(JobContext job)
    {
        var spec = job.Spec.Options;
        if ((bool?)spec["reference_is_base"] != true) return null;
        var declared = Policies.Place(job, spec["policy"]!);
        var start = spec["start"] is { } other ? Policies.Place(job, other) : declared;
        var quantization = IsSame(start.Base, declared.Base) ? spec["quantization"] ?? start.Quantization : null;
        return (new PolicyPlace(declared.Base, []) { Template = declared.Template }, quantization);
    }

    private static bool IsSame(string folder, string other) => Path.GetFullPath(folder) == Path.GetFullPath(other);

    // The policy's adapters, with the one that training starts from; or a reference adapter alone.
    private static ForwardMode Mode(JobContext job, Policy policy)
    {
        if (Named(job.Spec.Options["reference"]) is { } folder)
            return IsAdapter(job, folder) ? Under([Policies.Adapter(job, policy.Outline, job.Spec.FullPath(folder))]) : ForwardMode.Plain;
        if (Named(job.Spec.Options["init_adapter"]) is not { } start) return policy.Mode;
        return Under([.. policy.Adapters, Policies.Adapter(job, policy.Outline, job.Spec.FullPath(start))]);
    }

    private static ForwardMode Under(IReadOnlyList<IReadOnlyList<AdapterSite>> layers) => new() { Deltas = AdapterLayers.Deltas(layers) };

    private static bool IsAdapter(JobContext job, string folder) => File.Exists(Path.Combine(job.Spec.FullPath(folder), "adapter_config.json"));

    private static string? Named(JsonNode? node) => (string?)node;
}
