// What `train --dry-run` says: what would be trained on what, for how many steps, and about how much memory it takes. Of the
// model's weights it reads only those that an adapter's start is computed from, and sampled pages of a tied head's copy. The
// first rows are tokenised, so that lengths are the data's.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Inspection;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running.Estimates;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.SingleTraining;

/// <param name="Label">The job.</param>
/// <param name="Folder">Where it goes, and whether it is begun or finished.</param>
/// <param name="Rows">Rows of the data.</param>
/// <param name="Refused">Of those looked at, rows without a trained token.</param>
/// <param name="Looked">Rows that were made tokens.</param>
/// <param name="Steps">Updates; without packing, which is known when all rows are.</param>
/// <param name="Longest">Tokens of the longest row that was looked at.</param>
/// <param name="LargestBatch">Tokens of the largest batch, by the lengths of these.</param>
/// <param name="Parameters">Numbers of the model.</param>
/// <param name="Trainable">Numbers that are trained.</param>
/// <param name="Base">Bytes of the base's weights as they are held, of one decoded matrix where they are quantised, and of the former weights where a reference needs them.</param>
/// <param name="Trained">Bytes of the trained numbers, their gradients and moments.</param>
/// <param name="Activations">Bytes that a backward pass and an update need.</param>
/// <param name="Data">Bytes of the rows, all of which are held.</param>
internal sealed record Forecast(string Label, string Folder, long Rows, long Refused, long Looked, int? Steps, long Longest, long LargestBatch, long Parameters, long Trainable, long Base, long Trained, long Activations, long Data)
{
    private const int LookAt = 512;

    /// <summary>Options that would take less memory than those given.</summary>
    internal string Remedy { get; private init; } = "";

    /// <summary>Predicted peak memory of the process.</summary>
    internal long Bytes => Costs.Process + Base + Trained + Activations + Data;

    /// <summary>What a training will take.</summary>
    /// <param name="plan">The training.</param>
    /// <param name="folder">Where.</param>
    /// <param name="request">What was asked.</param>
    /// <param name="isQuick">Whether an adapter's start out of the weights (pissa) is left away: it takes minutes of a large model, and sizes are known without.</param>
    /// <exception cref="UserErrorException">The training would refuse what it is given.</exception>
    internal static Forecast Of(TrainPlan plan, TrainFolder folder, TrainRequest request, bool isQuick = false)
    {
        var job = Job(plan, folder, request);
        var spec = job.Spec.Options;
        using var scope = torch.NewDisposeScope();
        var method = job.Create<IAlignmentMethod>(spec["method"]!);
        if (method is IAddsTokens { NewTokens: var added }) TrainJob.ThrowIfAdapter(job, added);
        var (architectures, config) = (PluginArchitectures.Of(job.Plugins), ModelConfig.Open(request.Model));
        var model = architectures.Describe(config);
        using var weights = CheckpointFolder.Open(request.Model);
        model = method.Needs.Scores ? ClassifierFolder.WithScores(model) : TiedHead.Settled(model, weights, null, sample: true);
        var options = TrainJob.Within(TrainJob.Options(job, method.Needs.Scores), model, job.Logger);
        var records = job.Records(spec["dataset"]!);
        if (records.Count == 0) throw new UserError($"--data {request.Data}", "holds no rows", "give a file with one JSON object per line");
        var head = FirstRows.Of(method, [.. records.Take(LookAt)], options, FirstRows.Tokenizer(method, request.Model), ChatTemplateLoader.Load(request.Model, request.ChatTemplate));
        var quantization = spec["adapter"]?["quantization"] is { } over ? job.Create<IQuantization>(over) : null;
        var stored = new StoredMatrices(weights, model, architectures.QuantizationOf(config));
        var outline = model.Outline(request.Model, torch.CPU, stored.Tensor, quantization is null || config.IsQuantized ? null : stored.Tensor);
        // A folder to start from decides what is trained, whatever the options' defaults.
        var start = options.InitAdapter is { } own ? Path.Combine(job.Spec.FullPath(own), (method as ITrainsControls)?.Controls[0] ?? "") : null;
        var adapter = spec["adapter"] is not { } contract ? null : start is not null ? Policies.Adapter(job, outline, start) : isQuick ? Sized(job, contract, outline) : job.Create<IPeftAdapter>(contract).Attached(outline, 0);
        if (method.Needs.Scores && adapter is not null) ScoreHead.ThrowIfChanged(model.Names.Head, adapter);
        var parameters = Costs.Parameters(model);
        var (trainable, trainsModel) = Numbers(method, model, adapter);
        var longest = head.Lengths.DefaultIfEmpty(0).Max();
        int? steps = options.Packing is not null && options.MaxSteps == 0 ? null : TrainingOptions.Steps((int)head.Trained(records.Count), options);
        var tokens = options.Packing is null ? TrainingOptions.LargestBatch([.. head.Lengths.Where(length => length > 0)], steps!.Value, options) : (long)options.BatchSize * options.MaxLength;
        var refers = method.Needs.Reference && plan.Reference is null;
        var arithmetic = Arithmetic.Of(model, options.Dtype, TrainedWork.Of(model, trainsModel ? null : adapter) with { Refers = refers }, ComputeDevice.IsGpu(request.Device)) with
        {
            TrainsHead = trainsModel || Saves(adapter, model.Names.Head),
            TrainsEmbedding = trainsModel || Saves(adapter, model.Names.Embedding),
            AreSaved = !trainsModel,
        };
        return new Forecast(plan.Job.Label, folder.Job.Path, records.Count, head.Ledger.RowsWithoutTrainedToken, head.Count, steps, longest, tokens, parameters, trainable,
            BaseBytes(model, weights, config.IsQuantized, quantization, trainsModel ? torch.ScalarType.Float32 : options.Dtype) + (refers && trainsModel ? Costs.Bytes(parameters) : 0), Costs.Trained(trainable, !trainsModel, options, trainsModel ? Costs.Embedded(model) : 0),
            Costs.Step(model, tokens, longest, arithmetic, options, trainable), head.Held(records.Count))
        { Remedy = Remedies(options, trainsModel, few: quantization is not null || config.IsQuantized) };
    }

