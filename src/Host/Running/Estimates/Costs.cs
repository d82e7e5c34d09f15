// What work costs, by rule of thumb: memory from the shapes, time from matrix products and a share for each call of an operator.
// The constants were measured on tiny models and stand for a processor; finished jobs of a run correct them (PlanForecast).

using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using PeftAlign.Training;

namespace PeftAlign.Host.Running.Estimates;

internal static class Costs
{
    /// <summary>Bytes of a process with runtime and libtorch in which a model is trained or asked, measured without the model.</summary>
    internal static long Process => LibtorchCosts.Here.Process;

    /// <summary>The same where weights are only made or merged, by kernels that need no more code and no pools: 219 to 233 MB with Debian's libtorch, 172 to 187 with 2.13.</summary>
    internal static long WeightsProcess => LibtorchCosts.Here.WeightsProcess;

    /// <summary>Seconds until a process has its runtime, its plugins and libtorch.</summary>
    internal const double Start = 1;

    /// <summary>Multiplications and additions per second and thread that float32 matrices of moderate size reach.</summary>
    internal const double FlopsPerThread = 15e9;

    /// <summary>Multiplications and additions per second that one GPU reaches in bfloat16: 45 % of the 790e12 measured for large products on an H200.</summary>
    internal const double FlopsPerGpu = 355e12;

    private const int FloatBytes = 4;
    private static readonly JsonSerializerOptions AsRead = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    // Bytes that a float32 adapter over bfloat16 takes on a processor for each byte of the inputs that it keeps copies of: the copies, its outputs, and
    // what the C library's allocator holds because freed pieces of both widths lie between those in use (docs/qlora.md).
    private const double CopiedHoles = 2.75;

    // Bytes that the allocator holds for each byte in use where a block's bfloat16 pieces are allocated and freed over and over.
    private const double NarrowHoles = 2.4;

    // Memory of a training's rows, all of which it keeps: measured with 100,000 rows of 1,000 bytes and a million of 300, the collector's overhead included.
    private const double HeldPerByte = 1.5;
    private const long HeldPerRow = 900;

    private const long Piece = 1 << 22; // of moments that are updated at once
    private const long EightBitPiece = 1 << 18;
    private const long EightBitBytes = 76;

    private const long HeadChunk = 256; // rows of which logits are in memory at once, where they are needed
    private const long HeadRows = 504; // and where not, of which sums of the head's rows are, for each of so many slices of the vocabulary
    private const long HeadSlices = 8;
    private const long PackRows = 2048; // of one forward pass
    private const long KeptRows = 8192; // whose blocks' inputs stay under gradient checkpointing
    private const double PassSeconds = 3e-3;
    private const double LayerSeconds = 1e-3;
    private const double BytesPerSecond = 500e6;
    private const double StepSeconds = 1e-3; // a decoding step: choosing tokens, the calls around the blocks
    private const double StepLayerSeconds = 0.2e-3;
    private const double WeightBytesPerThread = 10e9; // of weights, in a second

    /// <summary>Seconds of a question to a service: four at once, each a few seconds.</summary>
    internal const double ServiceSeconds = 1;

    /// <summary>Numbers of a model.</summary>
    internal static long Parameters(DecoderSpec model) => model.Weights().Sum(weight => weight.Shape.Aggregate(1L, (a, b) => a * b));

    /// <summary>Bytes of the weights in memory, in the type that `dtype` says. Where they are quantised, the linear layers take 4 bits and a scale for each 64 numbers, and one of them is there decoded as well.</summary>
    internal static long Held(DecoderSpec model, torch.ScalarType dtype, bool quantised)
    {
        static long Count(WeightSpec weight) => weight.Shape.Aggregate(1L, (a, b) => a * b);
        var width = dtype.ElementSize();
        if (!quantised) return width * Parameters(model);
        var few = model.Weights().Where(weight => weight.Role == WeightRole.Matrix).Select(Count).ToList();
        return width * (Parameters(model) - few.Sum() + few.DefaultIfEmpty(0).Max()) + few.Sum(count => count / 2 + count / 16);
    }

