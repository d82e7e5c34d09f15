// What one job of a plan will take. A kind without a rule, or a shape that is not known yet, is not predicted.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Training;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="Seconds">On this machine with so many threads.</param>
/// <param name="Memory">Most bytes of its process.</param>
/// <param name="Disk">Bytes that stay.</param>
/// <param name="Flops">Multiplications and additions of matrix products, on whatever device; 0 where they are negligible.</param>
internal sealed record JobForecast(double Seconds, long Memory, long Disk, double Flops = 0)
{
    /// <summary>Questions that go to services.</summary>
    internal long ToServices { get; init; }

    /// <summary>Whether texts that a model will write were taken to be as long as they may be.</summary>
    internal bool AssumesLongest { get; init; }

    private const int RowBytes = 250; // of metrics.jsonl
    internal const int FolderBytes = 12_000; // job.json, result.json, log, configuration
    internal const int ItemsAtOnce = 64;

    /// <summary>Null where it cannot be told.</summary>
    internal static JobForecast? Of(PlanJob job, Shapes shapes, int threads)
    {
        var options = Shapes.Options(job);
        return job.Kind switch
        {
            "make-model" => MakeModel(job, shapes),
            "train" => Train(job, options, shapes, threads),
            "reference" => Reference(options, shapes, threads),
            "evaluate" => EvaluateForecast.Of(options, shapes, threads),
            "select" => new JobForecast(Costs.Start, Costs.Process, FolderBytes),
            "make-dataset" => MakeDatasetForecast.Of(options, shapes, threads),
            "merge" => MergeForecast.Of(options, shapes),
            _ => null,
        };
    }

    private static JobForecast? MakeModel(PlanJob job, Shapes shapes)
    {
        if (shapes.Model(new JsonObject { ["weights"] = new JsonObject { ["job"] = job.Id } }) is not { } model) return null;
        var bytes = Costs.Bytes(Costs.Parameters(model));
        return new JobForecast(Costs.Start + 4 * Costs.Moving(bytes), Costs.WeightsProcess + bytes, FolderBytes + bytes);
    }

    private static JobForecast? Train(PlanJob job, JsonObject spec, Shapes shapes, int threads)
    {
        if (shapes.Model(spec["policy"]!) is not { } model) return null;
        var options = TrainingOptions.Of(spec["training"]!.AsObject(), 0, shapes.TrainingType(spec));
        options = options.Within(model);
        if ((shapes.Data(spec, options) ?? shapes.Longest(spec, options, model)) is not { } data) return null;
        // Controls are adapters, but what trains the model's weights as well costs as much as training them alone.
        var (adapter, parameters) = (shapes.TrainsModel(spec) ? null : spec["adapter"], Costs.Parameters(model));
        var trainable = AdapterShape.Trainable(model, adapter);
        var (rows, mean, longest) = options.Packing is null ? (data.Rows, data.Mean, data.Longest) : ((long)Math.Ceiling(data.Rows * data.Mean / options.MaxLength), (double)options.MaxLength, (long)options.MaxLength);
        var steps = Steps(job.Until, (int)rows, options);
        var passes = (double)steps * options.GradientAccumulationSteps;
        var tokens = passes * Math.Min(options.BatchSize, rows) * mean;
        var refers = spec["reference_log_probs"] is null && shapes.Refers(spec["method"]!);
        var work = (adapter is null ? 3.0 : 2.5) + (refers ? 1 : 0) + (options.GradientCheckpointing ? 1 : 0);
        var atOnce = options.Packing is null ? shapes.LargestBatch(spec, data, options, steps) : (long)Math.Min(options.BatchSize, rows) * options.MaxLength;
        var ends = adapter is null ? Costs.Bytes(parameters) : Costs.Bytes(trainable);
        var arithmetic = Arithmetic.Of(model, options.Dtype, AdapterShape.Work(model, adapter) with { Refers = refers }, shapes.OnGpu) with
        {
            TrainsHead = adapter is null || AdapterShape.Saves(model, adapter, model.Names.Head),
            TrainsEmbedding = adapter is null || AdapterShape.Saves(model, adapter, model.Names.Embedding),
            AreSaved = adapter is not null,
        };
        var held = Costs.Held(model, adapter is null ? Torch.torch.ScalarType.Float32 : options.Dtype, shapes.IsQuantized(spec));
        var points = job.Keep.Count + (job.Until.Length > 0 ? 0 : 1);
        var checkpoints = options.SaveEvery > 0 ? Math.Min(options.KeepCheckpoints, (steps - 1) / options.SaveEvery) : 0;
        return new JobForecast(
            Costs.Start + Costs.Moving(Costs.Bytes(parameters) + points * ends) + Costs.Passes(model, passes, tokens, work, threads),
            Costs.Process + data.Held + held + Costs.Trained(trainable, adapter is not null, options, adapter is null ? Costs.Embedded(model) : 0) + (refers && adapter is null ? Costs.Bytes(parameters) : 0) + Costs.Step(model, atOnce, longest, arithmetic, options, trainable),
            FolderBytes + points * ends + (checkpoints + (adapter is null ? 0 : job.Keep.Count)) * 3 * Costs.Bytes(trainable) + (long)steps * RowBytes,
            Costs.Flops(model, tokens, (adapter is null ? 3 : 2) + (refers ? 1 : 0) + (options.GradientCheckpointing ? 1 : 0)) + (adapter is null ? 0 : 6.0 * trainable * tokens));
    }

    private static JobForecast? Reference(JsonObject spec, Shapes shapes, int threads)
    {
        if (shapes.Model(spec["policy"]!) is not { } model) return null;
        var options = TrainingOptions.Of(spec["limits"]!.AsObject(), 0, shapes.TrainingType(spec));
        if (shapes.Data(spec, options.Within(model)) is not { } data) return null;
        var (bytes, tokens) = (Costs.Bytes(Costs.Parameters(model)), data.Rows * data.Mean);
        var atOnce = (long)Math.Ceiling(Math.Min(data.Rows, ItemsAtOnce) * data.Mean);
        return new JobForecast(
            Costs.Start + Costs.Moving(bytes) + Costs.Passes(model, Math.Ceiling((double)data.Rows / ItemsAtOnce), tokens, 1, threads),
            Costs.Process + data.Held + Costs.Held(model, options.Dtype, shapes.IsQuantized(spec)) + Costs.Forward(model, atOnce, data.Longest, new Arithmetic(options.Dtype, 0, shapes.OnGpu)),
            FolderBytes + Costs.Bytes((long)tokens),
            Costs.Flops(model, tokens, 1));
    }

    private static int Steps(string until, int rows, TrainingOptions options)
    {
        var all = TrainingOptions.Steps(rows, options);
        return until.Split(':') switch
        {
            ["step", var step] => Math.Min(all, int.Parse(step, CultureInfo.InvariantCulture)),
            ["epoch", var epochs] => Math.Min(all, TrainingOptions.Steps(rows, options with { MaxSteps = 0, Epochs = double.Parse(epochs, CultureInfo.InvariantCulture) })),
            _ => all,
        };
    }
}