    // As many numbers as with its start, by the default one.
    private static IReadOnlyList<AdapterSite> Sized(JobContext job, JsonNode contract, ModelOutline outline)
    {
        var (plain, init) = (contract.DeepClone(), "default");
        if (plain["options"] is JsonObject options && options["init"] is JsonValue named)
        {
            init = (string)named!;
            options.Remove("init");
            options.Remove("loftq_iter");
        }
        var sites = job.Create<IPeftAdapter>(plain).Attached(outline, 0);
        return init is "default" or "gaussian" or "loftq" ? sites : [.. sites.Select(site => site.Delta is LowRank low ? site with { Delta = low with { Start = (low.A, low.B) } } : site)];
    }

    // Weights that are trained are there in both types under bfloat16.
    private static string Remedies(TrainingOptions options, bool trainsModel, bool few)
    {
        IEnumerable<string> Each()
        {
            if (!options.GradientCheckpointing) yield return "gradient_checkpointing";
            if (trainsModel == (options.Dtype != torch.ScalarType.Float32)) yield return trainsModel ? "dtype float32" : "dtype bfloat16";
            if (trainsModel && options.Optimizer is not "sgd" && !options.Optimizer.EndsWith("_8bit", StringComparison.Ordinal)) yield return "optimizer adamw_8bit";
            yield return "a lower batch_size or max_length";
            if (trainsModel) yield return "an adapter in place of all weights";
            if (!few) yield return "a base in 4 bits (qlora)";
        }
        var each = Each().ToList();
        return "train with " + (each.Count == 1 ? each[0] : $"{string.Join(", ", each.SkipLast(1))} or {each[^1]}");
    }

    private static bool Saves(IReadOnlyList<AdapterSite>? adapter, string module) => adapter?.Any(site => site.Module == module && site.Delta is Whole) == true;