    /// <summary>Bytes that training adds: gradients and two moments, and for an adapter the trained numbers themselves.</summary>
    /// <param name="trainable">How many.</param>
    /// <param name="adapter">Whether they are an adapter's.</param>
    /// <param name="options">Its optimiser's moments; whether trained weights and their gradients are there in bfloat16 as well.</param>
    /// <param name="embedded">How many of them are a model's embeddings, whose moments are in full.</param>
    internal static long Trained(long trainable, bool adapter, TrainingOptions options, long embedded) =>
        (long)(trainable * ((adapter ? 3 : options.Dtype != torch.ScalarType.Float32 ? 2 : 1) * FloatBytes + MomentBytes(options.Optimizer))
            + (options.Optimizer.EndsWith("adamw_8bit", StringComparison.Ordinal) ? embedded * (2 * FloatBytes - MomentBytes(options.Optimizer)) : 0));

    /// <summary>Numbers of a model's embeddings, of positions too where they are learned.</summary>
    internal static long Embedded(DecoderSpec model) =>
        model.Weights().Where(weight => weight.Name == model.Names.Embedding + ".weight" || weight.Name == model.Names.Positions + ".weight").Sum(weight => weight.Shape.Aggregate(1L, (a, b) => a * b));

    /// <summary>Bytes of a step besides weights, gradients and moments: those of a backward pass and those of the update, which cannot reuse the scattered memory that the backward pass freed.</summary>
    /// <param name="model">Its shape.</param>
    /// <param name="tokens">Of a step.</param>
    /// <param name="longest">Row.</param>
    /// <param name="arithmetic">What is computed, and in what.</param>
    /// <param name="options">Whether blocks are computed again; the optimiser.</param>
    /// <param name="trainable">Numbers that are trained.</param>
    internal static long Step(DecoderSpec model, long tokens, long longest, Arithmetic arithmetic, TrainingOptions options, long trainable) =>
        (options.GradientCheckpointing ? Recomputed(model, tokens, longest, arithmetic) : Activations(model, tokens, longest, arithmetic))
            + Updating(trainable, options.Optimizer) + (long)(Tables(arithmetic) * Bytes(Largest(model)));

    // The gradients of embedding and head that are made before they are added to the sum; in float32 a head's is added as it is made, on the
    // processor an embedding's too. An adapter's own in float32 over bfloat16 are there in bfloat16 as well: measured with the allocator's holes.
    private static double Tables(Arithmetic arithmetic) => arithmetic switch
    {
        { TrainsHead: false, TrainsEmbedding: false } => 0,
        { Type: torch.ScalarType.Float32, OnGpu: false } => 0,
        { Type: torch.ScalarType.Float32 } => 1,
        { AreSaved: false } => 2,
        { TrainsHead: true, TrainsEmbedding: true } => 3.5,
        { TrainsHead: true } => 3,
        _ => 2.5,
    };

    private static long Largest(DecoderSpec model) => model.Weights().Max(weight => weight.Shape.Aggregate(1L, (a, b) => a * b));

    // Temporaries of a piece of the moments: with 8 bits both moments in full and what packs them again; else the square root of one.
    private static long Updating(long trainable, string optimizer) => optimizer switch
    {
        "adamw_8bit" or "paged_adamw_8bit" => EightBitBytes * Math.Min(trainable, EightBitPiece),
        "sgd" => 0,
        _ => FloatBytes * Math.Min(trainable, Piece),
    };

    // Of a trained number: 8 bits have a factor for each 256. Paged moments stay where there is room for them.
    private static double MomentBytes(string optimizer) => optimizer switch
    {
        "adamw_8bit" or "paged_adamw_8bit" => 2 * (1 + (FloatBytes / (double)Blockwise8.Blocksize)),
        "rmsprop" => FloatBytes,
        "sgd" => 0,
        _ => 2 * FloatBytes,
    };

    /// <summary>Bytes that a training holds of a row.</summary>
    internal static long Row(DataRecord row) => HeldPerRow + (long)(HeldPerByte * Encoding.UTF8.GetByteCount(row.Fields.ToJsonString(AsRead)));

