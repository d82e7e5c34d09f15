// A step of LoRA over a folder's base, full or in 4 bits: forward, backward, AdamW. What QLoRA costs beside LoRA is the difference.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Bench;

internal static class TrainingStep
{
    /// <summary>A step as a side runs it.</summary>
    /// <param name="folder">The base.</param>
    /// <param name="rows">sequences: token ids of one pack.</param>
    /// <returns>Answers [loss, peak resident MB of the process].</returns>
    internal static Func<JsonArray> Of(string folder, JsonNode rows)
    {
        var plugins = Plugins();
        var model = ModelFolder.Load(folder, architectures: PluginArchitectures.Of(plugins));
        var lora = plugins.Create<IPeftAdapter>("lora", new JsonObject { ["rank"] = 16, ["alpha"] = 32.0, ["targets"] = new JsonArray("all-linear") }, new BareContext());
        var sites = lora.Attach(model.Outline(folder), 1);
        var trained = sites.SelectMany(site => site.Delta.Parameters.Values).Select(tensor => tensor.requires_grad_()).ToList();
        var (engine, mode) = (new LogProbEngine(model), new ForwardMode { Deltas = sites.ToDictionary(site => site.Module, site => site.Delta) });
        var groups = rows["sequences"]!.AsArray().Select(ids => ids!.AsArray().Select(id => (int)id!).ToArray()).Select(ids => new CompletionGroup(ids[..1], [Completion.Of(ids[1..])])).ToList();
        var moments = trained.ConvertAll(tensor => (Average: torch.zeros_like(tensor), Square: torch.zeros_like(tensor)));
        var step = 0;
        return () =>
        {
            using var scope = torch.NewDisposeScope();
            var loss = -(engine.LogProbs(groups, mode) * engine.Weights(groups)).mean();
            loss.backward();
            using var off = torch.no_grad();
            step++;
            foreach (var (tensor, (average, square)) in trained.Zip(moments))
            {
                UpdateRules.Adam(tensor, tensor.grad!, average, square, step, 1e-4, 0.9, 0.999, 1e-8);
                tensor.grad!.zero_();
            }
            return [loss.item<float>(), PeakResident()];
        };
    }

    /// <summary>Measures a step over a 4-bit base in turns with one over the full base.</summary>
    internal static IEnumerable<Measurement> Measure(Effort effort, Workload work, CancellationToken cancel)
    {
        foreach (var (sequences, tokens) in ((int, int)[])[(1, 512), (4, 512)])
        {
            var rows = work.Sequences(sequences, tokens);
            var (full, four) = (work.Model("llama-110m"), work.FourBit("llama-110m", Plugins().Create<IQuantization>("nf4", [], new BareContext())));
            var (qlora, lora, first, second) = effort.Kept(() => effort.Our("step", four, rows), () => effort.Our("step", full, rows), cancel);
            yield return new("qlora", string.Create(CultureInfo.InvariantCulture, $"llama-110m, LoRA of rank 16 on all linear layers, a step of {sequences} times {tokens} tokens over nf4; beside it over float32"), qlora, lora,
                string.Create(CultureInfo.InvariantCulture, $"a QLoRA step takes {qlora.Best / lora!.Best:0.00} of a LoRA step; peak resident MB {(double)first[1]!:0} and {(double)second![1]!:0}; first losses {(double)first[0]!:0.0000} and {(double)second[0]!:0.0000}"));
        }
    }

    private static PluginCatalogue Plugins() => PluginSearch.Of(AppContext.BaseDirectory, []).Scan();

    // Mapped files included: a full base is read from one.
    private static double PeakResident() => ProcessStatus.OwnMegabytes("VmHWM");
}
