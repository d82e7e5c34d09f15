// Our side of a training measurement: the product's own trainer over rows that are tokens already, with method and adapter from their
// plugins. A run is a whole short training; its seconds are those of the steps behind the warm-up, from the end of one update to
// the end of the last, as the peers' side counts them.

using System.Diagnostics;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.Bench;

/// <summary>Trains as a file of <see cref="TrainingRows"/> says.</summary>
/// <param name="folder">The model.</param>
/// <param name="spec">The file's contents.</param>
internal sealed class TrainingWork(string folder, JsonNode spec)
{
    /// <summary>Steps between two readings of the memory of long runs.</summary>
    internal const int MemoryEvery = 1_000;

    private readonly PluginCatalogue plugins = PluginSearch.Of(AppContext.BaseDirectory, []).Scan();
    private readonly List<DataRecord> records = [.. spec["rows"]!.AsArray().Select((row, k) => new DataRecord(row!.AsObject(), "bench", k + 1))];

    /// <summary>One training from the start: seconds of its measured steps, and the loss of each step, of a long one the memory every so many steps.</summary>
    internal (double Seconds, JsonArray Losses) Run()
    {
        // The model of the run before is the collector's to drop; what a training takes is counted without it.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var scope = torch.NewDisposeScope();
        var target = Directory.CreateTempSubdirectory("peftalign-bench-");
        try
        {
            var (warmup, batch) = ((int)spec["warmup"]!, (int)spec["batch"]!);
            var model = ModelFolder.Load(folder, dtype: TrainingRows.Dtype(spec));
            var (losses, memory, clock, begin) = (new JsonArray(), new JsonArray(), new Stopwatch(), TimeSpan.Zero);
            clock.Start();
            Trainer.Train(new TrainingRun
            {
                Model = model,
                Records = records,
                Method = plugins.Create<IAlignmentMethod>((string)spec["method"]!, [], new BareContext()),
                Adapter = Sites(model),
                Options = new TrainingOptions { BatchSize = batch, MaxSteps = records.Count / batch, LearningRate = 1e-4, MaxLength = (int)spec["max_length"]!, Shuffle = false, SaveEvery = 0 },
                Folder = target.FullName,
                Progress = p =>
                {
                    losses.Add(p.Loss);
                    if (p.Step == warmup) begin = clock.Elapsed;
                    if (p.Step % MemoryEvery == 0) memory.Add(ProcessStatus.OwnMegabytes("RssAnon"));
                },
            });
            return ((clock.Elapsed - begin).TotalSeconds, memory.Count > 0 ? [memory] : losses);
        }
        finally
        {
            target.Delete(recursive: true);
        }
    }

    private IReadOnlyList<AdapterSite>? Sites(Models.Decoders.DecoderModel model) => spec["adapter"] is JsonObject adapter
        ? plugins.Create<IPeftAdapter>((string)adapter["name"]!, adapter["options"]!.DeepClone().AsObject(), new BareContext()).Attach(model.Outline(folder), 0)
        : null;
}
