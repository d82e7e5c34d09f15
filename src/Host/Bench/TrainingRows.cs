// What both sides train on: rows as long as real dialogues of HH-RLHF under LLaMA's tokenizer (hh-lengths.csv: the first rows of
// its helpful and harmless splits in turn, cut at 512 tokens), with random tokens, since speed does not depend on which they are.

using System.Globalization;
using System.Reflection;
using System.Text.Json.Nodes;
using PeftAlign.Torch;

namespace PeftAlign.Host.Bench;

/// <summary>Rows of one training, written as JSON for both sides.</summary>
/// <param name="Method">dpo or sft.</param>
/// <param name="Batch">Rows of a step; dpo: pairs.</param>
/// <param name="Steps">Measured steps.</param>
internal sealed record TrainingRows(string Method, int Batch, int Steps)
{
    private const int Warmup = 1, Vocabulary = 32000;

    private static readonly (int Prompt, int Chosen, int Rejected)[] Lengths = Read();

    /// <summary>Most tokens of a row.</summary>
    internal int MaxLength { get; init; } = 512;

    /// <summary>Whether the measured rows are sorted by length, which spares a padding trainer much.</summary>
    internal bool Grouped { get; init; }

    /// <summary>Every row of this length, three quarters of it prompt; null = as in the data.</summary>
    internal int? Fixed { get; init; }

    /// <summary>LoRA's targets (rank 16): q and v, or all linear layers; null trains all weights.</summary>
    internal string? Targets { get; init; } = "qv";

    /// <summary>Whether in bfloat16: our base and activations, TRL's autocast (`bf16: true`); else float32 on both sides.</summary>
    internal bool Narrow { get; init; }

    /// <summary>What such a file says of the model's type.</summary>
    internal static torch.ScalarType Dtype(JsonNode spec) => (string?)spec["dtype"] == "bfloat16" ? torch.bfloat16 : torch.float32;

    /// <summary>Tokens of the measured rows, a prompt counted with each of its answers.</summary>
    internal long Tokens => Measured.Sum(r => r.Prompt + (long)r.Chosen + (Method == "dpo" ? r.Prompt + r.Rejected : 0));

    /// <summary>Rows of the measured steps.</summary>
    internal int Count => Batch * Steps;

    internal IEnumerable<(int Prompt, int Chosen, int Rejected)> Measured => All.Skip(Warmup * Batch);

    private IEnumerable<(int Prompt, int Chosen, int Rejected)> All
    {
        get
        {
            var taken = Enumerable.Range(0, (Warmup + Steps) * Batch).Select(k => Cut(Lengths[k % Lengths.Length])).ToList();
            var measured = taken.Skip(Warmup * Batch);
            return taken.Take(Warmup * Batch).Concat(Grouped ? measured.OrderBy(r => r.Prompt + (Method == "dpo" ? Math.Max(r.Chosen, r.Rejected) : r.Chosen)) : measured);
        }
    }

    /// <summary>The file's contents.</summary>
    internal JsonObject Json()
    {
        var random = new Random(7);
        JsonArray Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => (JsonNode)random.Next(3, Vocabulary))];
        return new JsonObject
        {
            ["method"] = Method,
            ["adapter"] = Targets is null ? null : new JsonObject { ["name"] = "lora", ["options"] = new JsonObject { ["rank"] = 16, ["alpha"] = 32, ["targets"] = Targets == "qv" ? new JsonArray("q_proj", "v_proj") : new JsonArray("all-linear") } },
            ["dtype"] = Narrow ? "bfloat16" : "float32",
            ["warmup"] = Warmup,
            ["batch"] = Batch,
            ["max_length"] = MaxLength,
            ["rows"] = new JsonArray([.. All.Select(r => (JsonNode)(Method == "dpo"
                ? new JsonObject { ["prompt_ids"] = Ids(r.Prompt), ["chosen_ids"] = Ids(r.Chosen), ["rejected_ids"] = Ids(r.Rejected) }
                : new JsonObject { ["prompt_ids"] = Ids(r.Prompt), ["completion_ids"] = Ids(r.Chosen) }))]),
        };
    }

    private (int Prompt, int Chosen, int Rejected) Cut((int Prompt, int Chosen, int Rejected) row)
    {
        if (Fixed is { } length) return (length * 3 / 4, length - (length * 3 / 4), length - (length * 3 / 4));
        var prompt = Math.Min(row.Prompt, MaxLength - 2);
        return (prompt, Math.Min(row.Chosen, MaxLength - prompt), Math.Min(row.Rejected, MaxLength - prompt));
    }

    private static (int, int, int)[] Read()
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream("Bench/hh-lengths.csv")!);
        return [.. reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(line => line.Split(','))
            .Select(f => (Number(f[0]), Number(f[1]), Number(f[2])))];
        static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
    }
}
