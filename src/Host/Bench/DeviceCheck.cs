// Whether a device computes what the processor computes: 4-bit bytes and products, log-probs, steps of SFT and DPO over 4 bits and over
// full weights, greedy continuations. For a machine with a GPU that has neither the checkout nor its tests.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using PeftAlign.Training;

namespace PeftAlign.Host.Bench;

/// <summary>Compares.</summary>
/// <param name="device">What is checked.</param>
/// <param name="plugins">Methods, LoRA, nf4.</param>
internal sealed class DeviceCheck(torch.Device device, PluginCatalogue plugins)
{
    private const double Tolerance = 1e-4; // of numbers around 1 in float32, whose sums come in another order

    private readonly JsonArray checks = [];
    private bool sound = true;

    /// <summary>All checks with their largest differences; "sound" where none is beyond its limit.</summary>
    internal JsonObject Run(CancellationToken cancel)
    {
        foreach (var (name, check) in (ReadOnlySpan<(string, Action)>)[("4-bit kernels", Kernels), ("log-probs", LogProbs), ("generation", Generation),
            ("sft over nf4", () => Training("sft", true)), ("dpo over nf4", () => Training("dpo", true)), ("sft", () => Training("sft", false)), ("dpo", () => Training("dpo", false))])
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = torch.NewDisposeScope();
            try
            {
                check();
            }
            catch (Exception e) when (e is TorchException or UserErrorException or InvalidOperationException)
            {
                Say(name, double.NaN, 0, e.Message);
            }
        }
        return new JsonObject { ["device"] = $"{device}", ["sound"] = sound, ["checks"] = checks };
    }

    private void Kernels()
    {
        foreach (var (rows, columns) in ((long, long)[])[(64, 256), (33, 65), (1376, 512)])
        {
            var values = new CounterStream(3, "device check", $"{rows} x {columns}").Normal([rows, columns]);
            var (here, there) = (Nf4.Quantize("w", values), Nf4.Quantize("w", values.to(device)));
            Say($"nf4 codes of {rows} x {columns}", here.Parts.All(part => there.Parts[part.Key].cpu().equal(part.Value)) ? 0 : 1, 0);
            foreach (var type in (torch.ScalarType[])[torch.float32, torch.bfloat16])
            {
                var (a, b) = (torch.empty([rows, columns], type), torch.empty([rows, columns], type, device));
                here.Decode(a);
                there.Decode(b);
                Say($"decoding {rows} x {columns} in {type}", Distance(a, b), 0);
                var x = new CounterStream(4, "device check", "x").Normal([4, columns]).to(type);
                if (here.Product(x) is { } y && there.Product(x.to(device)) is { } z) Say($"product of 4 rows with {rows} x {columns} in {type}", Distance(y, z), type == torch.float32 ? Tolerance * columns / 16 : columns / 16.0);
            }
        }
    }

    private void LogProbs()
    {
        var groups = new List<CompletionGroup> { new([1, 2, 3, 4, 5], [Completion.Of([6, 7, 8]), Completion.Of([9, 10])]), new([11, 12], [Completion.Of([13, 14, 15, 16])]) };
        foreach (var four in (bool[])[false, true])
            Say($"log-probs{(four ? " over nf4" : "")}", Both(four, model => (double[])[.. new LogProbEngine(model).Scores(groups, ForwardMode.Plain).SelectMany(s => s.LogProbs)]), Tolerance);
    }

    private void Generation()
    {
        IReadOnlyList<GenerationPrompt> prompts = [new GenerationPrompt([5, 6, 7, 8], 0), new GenerationPrompt([9, 10], 1)];
        Say("greedy continuations", Both(false, model => (double[])[.. DecoderGenerator.Of(model, ForwardMode.Plain, null).Generate(prompts, new GenerationOptions { MaxNewTokens = 16 }).SelectMany(p => p[0].Ids).Select(id => (double)id)]), 0);
    }

    private void Training(string method, bool four)
    {
        foreach (var recompute in (bool[])[false, true])
            Say($"three steps of {method}{(four ? " over nf4" : "")}{(recompute ? ", blocks computed again" : "")}", Both(four, model => Losses(method, model, recompute)), 10 * Tolerance);
    }

    private double[] Losses(string method, DecoderModel model, bool recompute)
    {
        var target = Directory.CreateTempSubdirectory("peftalign-check-");
        try
        {
            var rows = new TrainingRows(method, 2, 2) { MaxLength = 64 };
            var losses = new List<double>();
            Trainer.Train(new TrainingRun
            {
                Model = model,
                Records = [.. rows.Json()["rows"]!.AsArray().Select((row, k) => new DataRecord(row!.DeepClone().AsObject(), "check", k + 1))],
                Method = plugins.Create<IAlignmentMethod>(method, [], new BareContext()),
                Adapter = plugins.Create<IPeftAdapter>("lora", new JsonObject { ["rank"] = 8, ["targets"] = new JsonArray("all-linear") }, new BareContext()).Attach(model.Outline("check"), 0),
                Options = new TrainingOptions { BatchSize = 2, MaxSteps = 3, LearningRate = 1e-3, MaxLength = 64, Shuffle = false, SaveEvery = 0, Optimizer = "paged_adamw", GradientCheckpointing = recompute },
                Folder = target.FullName,
                Progress = p => losses.Add(p.Loss),
            });
            return [.. losses];
        }
        finally
        {
            target.Delete(recursive: true);
        }
    }

    // The largest difference between what a question gives on the processor and on the device, over the same weights.
    private double Both(bool four, Func<DecoderModel, double[]> ask)
    {
        var spec = DrawnShape.Known["tiny"].Spec;
        var drawn = DrawnModel.Of(spec, torch.CPU, torch.float32, null);
        try
        {
            var (here, there) = (ask(On(drawn, torch.CPU, four)), ask(On(drawn, device, four)));
            return here.Length == there.Length ? here.Zip(there, (a, b) => Math.Abs(a - b)).Max() : double.PositiveInfinity;
        }
        finally
        {
            DrawnModel.Free(drawn);
        }
    }

    // Larger weights than a new model's, so that what a layer does is seen in the answer.
    private DecoderModel On(DecoderModel drawn, torch.Device place, bool four)
    {
        var (weights, quantized) = (new Dictionary<string, Tensor>(), new Dictionary<string, QuantizedMatrix>());
        foreach (var weight in drawn.Spec.Weights())
        {
            var tensor = (weight.Role == WeightRole.Matrix ? drawn.Weights[weight.Name] * 5 : drawn.Weights[weight.Name].clone()).to(place);
            if (weight.Role == WeightRole.Matrix && four) quantized.Add(weight.Name, Nf4.Quantize(weight.Name, tensor));
            else weights.Add(weight.Name, tensor);
        }
        return new DecoderModel(drawn.Spec, weights, quantized);
    }

    private IQuantization Nf4 => nf4 ??= plugins.Create<IQuantization>("nf4", new JsonObject { ["double_quant"] = true }, new BareContext());

    private IQuantization? nf4;

    private static double Distance(Tensor here, Tensor there) => (here.to(torch.float32) - there.cpu().to(torch.float32)).abs().max().item<float>();

    private void Say(string what, double difference, double limit, string? error = null)
    {
        var fine = difference <= limit;
        sound &= fine;
        checks.Add(new JsonObject { ["check"] = what, ["difference"] = double.IsFinite(difference) ? difference : difference.ToString(CultureInfo.InvariantCulture), ["limit"] = limit, ["ok"] = fine, ["error"] = error });
    }
}
