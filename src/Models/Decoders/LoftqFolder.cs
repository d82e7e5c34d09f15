// LoftQ (Li et al. 2023): a 4-bit base Q and an adapter BA beside it that together are as near to the full weights W as alternating
// gets: Q quantises W - BA, then BA is the best product of its rank for W - Q. The base is another one than quantising W gives, so
// the two are written as a pair. The adapter's own start (init: loftq) is the second half of a turn.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>Pairs of a quantised folder and the adapter that belongs to it.</summary>
public static class LoftqFolder
{
    /// <summary>Quantises a folder and makes the adapter that makes up for it.</summary>
    /// <param name="target">An empty folder for the base.</param>
    /// <param name="from">A model folder.</param>
    /// <param name="name">What the adapter's configuration names as its base.</param>
    /// <param name="quantization">The format.</param>
    /// <param name="skipped">What the user asked to leave as it is, for the configuration.</param>
    /// <param name="architectures">The known ones.</param>
    /// <param name="adapter">Starts each of its modules at the best product of its rank for what quantising lost.</param>
    /// <param name="iterations">Turns; with one the base is the plainly quantised one.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <returns>Facts on the folder, and the adapter's contents, whose tensors are the caller's scope's.</returns>
    /// <exception cref="UserErrorException">The folder is quantised already or no model, or the adapter selects what stays as it is.</exception>
    public static (LoftqFacts Facts, AdapterFiles Adapter) Write(string target, string from, string name, IQuantization quantization, IReadOnlyList<string> skipped, ModelArchitectures architectures, IPeftAdapter adapter, int iterations, Action<string>? warn = null)
    {
        using var off = torch.no_grad();
        var config = ModelConfig.Open(from);
        if (config.IsQuantized) throw config.Wrong("quantization_config", "absent: LoftQ starts from full weights, and nothing is quantised twice");
        var model = ModelFolder.Decoder(from, architectures.Describe(config), null, dtype: null, makes: quantization);
        try
        {
            var sites = adapter.Attach(model.Outline(name), 0);
            var plain = Lost(model, sites, false);
            for (var turn = 1; turn < iterations; turn++)
            {
                var next = Again(model, sites, quantization);
                Free(model.Quantized.Values.Except(next.Quantized.Values));
                foreach (var tensor in sites.SelectMany(site => site.Delta.Parameters.Values)) tensor.Dispose();
                (model, sites) = (next, adapter.Attach(next.Outline(name), 0));
            }
            var folder = QuantizedFolder.Write(target, from, new Made(quantization, model.Quantized), skipped, architectures, warn: warn);
            return (new LoftqFacts(folder, sites.Count, plain, Lost(model, sites, true)), adapter.Save(model.Outline(name), sites));
        }
        finally
        {
            Free(model.Quantized.Values);
        }
    }

    // The same model, with the adapter's product subtracted from each matrix before it is quantised.
    private static DecoderModel Again(DecoderModel model, IReadOnlyList<AdapterSite> sites, IQuantization quantization)
    {
        var matrices = model.Quantized.ToDictionary();
        foreach (var (module, delta) in sites)
        {
            using var scope = torch.NewDisposeScope();
            var weight = module + ".weight";
            var rest = Full(model, weight).sub_(Product(module, delta));
            matrices[weight] = quantization.Quantized(weight, rest.to(matrices[weight].StoredType));
        }
        return new DecoderModel(model.Spec, model.Weights, matrices) { Unquantized = model.Unquantized };
    }

    // The length (Frobenius) of what quantising lost in the adapter's modules, with or without what the adapter makes up for.
    private static double Lost(DecoderModel model, IReadOnlyList<AdapterSite> sites, bool adapted)
    {
        var squares = 0.0;
        foreach (var (module, delta) in sites)
        {
            using var scope = torch.NewDisposeScope();
            var weight = module + ".weight";
            if (!model.Quantized.TryGetValue(weight, out var matrix))
                throw new UserErrorException($"LoftQ makes up for what quantising lost, and {module} is not quantised; leave it out of the adapter's targets.");
            var rest = Full(model, weight).sub_(QuantizedProduct.Full(matrix, torch.float32));
            if (adapted) rest.sub_(Product(module, delta));
            squares += rest.norm(1).to(torch.float64).square().sum().item<double>(); // by rows: one float32 sum falls short over many
        }
        return Math.Sqrt(squares);
    }

    // (out, in) float32, new.
    private static Tensor Full(DecoderModel model, string weight) => model.Unquantized!(weight) ?? throw new InvalidOperationException($"{weight} is gone from the folder");

    private static Tensor Product(string module, Delta delta) => delta is LowRank { Start: null } low
        ? low.B.mm(low.A).mul_(low.Scale)
        : throw new UserErrorException($"LoftQ alternates with a low-rank product, and the adapter changes {module} otherwise; use lora.");

    private static void Free(IEnumerable<QuantizedMatrix> matrices)
    {
        foreach (var matrix in matrices.ToList()) matrix.Dispose();
    }

    // Matrices that were quantised already, in the quantisation's format.
    private sealed class Made(IQuantization format, IReadOnlyDictionary<string, QuantizedMatrix> matrices) : IQuantization
    {
        public bool Reads(System.Text.Json.JsonElement config) => format.Reads(config);

        public QuantizedMatrix? Read(StoredWeight weight) => format.Read(weight);

        public bool Takes(string module) => format.Takes(module);

        public QuantizedMatrix Quantize(string weight, Tensor matrix) => matrices[weight];

        public System.Text.Json.Nodes.JsonObject Config(IReadOnlyList<string> kept, torch.ScalarType type) => format.Config(kept, type);
    }
}

/// <summary>What became of a folder and its adapter.</summary>
/// <param name="Folder">The base.</param>
/// <param name="Modules">Modules of the adapter.</param>
/// <param name="Lost">Frobenius norm of what plain quantisation loses in them.</param>
/// <param name="Left">Of what the pair still lacks.</param>
public sealed record LoftqFacts(QuantizedFolderFacts Folder, int Modules, double Lost, double Left);
