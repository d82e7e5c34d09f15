// Seconds and memory of training steps on a device, over a drawn model in 4 bits: the product's own trainer, rows as long as real dialogues.

using System.Diagnostics;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.Bench;

/// <summary>What to measure.</summary>
/// <param name="Method">sft (LoRA of rank 64 on q and v) or dpo (rank 16 on all linear layers, against the base).</param>
/// <param name="Shape">See <see cref="DrawnShape.Known"/>.</param>
/// <param name="Batch">Rows or pairs per step.</param>
/// <param name="Steps">Measured steps, behind one that is not.</param>
/// <param name="Pass">Rows or pairs of a forward pass; where fewer than a step's, the rest by accumulation.</param>
/// <param name="Checkpointing">gradient_checkpointing.</param>
/// <param name="FourBit">Whether the base is in nf4 with double quantisation; else in the type of the arithmetic.</param>
internal sealed record DeviceSteps(string Method, string Shape, int Batch, int Steps, int Pass, bool Checkpointing, bool FourBit)
{
    private const string Smaller = "1b";

    /// <summary>Passes that make up a step, the largest first.</summary>
    internal static IEnumerable<int> Passes(int batch) => Enumerable.Range(1, batch).Reverse().Where(rows => batch % rows == 0);

    /// <summary>Measures with and without checkpointing, each with the largest pass that fits; where none does, a smaller model.</summary>
    /// <param name="steps">What is wanted; its pass and checkpointing do not matter.</param>
    /// <param name="measure">Gives what <see cref="Run"/> does.</param>
    internal static void Fitting(DeviceSteps steps, Func<DeviceSteps, JsonObject> measure)
    {
        var fits = false;
        foreach (var checkpointing in (bool[])[false, true])
            fits |= Passes(steps.Batch).Any(rows => measure(steps with { Pass = rows, Checkpointing = checkpointing })["out_of_memory"] is null);
        if (!fits && DrawnShape.Known[steps.Shape].Numbers > DrawnShape.Known[Smaller].Numbers) Fitting(steps with { Shape = Smaller }, measure);
    }

    /// <summary>One training, and what it took; where memory runs out or the device fails, that.</summary>
    /// <param name="memory">Of the device.</param>
    /// <param name="dtype">Of the arithmetic.</param>
    /// <param name="plugins">Methods, LoRA, nf4.</param>
    /// <param name="cancel">Ends it between two steps.</param>
    internal JsonObject Run(DeviceMemory memory, torch.ScalarType dtype, PluginCatalogue plugins, CancellationToken cancel)
    {
        var facts = new JsonObject { ["method"] = Method, ["shape"] = Shape, ["batch"] = Batch, ["pass"] = Pass, ["steps"] = Steps, ["gradient_checkpointing"] = Checkpointing, ["four_bit"] = FourBit, ["dtype"] = dtype.ToString().ToLowerInvariant() };
        try
        {
            foreach (var (key, value) in Measured(memory, dtype, plugins, cancel)) facts[key] = value?.DeepClone();
        }
        catch (TorchOutOfMemoryException e)
        {
            facts["out_of_memory"] = e.Cause;
        }
        catch (Exception e) when (e is TorchException or UserErrorException or InvalidOperationException)
        {
            facts["error"] = e.Message; // what else there is to measure, and what was measured, is worth more than an end
        }
        return facts;
    }

    private JsonObject Measured(DeviceMemory memory, torch.ScalarType dtype, PluginCatalogue plugins, CancellationToken cancel)
    {
        using var scope = torch.NewDisposeScope();
        var (shape, device) = (DrawnShape.Known[Shape], memory.Device);
        var nf4 = FourBit ? plugins.Create<IQuantization>("nf4", new JsonObject { ["double_quant"] = true }, new BareContext()) : null;
        var model = DrawnModel.Of(shape.Spec, device, dtype, nf4);
        var target = Directory.CreateTempSubdirectory("peftalign-bench-");
        try
        {
            var rows = new TrainingRows(Method, Batch, Steps);
            var (records, seconds, losses, clock) = (Records(rows), new List<double>(), new JsonArray(), new Stopwatch());
            var sites = Lora(plugins).Attach(model.Outline(Shape), 0);
            var trainable = sites.Sum(site => site.Delta.Parameters.Values.Sum(tensor => tensor.numel()));
            memory.Restart();
            clock.Start();
            Trainer.Train(new TrainingRun
            {
                Model = model,
                Records = records,
                Method = plugins.Create<IAlignmentMethod>(Method, [], new BareContext()),
                Adapter = sites,
                Options = new TrainingOptions { BatchSize = Pass, GradientAccumulationSteps = Batch / Pass, MaxSteps = records.Count / Batch, LearningRate = 1e-4, MaxLength = rows.MaxLength, Shuffle = false, SaveEvery = 0, Dtype = dtype, GradientCheckpointing = Checkpointing },
                Folder = target.FullName,
                Progress = p =>
                {
                    if (device.type == DeviceType.CUDA) torch.cuda.synchronize(device);
                    seconds.Add(clock.Elapsed.TotalSeconds);
                    losses.Add(p.Loss);
                },
            }, cancel);
            return Figures(shape, rows, seconds, losses, trainable, memory);
        }
        finally
        {
            DrawnModel.Free(model);
            target.Delete(recursive: true);
        }
    }

    private JsonObject Figures(DrawnShape shape, TrainingRows rows, List<double> seconds, JsonArray losses, long trainable, DeviceMemory memory)
    {
        var pairs = Method == "dpo";
        var measured = rows.Measured.ToList();
        List<long> lengths = [.. measured.SelectMany(r => pairs ? (long[])[r.Prompt + r.Chosen, r.Prompt + r.Rejected] : [r.Prompt + r.Chosen])];
        var answers = measured.Sum(r => (long)r.Chosen + (pairs ? r.Rejected : 0));
        var total = seconds[^1] - seconds[0];
        return new JsonObject
        {
            ["step_seconds"] = new JsonArray([.. seconds.Zip(seconds.Skip(1), (a, b) => (JsonNode)Math.Round(b - a, 4))]),
            ["rows_per_s"] = Math.Round(rows.Count / total, 3),
            ["tokens_per_s"] = Math.Round(lengths.Sum() / total, 1),
            ["model_tflops"] = Math.Round(shape.Flops(lengths, answers, trainable, pairs) / total / 1e12, 4),
            ["peak_device_mb"] = memory.Peak,
            ["peak_reserved_mb"] = memory.Reserved,
            ["trainable_parameters"] = trainable,
            ["losses"] = losses,
        };
    }

    private IPeftAdapter Lora(PluginCatalogue plugins) => plugins.Create<IPeftAdapter>("lora", Method == "dpo"
        ? new JsonObject { ["rank"] = 16, ["alpha"] = 32.0, ["targets"] = new JsonArray("all-linear") }
        : new JsonObject { ["rank"] = 64, ["alpha"] = 16.0, ["targets"] = new JsonArray("q_proj", "v_proj") }, new BareContext());

    private static List<DataRecord> Records(TrainingRows rows) => [.. rows.Json()["rows"]!.AsArray().Select((row, k) => new DataRecord(row!.DeepClone().AsObject(), "bench", k + 1))];
}