    /// <summary>Bytes of weights on disk or in memory.</summary>
    internal static long Bytes(long parameters) => FloatBytes * parameters;

    /// <summary>Bytes that a backward pass needs: what went into and came out of every matrix, and the norms; the attention's probabilities where
    /// no kernel of ours does without them; what an adapter keeps in float32; and at the head one chunk of logits with its softmax, or sums of the head's rows.</summary>
    internal static long Activations(DecoderSpec model, long tokens, long longest, Arithmetic arithmetic)
    {
        if (arithmetic is { Type: torch.ScalarType.Float32, OnGpu: false, Training: { } work }) return (long)(WideTraining.Activations(model, tokens, longest, work) + Head(model, tokens, arithmetic));
        // Of an adapter that keeps no copies in float32 the same tensors are there in half the bytes.
        if (arithmetic is { Type: torch.ScalarType.BFloat16, OnGpu: false, Training: { All: false, Copied: 0 } plain })
            return (long)((WideTraining.Activations(model, tokens, longest, plain) * arithmetic.Width / FloatBytes) + Head(model, tokens, arithmetic));
        return ByMatrices(model, tokens, longest, arithmetic);
    }

    private static long ByMatrices(DecoderSpec model, long tokens, long longest, Arithmetic arithmetic)
    {
        var matrices = model.Weights().Where(weight => weight.Role == WeightRole.Matrix).Sum(weight => weight.Shape.Sum());
        var probabilities = model.ScoreCap is not null || (arithmetic.OnGpu && LibtorchCosts.Here.ComposesAttention) ? model.Layers * model.Heads * longest : 0;
        var copied = FloatBytes * model.Layers * arithmetic.Copied * (arithmetic.OnGpu ? 1 : CopiedHoles);
        var perToken = (arithmetic.Width * (matrices + (4L * model.Layers * model.Hidden) + probabilities)) + copied;
        var besides = arithmetic is { OnGpu: true, Training: not null } ? (tokens * model.Layers * DeviceTraining.Kept(arithmetic)) + DeviceTraining.AtWork(model, Math.Min(tokens, Math.Max(PackRows, longest)), arithmetic) : 0;
        return (long)((tokens * perToken) + besides + Head(model, tokens, arithmetic));
    }

    private static long Head(DecoderSpec model, long tokens, Arithmetic arithmetic)
    {
        var withoutLogits = arithmetic is { Type: torch.ScalarType.Float32 or torch.ScalarType.BFloat16, OnGpu: false, TrainsHead: false } && model.LogitCap is null;
        if (withoutLogits) return HeadSlices * FloatBytes * Math.Min(tokens, HeadRows) * model.EmbeddingWidth;
        var copies = arithmetic is { TrainsHead: true, Width: < FloatBytes, OnGpu: false } ? 4 : 2; // in float32 for the softmax, and its slopes
        return copies * arithmetic.Width * Math.Min(tokens, HeadChunk) * model.Vocabulary;
    }

    /// <summary>The same where blocks are computed again: their inputs, and the inside of one.</summary>
    internal static long Recomputed(DecoderSpec model, long tokens, long longest, Arithmetic arithmetic)
    {
        var inputs = arithmetic.Width * Math.Min(tokens, KeptRows) * model.Layers * model.Hidden;
        if (arithmetic is { Type: torch.ScalarType.Float32, OnGpu: false, Training: { } work }) return inputs + (long)WideTraining.Again(model, tokens, longest, work) + Head(model, tokens, arithmetic);
        return (long)(Forward(model, Math.Min(tokens, Math.Max(PackRows, longest)), longest, arithmetic) * (arithmetic is { Width: < FloatBytes, OnGpu: false } ? NarrowHoles : 1)) + inputs;
    }

    /// <summary>Bytes that a forward pass needs: one layer's activations and a chunk of logits.</summary>
    internal static long Forward(DecoderSpec model, long tokens, long longest, Arithmetic arithmetic) => ByMatrices(model with { Layers = 1 }, tokens, longest, arithmetic);

