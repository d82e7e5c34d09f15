// The options of the loop, the same for every method, as the trainer uses them. Names, defaults, ranges and docs are the
// experiment language's (Core's Manifests.TrainingOptions); what it allows and the trainer lacks is refused by name.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Options of the training loop; see the documents for each one's meaning.</summary>
public sealed record TrainingOptions
{
    private const string Bfd = "bfd";

    /// <summary>Step size at the peak of the schedule.</summary>
    public double LearningRate { get; init; } = 5e-5;

    /// <summary>linear, cosine, constant and the others of the experiment language: how the step size goes after the warm-up.</summary>
    public string LrScheduler { get; init; } = "linear";

    /// <summary>Updates over which the step size grows; instead of warmup_ratio.</summary>
    public int WarmupSteps { get; init; }

    /// <summary>Part of all updates over which it grows; instead of warmup_steps.</summary>
    public double WarmupRatio { get; init; }

    /// <summary>Updates; 0 = as many as the epochs have.</summary>
    public int MaxSteps { get; init; }

    /// <summary>Passes over the data, where max_steps is 0.</summary>
    public double Epochs { get; init; } = 3;

    /// <summary>Records (pairs, for methods on pairs) of one micro-batch.</summary>
    public int BatchSize { get; init; } = 8;

    /// <summary>Micro-batches of one update.</summary>
    public int GradientAccumulationSteps { get; init; } = 1;

    /// <summary>Decay of the trained weights, times the step size of each update.</summary>
    public double WeightDecay { get; init; }

    /// <summary>adamw, adamw_8bit (moments in 8 bits), each also as paged_ (the same where there is no device memory to page out of), sgd or rmsprop.</summary>
    public string Optimizer { get; init; } = "adamw";

    /// <summary>Decay of Adam's first moment.</summary>
    public double AdamBeta1 { get; init; } = 0.9;

    /// <summary>Decay of Adam's second moment.</summary>
    public double AdamBeta2 { get; init; } = 0.999;

    /// <summary>What Adam adds to the second moment's root.</summary>
    public double AdamEpsilon { get; init; } = 1e-8;

    /// <summary>0 = no clipping.</summary>
    public double MaxGradNorm { get; init; } = 1;

    /// <summary>Most tokens of a row; longer ones are cut as truncation says.</summary>
    public int MaxLength { get; init; } = 1024;

    /// <summary>Most tokens of a prompt; null for no limit of its own.</summary>
    public int? MaxPromptLength { get; init; }

    /// <summary>keep_start or keep_end.</summary>
    public string Truncation { get; init; } = "keep_start";

    /// <summary>bfd, bfd_split or wrapped; null where rows are not packed.</summary>
    public string? Packing { get; init; }

    /// <summary>Whether each epoch has an order of its own.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>Seed of dropout, of new weights and, without a data seed, of the order.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>Seed of the order; null for the job's.</summary>
    public long? DataSeed { get; init; }

    /// <summary>Updates between passes over eval_data, beside the one after the last update; 0 = that one alone.</summary>
    public int EvalEvery { get; init; }

    /// <summary>Records of one forward pass over eval_data; null = those of a micro-batch.</summary>
    public int? EvalBatchSize { get; init; }

    /// <summary>Whether the rows of eval_data are packed; null = as the training rows.</summary>
    public bool? EvalPacking { get; init; }

    /// <summary>Updates between checkpoints; 0 = none.</summary>
    public int SaveEvery { get; init; } = 500;

    /// <summary>The latest checkpoints that are kept.</summary>
    public int KeepCheckpoints { get; init; } = 1;

    /// <summary>What the method refers to: "start", "base", or a folder.</summary>
    public string Reference { get; init; } = "start";

    /// <summary>A PEFT folder that the adapter starts from; null = a new one.</summary>
    public string? InitAdapter { get; init; }

    /// <summary>What the model computes in: float32 or bfloat16. Sums, log-probs, trained weights, their gradients' sums and the optimizer's state are float32.</summary>
    public torch.ScalarType Dtype { get; init; } = torch.ScalarType.Float32;

    /// <summary>Keep no activations between the forward pass of a micro-batch and its backward pass; compute them again.</summary>
    public bool GradientCheckpointing { get; init; }

    /// <summary>With rows no longer than the positions that a model has learned. Rotary ones go on past max_position_embeddings, as in transformers; TRL cuts at max_length alone.</summary>
    /// <param name="model">What will be trained.</param>
    public TrainingOptions Within(DecoderSpec model) => model.Names.Positions is null || MaxLength <= model.MaxPositions ? this : this with { MaxLength = (int)model.MaxPositions };

