// One training job: policy, data, method and adapter from the plan; the trainer; the result in the ecosystem's formats.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Running;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Templates;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

internal static class TrainJob
{
    internal static JsonObject Run(JobContext job)
    {
        var spec = job.Spec.Options;
        var place = Policies.Place(job, spec["policy"]!).Plain;
        var method = job.Create<IAlignmentMethod>(spec["method"]!);
        var options = Options(job, method.Needs.Scores);
        if (method.Needs.Scores && options.Dtype != torch.ScalarType.Float32) throw new UserErrorException("dtype bfloat16 is for language models; a reward model is trained in float32. Leave dtype out.");
        if (spec["adapter"] is null && method is not ITrainsControls && job.Device.type == DeviceType.CPU)
            WeightsInTraining.ThrowIfTooMany(PluginArchitectures.Of(job.Plugins).Describe(ModelConfig.Open(place.Base)), options);
        var policy = Loaded(job, place, method, options);
        options = Within(options, policy.Model.Spec, job.Logger);
        var start = TrainingStart.Of(job, place, policy, options, method);
        options = AfterFront(job, options, policy, start);
        if (!method.Needs.Dropout && spec["adapter"]?["options"]?["dropout"] is JsonValue dropout && dropout.GetValue<double>() > 0)
            job.Logger.LogWarning("the adapter's dropout {Dropout} is off: {Method} compares policy and reference as they are (disable_dropout)", dropout.GetValue<double>(), (string)spec["method"]!["name"]!);
        var run = RunOf(job, place, policy, start, method, options);
        JobInputs.ThrowIfChanged(job); // all rows are read
        if (PromptlessPairs.Warning(run.Records, job.Plugins.Find("method", (string)spec["method"]!["name"]!).Contract.Traits) is { } promptless) run.Warn?.Invoke(promptless);
        var outcome = Trainer.Train(run, job.Cancellation);
        job.Time.Before = outcome.SpentBefore;

        if (outcome.ResumedFrom > 0) job.Logger.LogInformation("resumed from step {Step}", outcome.ResumedFrom);
        if (run.StoredReference is { Missed: > 0 } stored) job.Logger.LogWarning("{Answers} answers were not among the stored reference log-probs and were computed as they came", stored.Missed);
        var changed = method is ITrainsControls controls ? controls.Phases[^1].ModelRate > 0 : start.Trained is null;
        if (job.Spec.Until.Length == 0) Write(job, start, policy, place, job.Folder, new TrainedParts(start.Trained, start.ControlSites, changed));
        RunFolder.Write(job.Folder.File("run.json"), Record(job, place).ToJsonString(new() { WriteIndented = true }) + "\n");
        return Result(job, outcome);
    }

    // Rows, reference and folders, as the trainer wants them.
    private static TrainingRun RunOf(JobContext job, PolicyPlace place, Policy policy, TrainingStart start, IAlignmentMethod method, TrainingOptions options)
    {
        var spec = job.Spec.Options;
        var evalRecords = spec["training"]!["eval_data"] is { } eval ? job.Records(eval) : [];
        var data = job.Parts(spec["dataset"]!);
        if (data.All(part => part.Rows.Count == 0)) throw new UserErrorException($"{Named(spec["dataset"]!)}: holds no rows; give data with at least one.");
        var stored = ReferenceJob.Serving(job, method, [.. data.SelectMany(part => part.Rows)], options.Context(policy.Tokenizer, policy.ChatTemplate, new MaskLedger()));
        var (reference, isElsewhere) = method.Needs.Reference ? TrainingStart.Reference(job, place, policy, options, stored is not null && evalRecords.Count == 0) : (null, false);
        return new TrainingRun
        {
            Model = policy.Model,
            Tokenizer = policy.Tokenizer,
            ChatTemplate = policy.ChatTemplate,
            PadToken = method.Needs.Scores ? RewardFolder.PadToken(place.Base, policy.Tokenizer, policy.Model.Spec.Vocabulary) : null,
            Records = [.. data.SelectMany(part => part.Rows)],
            Mixture = data.Count > 1 ? [.. data.Select(part => part.Share)] : [],
            EvalRecords = evalRecords,
            Method = method,
            Adapter = start.Trained,
            Controls = start.ControlSites,
            Beneath = start.Beneath,
            Reference = reference,
            IsReferenceElsewhere = isElsewhere,
            StoredReference = stored,
            Options = options,
            Folder = job.Folder.Path,
            Inexact = job.Spec.Inexact,
            Points = new KeptPoints(job.Spec.Keep, job.Spec.Until, point => Directory.Exists(job.Folder.Point(point).Path),
                (point, parts) => RunFolder.Fill(job.Folder.Point(point).Path, path => Write(job, start, policy, place, new JobFolder(path), parts))),
            Warn = warning =>
            {
                job.Warn(warning);
                job.Say(warning);
            },
            Progress = p => Tell(job, p),
            Spent = () => job.Time.Now,
        };
    }