    /// <summary>Seconds of passes over a model.</summary>
    /// <param name="model">Its shape.</param>
    /// <param name="passes">How many.</param>
    /// <param name="tokens">Of all passes together.</param>
    /// <param name="work">1 forward, 2 forward and backward without gradients of weights, 3 with them.</param>
    /// <param name="threads">Processor threads.</param>
    internal static double Passes(DecoderSpec model, double passes, double tokens, double work, int threads) =>
        work * (passes * (PassSeconds + LayerSeconds * model.Layers) + 2.0 * Parameters(model) * tokens / (FlopsPerThread * threads));

    /// <summary>Multiplications and additions of passes over a model: two for each weight of a matrix and token; a table of embeddings is only looked up.</summary>
    /// <param name="model">Its shape.</param>
    /// <param name="tokens">Of all passes together.</param>
    /// <param name="work">1 forward, 2 forward and backward without gradients of weights, 3 with them.</param>
    internal static double Flops(DecoderSpec model, double tokens, double work) =>
        work * 2.0 * tokens * ((double)model.Vocabulary * model.EmbeddingWidth + model.Weights().Where(weight => weight.Role == WeightRole.Matrix).Sum(weight => weight.Shape.Aggregate(1.0, (a, b) => a * b)));

    /// <summary>Seconds of decoding steps: calls, and products that wait for the weights where few texts are written at once.</summary>
    /// <param name="model">Its shape.</param>
    /// <param name="steps">How many.</param>
    /// <param name="rows">Texts that a step continues.</param>
    /// <param name="threads">Processor threads.</param>
    internal static double Steps(DecoderSpec model, double steps, double rows, int threads) =>
        steps * (StepSeconds + StepLayerSeconds * model.Layers + Math.Max(Bytes(Parameters(model)) / (WeightBytesPerThread * threads), Flops(model, rows, 1) / (FlopsPerThread * threads)));

    /// <summary>Bytes of keys and values of so many tokens.</summary>
    internal static long Cache(DecoderSpec model, long tokens, Arithmetic arithmetic) => 2 * arithmetic.Width * tokens * model.Layers * model.KeyValueHeads * model.HeadWidth;

    /// <summary>Seconds to read or write so many bytes and look at each number.</summary>
    internal static double Moving(double bytes) => bytes / BytesPerSecond;
}

/// <summary>The types and kept tensors with which a training, or a model that only answers, computes.</summary>
/// <param name="Type">Of the base and of activations.</param>
/// <param name="Copied">Numbers of a token and block that are kept in float32 too: the inputs of what an adapter in float32 changes, where it keeps copies.</param>
/// <param name="OnGpu">Whether on a GPU, where the attention may be composed: by libtorch before 2, or with a cap.</param>
internal sealed record Arithmetic(torch.ScalarType Type, long Copied, bool OnGpu)
{
    internal int Width => Type.ElementSize();

    /// <summary>What is trained; null where nothing is.</summary>
    internal TrainedWork? Training { get; init; }

    /// <summary>Whether the output head is trained, for which its logits are needed.</summary>
    internal bool TrainsHead { get; init; }

    /// <summary>Whether the embedding is trained.</summary>
    internal bool TrainsEmbedding { get; init; }

    /// <summary>Whether these are an adapter's own (modules_to_save) and not the model's.</summary>
    internal bool AreSaved { get; init; }

    /// <summary>Inputs of a token and block that are kept under dropout.</summary>
    internal long Dropped { get; init; }

    /// <summary>Outputs of a token and block that DoRA turns.</summary>
    internal long Turned { get; init; }

    /// <summary>The arithmetic of a training.</summary>
    /// <param name="model">The model.</param>
    /// <param name="type">dtype.</param>
    /// <param name="work">What is trained.</param>
    /// <param name="onGpu">Whether on a GPU.</param>
    internal static Arithmetic Of(DecoderSpec model, torch.ScalarType type, TrainedWork work, bool onGpu) => new(type, type == torch.ScalarType.Float32 ? 0 : work.Copied / model.Layers, onGpu)
    {
        Training = work,
        Dropped = work.Dropped / model.Layers,
        Turned = work.Turned / model.Layers,
    };
}