    /// <summary>From the training section of a plan's options.</summary>
    /// <param name="training">Canonical JSON, checked by the experiment language.</param>
    /// <param name="seed">The job's seed.</param>
    /// <param name="dtype">What to compute in where they do not say it.</param>
    /// <exception cref="NotBuiltException">An option that the trainer lacks has another value than its default.</exception>
    public static TrainingOptions Of(JsonObject training, long seed, torch.ScalarType dtype = torch.ScalarType.Float32)
    {
        var given = training.Where(o => o.Value is not null).ToDictionary(o => o.Key, o => o.Value!);
        T Take<T>(string name, T standard) => given.Remove(name, out var value) ? value.GetValue<T>() : standard;
        double Number(string name, double standard) => given.Remove(name, out var value) ? Deserialize(value) : standard;
        var standard = new TrainingOptions();
        var options = new TrainingOptions
        {
            LearningRate = Number("learning_rate", standard.LearningRate),
            LrScheduler = Take("lr_scheduler", standard.LrScheduler),
            WarmupSteps = Take("warmup_steps", standard.WarmupSteps),
            WarmupRatio = Number("warmup_ratio", standard.WarmupRatio),
            MaxSteps = Take("max_steps", standard.MaxSteps),
            Epochs = Number("epochs", standard.Epochs),
            BatchSize = Take("batch_size", standard.BatchSize),
            GradientAccumulationSteps = Take("gradient_accumulation_steps", standard.GradientAccumulationSteps),
            WeightDecay = Number("weight_decay", standard.WeightDecay),
            Optimizer = Built(Take("optimizer", standard.Optimizer)),
            AdamBeta1 = Number("adam_beta1", standard.AdamBeta1),
            AdamBeta2 = Number("adam_beta2", standard.AdamBeta2),
            AdamEpsilon = Number("adam_epsilon", standard.AdamEpsilon),
            MaxGradNorm = Number("max_grad_norm", standard.MaxGradNorm),
            MaxLength = Take("max_length", standard.MaxLength),
            MaxPromptLength = given.Remove("max_prompt_length", out var prompt) ? prompt.GetValue<int>() : null,
            Truncation = Take("truncation", standard.Truncation),
            Packing = Strategy(Take("packing", false), Take("packing_strategy", Bfd)),
            Shuffle = Take("shuffle", standard.Shuffle),
            Seed = seed,
            DataSeed = given.Remove("data_seed", out var data) ? data.GetValue<long>() : null,
            Reference = Take("reference", standard.Reference),
            InitAdapter = given.Remove("init_adapter", out var adapter) ? adapter.GetValue<string>() : null,
            GradientCheckpointing = Take("gradient_checkpointing", standard.GradientCheckpointing),
            SaveEvery = Take("save_every", standard.SaveEvery),
            Dtype = DtypeOf(given, dtype),
            EvalEvery = Take("eval_every", standard.EvalEvery),
            EvalBatchSize = given.Remove("eval_batch_size", out var held) ? held.GetValue<int>() : null,
            EvalPacking = given.Remove("eval_packing", out var packed) ? packed.GetValue<bool>() : null,
            KeepCheckpoints = Take("keep_checkpoints", standard.KeepCheckpoints),
        };
        given.Remove("eval_data"); // the job's: it opens data sets
        given.Remove("padding_free"); // batches never hold padding, whatever it says
        given.Remove("precompute_reference"); // the plan's: it makes a job of it
        foreach (var (name, value) in given) RefuseUnlessDefault(name, value);
        return options;
    }

    /// <summary>The options with which rows of eval_data are arranged and batched.</summary>
    public TrainingOptions OfEvaluation => this with { BatchSize = EvalBatchSize ?? BatchSize, Packing = EvalPacking switch { null => Packing, true => Packing ?? Bfd, false => null } };

    /// <summary>Updates of a run.</summary>
    /// <param name="records">Rows, or packs of rows.</param>
    /// <param name="options">Batch sizes, epochs, max_steps.</param>
    /// <exception cref="UserErrorException">The epochs have more updates than can be counted.</exception>
    public static int Steps(int records, TrainingOptions options) => new BatchOrder(records, options).TotalSteps;

    /// <summary>Tokens of a run's largest micro-batch, exactly where these are all rows and are drawn from one source, else about: that of as many updates over these.</summary>
    /// <param name="lengths">Tokens of each row that is trained.</param>
    /// <param name="steps">Updates.</param>
    /// <param name="options">Batch sizes, order.</param>
    public static long LargestBatch(IReadOnlyList<long> lengths, int steps, TrainingOptions options) => lengths.Count == 0 ? 0 : new BatchOrder(lengths.Count, options).Largest(lengths, steps);

    /// <summary>What rows become tokens with, where they are not packed.</summary>
    /// <param name="tokenizer">Null where rows are tokens already.</param>
    /// <param name="template">Null where the model has none.</param>
    /// <param name="ledger">Counts every row.</param>
    public PrepareContext Context(ITokenizer? tokenizer, IChatTemplate? template, MaskLedger ledger) => new(tokenizer, MaxLength, ledger)
    {
        ChatTemplate = template,
        MaxPromptLength = MaxPromptLength,
        KeepEnd = Truncation == "keep_end",
        BatchSize = BatchSize,
    };

    private static string? Strategy(bool packing, string strategy) => packing ? strategy : null;

    private static string Built(string optimizer) => optimizer is "adamw" or "paged_adamw" or "adamw_8bit" or "paged_adamw_8bit" or "sgd" or "rmsprop"
        ? optimizer
        : throw new NotBuiltException($"The option optimizer = {optimizer} is none of adamw, paged_adamw, adamw_8bit, paged_adamw_8bit, sgd and rmsprop.");

    private static torch.ScalarType DtypeOf(Dictionary<string, JsonNode> given, torch.ScalarType standard) => (given.Remove("dtype", out var type) ? (string?)type : null) switch
    {
        null => standard,
        "float32" => torch.ScalarType.Float32,
        "bfloat16" => torch.ScalarType.BFloat16,
        var other => throw new NotBuiltException($"dtype = {other}: small gradients vanish in it, and the loss is not scaled; take bfloat16 or float32."),
    };

    private static double Deserialize(JsonNode value) => System.Text.Json.JsonSerializer.Deserialize<double>(value);

    private static void RefuseUnlessDefault(string name, JsonNode value)
    {
        var schema = Manifests.TrainingOptions.FirstOrDefault(o => o.Name == name);
        if (schema?.Default is { } text && JsonNode.DeepEquals(JsonNode.Parse(text), value)) return;
        throw new NotBuiltException($"The option {name} = {value.ToJsonString()} is not built yet{(schema?.Default is { } d ? $"; leave it at {d}" : "; leave it out")}.");
    }
}
