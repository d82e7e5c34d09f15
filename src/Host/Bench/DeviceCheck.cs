// Whether a device computes what the processor computes: 4-bit bytes and products, log-probs, greedy continuations, steps of SFT and DPO over
// 4 bits and over full weights, in float32 and in bfloat16, which is compared with the processor's float32. For a machine with a GPU that
// has neither the checkout nor its tests.

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

    // Largest deviation of how far an adapter's numbers went, as a share of that distance, in float32 and in bfloat16. (In bfloat16 it is 0.06
    // here; without a gradient it would be 1, and it was 0.65 where the gradients of nearly certain tokens were nothing but rounding.) And of
    // log-probs in bfloat16.
    private const double WayTolerance = 1e-2, NarrowWayTolerance = 0.2, NarrowTolerance = 0.1;

    private static readonly ComparedModel Wide = new(torch.float32), Narrow = new(torch.bfloat16);

    private readonly JsonObject document = new() { ["device"] = $"{device}", ["sound"] = true, ["checks"] = new JsonArray() };

    /// <summary>See <see cref="ComparedTraining.There"/>.</summary>
    internal Func<TrainingOptions, TrainingOptions> There { get; init; } = options => options;

    /// <summary>Told of all that is known, after every check: minutes on a device may end sooner than the checks.</summary>
    internal Action<JsonObject> Said { get; init; } = _ => { };

    /// <summary>All checks with their largest differences; "sound" where none is beyond its limit.</summary>
    /// <param name="cancel">Ends it between two checks.</param>
    internal JsonObject Run(CancellationToken cancel) => Run(["4-bit kernels", "log-probs", "generation", "sft", "dpo"], cancel);

    /// <summary>Some of them.</summary>
    /// <param name="names">As in Run.</param>
    /// <param name="cancel">Ends it between two checks.</param>
    internal JsonObject Run(IEnumerable<string> names, CancellationToken cancel)
    {
        using var models = new ComparedModels(Nf4);
        foreach (var name in names)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = torch.NewDisposeScope();
            try
            {
                Check(name, models);
            }
            catch (Exception e) when (e is TorchException or UserErrorException or InvalidOperationException)
            {
                Say(name, double.NaN, 0, e.Message);
            }
        }
        return document;
    }

    /// <summary>The largest difference of numbers that belong together; infinite where one is no number, or one is missing.</summary>
    internal static double Largest(IReadOnlyList<double> here, IReadOnlyList<double> there)
    {
        var apart = here.Zip(there, (a, b) => Math.Abs(a - b)).ToList();
        return here.Count == there.Count && apart.TrueForAll(double.IsFinite) ? apart.Max() : double.PositiveInfinity;
    }

    private void Check(string name, ComparedModels models)
    {
        if (name == "4-bit kernels") Kernels();
        else if (name == "log-probs") LogProbs(models);
        else if (name == "generation") Generation(models);
        else Training(name, models);
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
                if (here.Product(x) is { } y && there.Product(x.to(device)) is { } z)
                    Say($"product of 4 rows with {rows} x {columns} in {type}", type == torch.float32 ? Distance(y, z) : Roundings(y, z, columns), type == torch.float32 ? Tolerance * columns / 16 : 1);
            }
        }
    }

    private void LogProbs(ComparedModels models)
    {
        List<CompletionGroup> random = [new([1, 2, 3, 4, 5], [Completion.Of([6, 7, 8]), Completion.Of([9, 10])]), new([11, 12], [Completion.Of([13, 14, 15, 16])])];
        List<CompletionGroup> sure = [new([1, 2, 3, 4, 5], [Completion.Of([6, 7, 8]), Completion.Of([9, 10])]), new([31000], [Completion.Of([31001, 31002, 31003])])];
        foreach (var four in (bool[])[false, true])
            foreach (var model in (ComparedModel[])[Wide, Narrow, Wide with { Sure = true }, Narrow with { Sure = true }])
            {
                var of = model with { FourBit = four };
                Say($"log-probs{of}", Both(models, of, on => (double[])[.. new LogProbEngine(on).Scores(of.Sure ? sure : random, ForwardMode.Plain).SelectMany(s => s.LogProbs)]), IsWide(of) ? Tolerance : NarrowTolerance);
            }
    }

    private void Generation(ComparedModels models)
    {
        IReadOnlyList<GenerationPrompt> prompts = [new GenerationPrompt([5, 6, 7, 8], 0), new GenerationPrompt([9, 10], 1)];
        foreach (var model in (ComparedModel[])[Wide, Narrow with { Sure = true }]) // in bfloat16 only what is certain is the same
            Say($"greedy continuations{model}", Both(models, model, on => (double[])[.. DecoderGenerator.Of(on, ForwardMode.Plain, null).Generate(prompts, new GenerationOptions { MaxNewTokens = 16 }).SelectMany(p => p[0].Ids).Select(id => (double)id)]), 0);
    }

    private void Training(string method, ComparedModels models)
    {
        var training = new ComparedTraining(device, models, plugins) { There = There };
        foreach (var four in (bool[])[false, true])
            foreach (var (model, recompute) in ((ComparedModel, bool)[])[(Wide, false), (Wide, true), (Narrow, false), (Narrow, true), (Narrow with { Sure = true }, false)])
            {
                if (model.Sure && method != "sft") continue; // of a pair the rejected answer is not certain, and its gradient is the larger one
                using var scope = torch.NewDisposeScope();
                var of = model with { FourBit = four };
                var name = $"three steps of {method}{of}{(recompute ? ", blocks computed again" : "")}";
                var (losses, way) = training.Apart(method, of, recompute);
                Say($"{name}: losses", losses, IsWide(of) ? 10 * Tolerance : NarrowTolerance);
                Say($"{name}: the adapter's way", way, IsWide(of) ? WayTolerance : NarrowWayTolerance);
            }
    }

    private static bool IsWide(ComparedModel model) => model.Type == torch.float32;

    // The largest difference between what a question gives on the processor in float32 and on the device, over the same weights.
    private double Both(ComparedModels models, ComparedModel model, Func<DecoderModel, double[]> ask)
    {
        using var scope = torch.NewDisposeScope();
        return Largest(ask(models.On(model with { Type = torch.float32 }, torch.CPU)), ask(models.On(model, device)));
    }

    private IQuantization Nf4 => nf4 ??= plugins.Create<IQuantization>("nf4", new JsonObject { ["double_quant"] = true }, new BareContext());

    private IQuantization? nf4;

    private static double Distance(Tensor here, Tensor there) => (here.to(torch.float32) - there.cpu().to(torch.float32)).abs().max().item<float>();

    /// <summary>The largest difference of products in bfloat16 of numbers around 1, as a share of what roundings may make: both round the result, and
    /// some sums their parts, of which there are as many as columns.</summary>
    internal static double Roundings(Tensor here, Tensor there, long columns)
    {
        var (a, b) = (here.to(torch.float32), there.cpu().to(torch.float32));
        return ((a - b).abs() / ((a.abs() / 128) + (0.01 * Math.Sqrt(columns)))).max().item<float>();
    }

    private void Say(string what, double difference, double limit, string? error = null)
    {
        var fine = difference <= limit;
        if (!fine) document["sound"] = false;
        document["checks"]!.AsArray().Add(new JsonObject { ["check"] = what, ["difference"] = double.IsFinite(difference) ? difference : difference.ToString(CultureInfo.InvariantCulture), ["limit"] = limit, ["ok"] = fine, ["error"] = error });
        Said(document);
    }
}