    // The data set's file, where a message can name one.
    private static string Named(JsonNode dataset) => (dataset["reader"]?["options"]?["path"] as JsonValue)?.GetValue<string>() ?? "the data set";

    private static void Write(JobContext job, TrainingStart start, Policy policy, PolicyPlace place, JobFolder folder, TrainedParts parts)
    {
        JobInputs.ThrowIfModelChanged(job); // configuration and tokenizer are copied from its folder now
        start.Write(job, policy, place, folder, parts);
    }

    private static void Tell(JobContext job, TrainingProgress at)
    {
        job.Progress(at.Step, at.TotalSteps, $"loss {at.Loss:0.0000}");
        if (job.Trackers is { Any: true } trackers) trackers.Log(at.Step, at.Row.ToDictionary());
    }

    private static JsonObject Result(JobContext job, TrainingOutcome outcome)
    {
        var warnings = Warnings(outcome.Ledger, (bool?)job.Spec.Options["training"]!["packing"] == true).ToList();
        foreach (var warning in warnings) job.Warn(warning);
        var result = new JsonObject
        {
            ["steps"] = outcome.Steps,
            ["trainable_parameters"] = outcome.TrainableParameters,
            ["final_loss"] = outcome.FinalLoss,
        };
        if (warnings.Count > 0) result["warnings"] = new JsonArray([.. warnings.Select(w => (JsonNode)w)]);
        return result;
    }

    private static Policy Loaded(JobContext job, PolicyPlace place, IAlignmentMethod method, TrainingOptions options)
    {
        var (adapter, seed) = (job.Spec.Options["adapter"], (ulong)(long)job.Spec.Options["seed"]!);
        // Weights that are trained are held in float32 whatever the model computes in.
        var policy = Policies.Load(job, place, adapter?["quantization"], method.Needs.Scores ? seed : null, adapter is null ? torch.ScalarType.Float32 : options.Dtype);
        if (method is IAddsTokens { NewTokens: var tokens }) policy = Grown(job, place, policy, tokens);
        return policy.ChatTemplate is { } template ? policy with { ChatTemplate = new NotedTemplate(template) } : policy;
    }

    /// <summary>New tokens are trained with the model; an adapter's folder would not hold them.</summary>
    /// <exception cref="UserErrorException">The training has an adapter.</exception>
    internal static void ThrowIfAdapter(JobContext job, IReadOnlyList<string> tokens)
    {
        if (job.Spec.Options["adapter"] is { } adapter)
            throw new UserErrorException($"{(string)job.Spec.Options["method"]!["name"]!} adds the tokens {string.Join(", ", tokens)} to the vocabulary and trains all weights, and this training has the adapter {(string)adapter["name"]!}; leave the adapter out.");
    }

    private static Policy Grown(JobContext job, PolicyPlace place, Policy policy, IReadOnlyList<string> tokens)
    {
        ThrowIfAdapter(job, tokens);
        var added = NewTokens.Of(place.Base, tokens, policy.Model.Spec.Vocabulary);
        return policy with { Model = added.Grown(policy.Model, (ulong)(long)job.Spec.Options["seed"]!), Tokenizer = added.Tokenizer(place.Base), Added = added };
    }

