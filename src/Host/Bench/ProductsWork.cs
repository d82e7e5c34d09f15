// The matrix products of a training run's measured steps and nothing else, at the machine's present rate: their share of a step
// says how near the trainer is to what the machine can do. Counted are the linear layers forward (DPO: also of the
// reference) and backward where something below is trained, and the output head in chunks. LoRA's pairs are not counted: being
// thin, they are overhead.

using System.Diagnostics;
using System.Text.Json.Nodes;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Bench;

/// <summary>Products for LoRA on q and v over a frozen LLaMA.</summary>
/// <param name="folder">The model.</param>
/// <param name="spec">A file of <see cref="TrainingRows"/>.</param>
internal sealed class ProductsWork(string folder, JsonNode spec)
{
    private readonly DecoderModel model = ModelFolder.Load(folder, dtype: TrainingRows.Dtype(spec));

    /// <summary>Seconds of all products of the measured steps.</summary>
    internal (double Seconds, JsonArray Answer) Run()
    {
        var (batch, warmup, dpo) = ((int)spec["batch"]!, (int)spec["warmup"]!, (string)spec["method"]! == "dpo");
        var clock = new Stopwatch();
        using var off = torch.no_grad();
        foreach (var step in spec["rows"]!.AsArray().Skip(warmup * batch).Chunk(batch))
        {
            int Count(string name) => step.Sum(row => row![name] is JsonArray ids ? ids.Count : 0);
            int[] answers = dpo ? [Count("chosen_ids"), Count("rejected_ids")] : [Count("completion_ids")];
            Step(Count("prompt_ids") + answers.Sum() - (answers.Length * step.Length), answers.Sum(), dpo ? 2 : 1, clock);
        }
        return (clock.Elapsed.TotalSeconds, []);
    }

    // rows in the trunk, asked of the head; passes forward.
    private void Step(long rows, long asked, int passes, Stopwatch clock)
    {
        foreach (var matrix in model.Spec.Weights().Where(w => w.Shape.Length == 2 && w.Name.EndsWith("_proj.weight", StringComparison.Ordinal)))
        {
            var (input, last) = (IsInput(matrix.Name), matrix.Name.Contains($".{model.Spec.Layers - 1}.", StringComparison.Ordinal));
            var first = matrix.Name.Contains("layers.0.", StringComparison.Ordinal);
            using var scope = torch.NewDisposeScope();
            var n = last && !input ? asked : rows; // behind the last attention only what is asked for
            using var weight = torch.randn(matrix.Shape).to(model.Head.dtype);
            var (x, y) = (torch.randn(n, matrix.Shape[1]).to(model.Head.dtype), torch.randn(n, matrix.Shape[0]).to(model.Head.dtype));
            clock.Start();
            for (var k = 0; k < passes; k++) Products.Of(x, weight.t()).Dispose();
            if (!(first && input)) Products.Of(y, weight).Dispose();
            clock.Stop();
        }
        for (var left = asked; left > 0; left -= LogProbEngine.HeadRows)
        {
            using var scope = torch.NewDisposeScope();
            var n = Math.Min(left, LogProbEngine.HeadRows);
            var (x, y) = (torch.randn(n, model.Head.shape[1]).to(model.Head.dtype), torch.randn(n, model.Head.shape[0]).to(model.Head.dtype));
            clock.Start();
            for (var k = 0; k < passes; k++) Products.Of(x, model.Head.t()).Dispose();
            Products.Of(y, model.Head).Dispose();
            clock.Stop();
        }
    }

    private static bool IsInput(string name) => name.EndsWith("q_proj.weight", StringComparison.Ordinal) || name.EndsWith("k_proj.weight", StringComparison.Ordinal) || name.EndsWith("v_proj.weight", StringComparison.Ordinal);
}
