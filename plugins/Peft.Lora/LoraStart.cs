// Where A and B begin. default: A uniform within 1 / sqrt(in) (PEFT's kaiming start), B zero; gaussian: A normal with deviation
// 1 / rank. pissa (Meng et al. 2024): the largest singular vectors of W; olora (Buyukakyuz 2024): the first columns of its QR
// decomposition. Where PEFT takes the start out of the base weights, here it is subtracted beside them: the base stays the base.
// loftq (Li et al. 2023): the best product of the rank for what quantising the base lost. More alternations make another base, which
// an adapter's folder cannot say: quantize --loftq-rank writes both.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Lora;

internal static class LoraStart
{
    internal const string Default = "default";
    private const string Gaussian = "gaussian";
    private const string Pissa = "pissa";
    private const string Olora = "olora";
    internal const string Loftq = "loftq";
    private const string Iterated = "pissa_niter_";

    /// <summary>B stays at the smallest singular vectors of W, and A alone is trained (MiCA): of PEFT's folders, not of new adapters.</summary>
    internal const string Mica = "mica";

    internal static bool MovesTheBase(string init) => init is Pissa or Olora || init.StartsWith(Iterated, StringComparison.Ordinal);

    /// <exception cref="UserErrorException">There is no such start.</exception>
    internal static void Check(string init)
    {
        if (init is not (Default or Gaussian or Pissa or Olora or Loftq) && Iterations(init) is null)
            throw new UserErrorException($"init: '{init}' is none of {Default}, {Gaussian}, {Pissa}, {Iterated}N (N from 1), {Olora} and {Loftq}.");
    }

    /// <exception cref="UserErrorException">More alternations than one would make another base.</exception>
    internal static void CheckIterations(int iterations)
    {
        if (iterations > 1)
            throw new UserErrorException($"loftq_iter {iterations}: more than one alternation changes the 4-bit base, which an adapter's folder cannot say. Write the pair once with `peftalign quantize --model DIR --out BASE --loftq-rank R --loftq-iter {iterations}` and train over BASE from BASE/loftq_init (init_adapter), or leave loftq_iter at 1.");
    }

    /// <summary>The start that an adapter's configuration names; what matters after training is whether it moved PEFT's base.</summary>
    /// <exception cref="UserErrorException">The folder's tensors mean something only over a base that cannot be made again.</exception>
    internal static string OfConfig(JsonObject config)
    {
        const string key = "init_lora_weights";
        if (config[key] is not { } node || node.GetValueKind() is JsonValueKind.True or JsonValueKind.False) return Default;
        if (node.GetValueKind() == JsonValueKind.String)
        {
            var init = node.GetValue<string>();
            if (init is Pissa or Mica) return init; // in another case PISSA is no start, and MICA trains B too
            if (LoraInit.IsOlora(init)) return Olora;
            if (LoraInit.LeavesTheBase(init)) return Default;
        }
        throw AdapterConfig.Wrong(key, node, "true, false, a start that leaves the base weights alone (gaussian, eva, orthogonal, mica ...) or one that can be computed again (pissa, olora); save the adapter with PEFT's path_initial_model_for_weight_conversion, or merge it there");
    }

    /// <summary>New A and B.</summary>
    /// <param name="module">The module.</param>
    /// <param name="rank">Columns of B.</param>
    /// <param name="scale">Of the product.</param>
    /// <param name="init">The start.</param>
    /// <param name="seed">Seeds what is random.</param>
    internal static (Tensor A, Tensor B) Of(ModuleOutline module, int rank, double scale, string init, ulong seed)
    {
        if (module.Kind == ModuleKind.Embedding)
            return (torch.zeros([rank, module.Outputs], device: module.Device), new CounterStream(seed, "lora_embedding_B", module.Name).Normal([module.Inputs, rank]).to(module.Device));
        if (MovesTheBase(init) || init == Loftq)
        {
            if (rank > Math.Min(module.Inputs, module.Outputs))
                throw new UserErrorException($"init {init}: {module.Name} is {module.Outputs} by {module.Inputs} and has no {rank} singular directions; lower rank, or leave init at {Default}.");
            using var off = torch.no_grad();
            using var scope = torch.NewDisposeScope(); // full matrices: none stays
            var (made, times) = FromWeight(init == Loftq ? Lost(module) : Matrix(module), rank, scale, init, new CounterStream(seed, init, module.Name));
            return (made.MoveToOuterDisposeScope(), times.MoveToOuterDisposeScope());
        }
        var stream = new CounterStream(seed, "lora_A", module.Name);
        var bound = 1 / Math.Sqrt(module.Inputs);
        var a = init == Gaussian ? stream.Normal([rank, module.Inputs], 0, 1.0 / rank) : stream.Uniform([rank, module.Inputs], -bound, bound);
        return (a.to(module.Device), torch.zeros([module.Outputs, rank], device: module.Device));
    }

