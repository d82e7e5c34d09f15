// Training: DPO and SFT with LoRA beside TRL, a LoRA step beside a full one, and what a step costs by threads, lengths and pairs.

using System.Globalization;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Bench;

internal static class TrainingParts
{
    /// <summary>Beside TRL's best settings (rows sorted by length, tuned allocator; SFT without padding) and, for DPO, its default ones.</summary>
    internal static IEnumerable<Measurement> Train(Effort effort, Workload work, CancellationToken cancel) =>
        Beside("train", effort, work, narrow: false, cancel).Concat(LoraAndFull(effort, work, cancel));

    /// <summary>The same lines in bfloat16 on both sides.</summary>
    internal static IEnumerable<Measurement> TrainNarrow(Effort effort, Workload work, CancellationToken cancel) => Beside("train-bfloat16", effort, work, narrow: true, cancel);

    private static IEnumerable<Measurement> Beside(string part, Effort effort, Workload work, bool narrow, CancellationToken cancel)
    {
        foreach (var shape in Workload.Shapes.Keys)
        {
            yield return Line("dpo, lora q v, beside TRL's best", new("dpo", 4, 3) { Grouped = true, Narrow = narrow }, shape, Allocators.Tuned);
            yield return Line("dpo, lora q v, beside TRL's default", new("dpo", 4, 3) { Narrow = narrow }, shape, Allocators.Default);
            yield return Line("sft, lora q v, beside TRL without padding", new("sft", 4, 3) { Grouped = true, Narrow = narrow }, shape, Allocators.Tuned);
        }

        Measurement Line(string what, TrainingRows rows, string shape, IReadOnlyDictionary<string, string> allocator)
        {
            var file = work.Training($"{rows.Method}-{rows.Batch}-{(rows.Grouped ? "sorted" : "plain")}{(rows.Narrow ? "-bfloat16" : "")}", rows);
            var model = work.Model(shape);
            var sides = effort.Kept([() => effort.Our("train", model, file), () => effort.Peer("train", model, file, allocator), () => effort.Our("products", model, file)], cancel);
            var ((ours, mine), (peer, other)) = (sides[0]!.Value, sides[1] is { } there ? there : default((SideFigures?, JsonArray?)));
            var same = other is null ? "" : $"; first losses {mine[0]!.GetValue<double>():0.00000} and {other[0]!.GetValue<double>():0.00000}";
            var products = sides[2]!.Value.Figures.Best;
            var most = peer is null ? "" : string.Create(CultureInfo.InvariantCulture, $" (with nothing else in it the ratio would be {peer.Best / products:0.00})");
            return new(part, $"{shape}, {what}, {rows.Batch} rows a step, {rows.Steps} steps", ours, peer,
                effort.Noted(string.Create(CultureInfo.InvariantCulture, $"{Rate(rows, ours)}; the matrix products alone take {products / ours.Best:0.00} of it{most}{same}"), "train", model, file));
        }
    }

    /// <summary>Our own cost by threads, by length, by rows of a step, each in tokens a second.</summary>
    internal static IEnumerable<Measurement> Curves(Effort effort, Workload work, CancellationToken cancel)
    {
        Measurement Line(string what, string shape, TrainingRows rows, int threads)
        {
            var file = work.Training($"curve-{rows.Batch}-{rows.Fixed}", rows);
            var (ours, _, _, _) = (effort with { Threads = threads, Python = null }).Kept("train", work.Model(shape), file, cancel);
            return new("train-curves", $"{shape}, dpo, lora q v, {what}", ours, null, Rate(rows, ours));
        }
        for (var threads = 1; threads <= Math.Min(4, Environment.ProcessorCount); threads++)
            foreach (var shape in Workload.Shapes.Keys) yield return Line($"4 pairs a step as in the data, {threads} threads", shape, new("dpo", 4, 3), threads);
        foreach (var length in (int[])[64, 128, 256, 512, 1024])
            yield return Line($"4 pairs a step of {length} tokens each answer, {effort.Threads} threads", "llama-25m", new("dpo", 4, 2) { Fixed = length, MaxLength = length }, effort.Threads);
        foreach (var pairs in (int[])[1, 2, 8, 16, 32])
            yield return Line($"{pairs} pairs a step as in the data, {effort.Threads} threads", "llama-25m", new("dpo", pairs, 2), effort.Threads);
    }

    // The shape of GPT-2, LoRA on all linear layers, 16 rows of at most 256 tokens; both ours, in turns.
    private static IEnumerable<Measurement> LoraAndFull(Effort effort, Workload work, CancellationToken cancel)
    {
        var rows = new TrainingRows("sft", 16, 2) { MaxLength = 256, Targets = "all" };
        var (lora, full) = (work.Training("lora-16", rows), work.Training("full-16", rows with { Targets = null }));
        var model = work.Model(Workload.Gpt2);
        var (step, whole, _, _) = effort.Kept(() => effort.Our("train", model, lora), () => effort.Our("train", model, full), cancel);
        yield return new("train", "gpt2, sft, lora on all linear layers, 16 rows a step, 2 steps", step, null, string.Create(CultureInfo.InvariantCulture, $"{step.Best / whole!.Best:0.00} of the full step, {Rate(rows, step)}"));
        yield return new("train", "gpt2, sft, all weights, 16 rows a step, 2 steps", whole, null, Rate(rows, whole));
    }

    private static string Rate(TrainingRows rows, SideFigures ours) =>
        string.Create(CultureInfo.InvariantCulture, $"{rows.Count / ours.Best:0.00} {(rows.Method == "dpo" ? "pairs" : "rows")}/s, {rows.Tokens / ours.Best:0} tokens/s");
}