    // How many numbers, and whether the model's own are among them: each control is an adapter of its own, a new score head is trained whole.
    private static (long Numbers, bool TrainsModel) Numbers(IAlignmentMethod method, DecoderSpec model, IReadOnlyList<AdapterSite>? adapter)
    {
        var parameters = Costs.Parameters(model);
        var numbers = adapter?.Sum(s => s.Delta.Parameters.Values.Sum(p => p.numel())) + (method.Needs.Scores && adapter?.All(s => s.Module != model.Names.Head) == true ? model.EmbeddingWidth : 0) ?? parameters;
        if (method is not ITrainsControls controls) return (numbers, adapter is null);
        var trainsModel = controls.Phases[^1].ModelRate > 0;
        return (numbers * controls.Controls.Count + (trainsModel ? parameters : 0), trainsModel);
    }

    private static JobContext Job(TrainPlan plan, TrainFolder folder, TrainRequest request) => new(
        new JobSpec(plan.Job.Id, plan.Job.Kind, plan.Job.Label, JsonNode.Parse(plan.Job.Options)!.AsObject(), Directory.GetCurrentDirectory(), 1, plan.PluginFolders) { Device = request.Device }, folder.Job,
        new PluginCatalogue(plan.PluginFolders.Select(p => PluginFolder.Open(p, PluginOrigin.Product)), []), NullLogger.Instance, (_, _, _) => { }, default);

    // The weights in the type of the arithmetic; quantised ones as they are, and one of them decoded. On top of that come gradients and two
    // moments of the trained numbers, and with an adapter these numbers themselves.
    private static long BaseBytes(DecoderSpec model, CheckpointFolder weights, bool isQuantized, IQuantization? quantization, torch.ScalarType type)
    {
        var size = type.ElementSize();
        static long Count(WeightSpec weight) => weight.Shape.Aggregate(1L, (a, b) => a * b);
        var few = model.Weights().Where(w => w.Role == WeightRole.Matrix && (isQuantized ? weights.Names.Any(n => n.StartsWith(w.Name + ".", StringComparison.Ordinal)) : quantization?.Takes(w.Name[..^".weight".Length]) == true)).ToList();
        var names = few.Select(w => w.Name).ToHashSet();
        var whole = size * model.Weights().Where(w => !names.Contains(w.Name)).Sum(Count);
        if (few.Count == 0) return whole;
        var held = isQuantized
            ? weights.Tensors.Where(t => few.Any(w => t.Name.StartsWith(w.Name, StringComparison.Ordinal))).Sum(t => t.Bytes)
            : (long)(few.Sum(Count) * BytesPerValue(quantization!));
        return whole + held + size * few.Max(Count);
    }

    // Measured on zeros: a format's bytes depend on the count alone.
    private static double BytesPerValue(IQuantization quantization)
    {
        const int count = 1 << 18;
        using var sample = quantization.Quantize("sample", torch.zeros([1, count]));
        return (double)sample.Bytes / count;
    }

    internal JsonObject Document() => new()
    {
        ["label"] = Label,
        ["folder"] = Folder,
        ["rows"] = Rows,
        ["rows_looked_at"] = Looked,
        ["refused"] = Refused,
        ["longest"] = Longest,
        ["largest_batch"] = LargestBatch,
        ["steps"] = Steps,
        ["parameters"] = Parameters,
        ["trainable_parameters"] = Trainable,
        ["predicted_bytes"] = Bytes,
        ["base_bytes"] = Base,
        ["trained_bytes"] = Trained,
        ["activation_bytes"] = Activations,
        ["row_bytes"] = Data,
    };

    internal IEnumerable<string> Lines() =>
    [
        $"{Label} in {Folder}",
        $"  rows      {Rows}{(Refused > 0 ? $", of {Looked} looked at {Refused} without a token to train" : "")}; the longest has {Longest} tokens, the largest batch {LargestBatch}",
        $"  steps     {(Steps is { } steps ? $"{steps}" : "known when all rows are packed")}",
        $"  trains    {Sizes.Count(Trainable)} of {Sizes.Count(Parameters)} parameters",
        $"  memory    about {Sizes.Bytes(Bytes)}: base {Sizes.Bytes(Base)}, trained numbers {Sizes.Bytes(Trained)}, activations {Sizes.Bytes(Activations)}, rows {Sizes.Bytes(Data)}, the process itself {Sizes.Bytes(Costs.Process)}",
    ];
}