    /// <summary>(out, in) float32 the module's weight.</summary>
    internal static Tensor Matrix(ModuleOutline module)
    {
        var weight = (module.Tensor("weight") ?? throw new InvalidOperationException($"the outline gives no weight of {module.Name}")).detach().to(torch.float32);
        return module.Transposed ? weight.t() : weight;
    }

    // What quantising the base lost. A folder that was quantised already does not say what it held before.
    private static Tensor Lost(ModuleOutline module) => module.Unquantized() is { } full
        ? full.to(torch.float32) - Matrix(module)
        : throw new UserErrorException($"init {Loftq} starts {module.Name} from what quantising it lost, and it is not quantised, or its full weights are not at hand: start from the unquantised model with quantization: nf4 (adapter type qlora), go on from a pair that quantize --loftq-rank wrote (init_adapter), or leave init at {Default}.");

    private static (Tensor A, Tensor B) FromWeight(Tensor weight, int rank, double scale, string init, CounterStream stream)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        if (init == Olora)
        {
            var (q, r) = torch.linalg.qr(weight);
            return (r.narrow(0, 0, rank).contiguous().MoveToOuterDisposeScope(), q.narrow(1, 0, rank).contiguous().MoveToOuterDisposeScope());
        }
        var (u, s, vh) = Iterations(init) is { } iterations ? Randomised(weight, rank, iterations, stream) : init == Loftq ? OfProduct(weight, rank) : torch.linalg.svd(weight, fullMatrices: false);
        var root = (s.narrow(0, 0, rank) / scale).sqrt();
        return ((root.unsqueeze(1) * vh.narrow(0, 0, rank)).contiguous().MoveToOuterDisposeScope(), (u.narrow(1, 0, rank) * root).contiguous().MoveToOuterDisposeScope());
    }

    // The largest singular vectors from the eigenvectors of the smaller of W W' and W' W, in float64, where squaring loses nothing that float32
    // holds of the largest ones. Takes a fraction of the time of all singular vectors (docs/qlora.md). The loss from quantising is not
    // concentrated in a few directions, so subspace iteration would find different ones.
    private static (Tensor U, Tensor S, Tensor Vh) OfProduct(Tensor weight, int rank)
    {
        var wide = weight.to(torch.float64);
        var isTall = wide.size(0) > wide.size(1);
        var q = torch.linalg.eigh(isTall ? wide.t().mm(wide) : wide.mm(wide.t())).Q;
        q = q.narrow(1, q.size(1) - rank, rank).flip(1); // ascending
        var other = isTall ? wide.mm(q) : wide.t().mm(q); // other side's vectors, as long as the singular values
        var s = other.norm(0, false, 2);
        other = other / s.clamp(min: 1e-300);
        var (u, v) = isTall ? (other, q) : (q, other);
        return (u.to(torch.float32), s.to(torch.float32), v.t().to(torch.float32));
    }

    // Subspace iteration (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1).
    private static (Tensor U, Tensor S, Tensor Vh) Randomised(Tensor weight, int rank, int iterations, CounterStream stream)
    {
        var q = torch.linalg.qr(weight.mm(stream.Normal([weight.size(1), rank]).to(weight.device))).Q;
        for (var k = 0; k < iterations; k++)
            q = torch.linalg.qr(weight.mm(torch.linalg.qr(weight.t().mm(q)).Q)).Q;
        var (u, s, vh) = torch.linalg.svd(q.t().mm(weight), fullMatrices: false);
        return (q.mm(u), s, vh);
    }

    private static int? Iterations(string init) =>
        init.StartsWith(Iterated, StringComparison.Ordinal) && int.TryParse(init[Iterated.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var n) && n > 0 ? n : null;
}
