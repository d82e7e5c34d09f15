// Steps of a training on a device beside the same steps on the processor in float32. Losses hardly change in three steps, even where
// gradients and updates are wrong, so the adapters' numbers are compared.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.Bench;

/// <summary>Compares.</summary>
/// <param name="device">What is checked.</param>
/// <param name="models">What is trained.</param>
/// <param name="plugins">Methods, LoRA.</param>
internal sealed class ComparedTraining(torch.Device device, ComparedModels models, PluginCatalogue plugins)
{
    // Large compared with what the order of a sum changes in a gradient, so that Adam does not turn that into a whole step.
    private const double Epsilon = 1e-3;

    // Less than the smallest matrix of the adapter.
    private const int Bucket = 500;

    /// <summary>What the options become on the device; tests take the gradient or the update away.</summary>
    internal Func<TrainingOptions, TrainingOptions> There { get; init; } = options => options;

    /// <summary>
    /// The largest difference of the three steps' losses; and how far from where the processor's went a tensor of the adapter went on the
    /// device, as a share of the processor's way: of the tensor that is furthest, but of what is nearly certain of all together, since there
    /// some tensors' gradients in bfloat16 are rounding alone. Infinite where nothing moved, or to what is no number.
    /// </summary>
    /// <param name="method">sft or dpo.</param>
    /// <param name="model">What the device trains.</param>
    /// <param name="recompute">Whether blocks are computed again.</param>
    internal (double Losses, double Way) Apart(string method, ComparedModel model, bool recompute)
    {
        var options = new TrainingOptions { BatchSize = 2, MaxSteps = 3, LearningRate = 1e-3, LrScheduler = "constant", MaxLength = 64, Shuffle = false, SaveEvery = 0, Optimizer = "paged_adamw", AdamEpsilon = Epsilon, GradientCheckpointing = recompute };
        var here = Steps(method, torch.CPU, model with { Type = torch.float32 }, options, null);
        var there = Steps(method, device, model, There(options) with { Dtype = model.Type }, Bucket);
        return (DeviceCheck.Largest(here.Losses, there.Losses), model.Sure ? Share(Joined(here.Ways), Joined(there.Ways)) : here.Ways.Zip(there.Ways, Share).Max());
    }

    private static Tensor Joined(Tensor[] ways) => torch.cat([.. ways.Select(way => way.view(-1))]);

    private static double Share(Tensor here, Tensor there)
    {
        var share = (there - here).norm().item<double>() / here.norm().item<double>();
        return double.IsFinite(share) ? share : double.PositiveInfinity;
    }

    // The losses, and how far each tensor of the adapter went, in its order.
    private (double[] Losses, Tensor[] Ways) Steps(string method, torch.Device place, ComparedModel model, TrainingOptions options, long? bucket)
    {
        var target = Directory.CreateTempSubdirectory("peftalign-check-");
        try
        {
            var trained = models.On(model, place);
            var sites = plugins.Create<IPeftAdapter>("lora", new JsonObject { ["rank"] = 8, ["targets"] = new JsonArray("all-linear") }, new BareContext()).Attach(trained.Outline("check"), 0);
            Tensor[] Values() => [.. sites.SelectMany(site => site.Delta.Parameters.OrderBy(p => p.Key, StringComparer.Ordinal)).Select(p => p.Value.detach().cpu().to(torch.float64).clone())];
            var (before, losses) = (Values(), new List<double>());
            Trainer.Train(new TrainingRun
            {
                Model = trained,
                Records = Records(method, model.Sure),
                Method = plugins.Create<IAlignmentMethod>(method, [], new BareContext()),
                Adapter = sites,
                Options = options,
                Folder = target.FullName,
                PagedBucket = bucket,
                Progress = p => losses.Add(p.Loss),
            });
            return ([.. losses], [.. Values().Zip(before, (after, start) => after - start)]);
        }
        finally
        {
            target.Delete(recursive: true);
        }
    }

    // Random tokens; or consecutive ones, from the row's first on.
    private List<DataRecord> Records(string method, bool sure)
    {
        var rows = new TrainingRows(method, 2, 2) { MaxLength = 64 }.Json()["rows"]!.AsArray().Select(row => row!.DeepClone().AsObject()).ToList();
        foreach (var row in sure ? rows : [])
        {
            var next = (int)row["prompt_ids"]![0]!;
            foreach (var ids in row.Select(field => field.Value!.AsArray()).ToList())
                for (var k = 0; k < ids.Count; k++) ids[k] = next++ % models.Vocabulary;
        }
        return [.. rows.Select((row, k) => new DataRecord(row, "check", k + 1))];
    }
}