    private static IEnumerable<string> Warnings(MaskLedger ledger, bool packs)
    {
        if (ledger.RowsWithoutTrainedToken > 0) yield return $"{ledger.RowsWithoutTrainedToken} of {ledger.Rows} rows have no token to train and {(packs ? "only take room in packs, as in TRL" : "were left out")}";
        if (ledger.RowsWithEqualAnswers > 0) yield return $"{ledger.RowsWithEqualAnswers} of {ledger.Rows} rows have the same answer as chosen and as rejected; they prefer nothing";
        if (ledger.RowsWithEmptyAnswer > 0) yield return $"{ledger.RowsWithEmptyAnswer} of {ledger.Rows} rows have an empty answer";
    }

    /// <summary>The options of the loop.</summary>
    internal static TrainingOptions Options(JobContext job, bool scores) => TrainingOptions.Of(job.Spec.Options["training"]!.AsObject(), (long)job.Spec.Options["seed"]!, ComputeDevice.TrainingType(job, scores));

    /// <summary>With rows no longer than the positions that the model has learned, if it has; says what a max_length beyond the model's positions does.</summary>
    internal static TrainingOptions Within(TrainingOptions options, DecoderSpec model, ILogger logger)
    {
        var within = options.Within(model);
        if (within.MaxLength < options.MaxLength)
            logger.LogWarning("max_length {Given} is more than the {Positions} positions that the model has learned; rows are cut there", options.MaxLength, model.MaxPositions);
        else if (options.MaxLength > model.MaxPositions)
            logger.LogWarning("max_length {Given} is more than the {Positions} positions that the model was made for; they are not learned, so rows are cut at max_length only, as in TRL. Lower it to keep rows within them", options.MaxLength, model.MaxPositions);
        return within;
    }

    // Learned positions that virtual tokens take are not the text's.
    private static TrainingOptions AfterFront(JobContext job, TrainingOptions options, Policy policy, TrainingStart start)
    {
        var spec = policy.Model.Spec;
        IEnumerable<IReadOnlyList<AdapterSite>> own = start.Controls is null ? [start.Trained ?? []] : start.Controls.Values.Select(c => c.Sites);
        var before = own.Max(sites => new LogProbEngine(policy.Model).PositionsBefore(new ForwardMode { Deltas = AdapterLayers.Deltas([.. start.Beneath, sites]) }));
        var left = spec.MaxPositions - before;
        if (before == 0 || spec.Names.Positions is null || options.MaxLength <= left) return options;
        if (left < 2) throw new UserErrorException($"The adapter puts {before} positions before the text, and the model has learned {spec.MaxPositions}; lower num_virtual_tokens.");
        job.Logger.LogWarning("the adapter takes {Before} of the model's {Positions} positions; rows are cut at {Left} tokens", before, spec.MaxPositions, left);
        return options with { MaxLength = (int)left };
    }

    // Everything that made the result, and what it was made on.
    private static JsonObject Record(JobContext job, PolicyPlace place) => new()
    {
        ["peftalign"] = CommandLine.TopHelp.Version,
        ["id"] = job.Spec.Id,
        ["label"] = job.Spec.Label,
        ["options"] = job.Spec.Options.DeepClone(),
        ["lineage"] = new JsonObject { ["base"] = place.Base, ["adapters"] = new JsonArray([.. place.Adapters.Select(a => (JsonNode)a.Folder)]) },
        ["inputs"] = new JsonArray([.. (job.Spec.Inputs ?? []).Select(i => (JsonNode)new JsonObject { ["place"] = i.Place, ["path"] = i.Path, ["sha256"] = i.Sha256 })]),
        ["plugins"] = new JsonArray([.. job.Plugins.Plugins.Select(p => (JsonNode)$"{p.Manifest.Id} {p.Manifest.Version}")]),
        ["libtorch"] = LibTorch.Version,
        ["device"] = $"{job.Device}",
        ["threads"] = job.Spec.Threads,
    };
}
