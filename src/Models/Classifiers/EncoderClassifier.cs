// RoBERTa and DeBERTa sequence classifiers: an encoder over padded rows, a head on the first token. Padding is masked out of
// every attention, so that a row's numbers do not depend on the rows beside it.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Classifiers;

internal sealed class EncoderClassifier : SequenceClassifier
{
    private readonly EncoderSpec spec;
    private readonly Dictionary<string, Tensor> weights;

    internal EncoderClassifier(EncoderSpec spec, Dictionary<string, Tensor> weights) => (this.spec, this.weights) = (spec, weights);

    public override string ModelType => spec.ModelType;

    public override long Labels => spec.Labels;

    public override long MaxTokens => spec.MaxTokens;

    public override bool TakesLonger => spec.TakesLonger;

    public override long Vocabulary => spec.Vocabulary;

    public override IReadOnlyDictionary<string, Tensor> Weights => weights;

    public override void SetWeight(string name, Tensor tensor) => weights[name] = tensor;

    protected override Tensor Compute(IReadOnlyList<int[]> rows)
    {
        using var scope = torch.NewDisposeScope();
        var (ids, hidden) = Padded(rows);
        var x = Embed(ids); // (B, T, d)
        var relative = spec.Relative is { } r ? (Distances: r.Distances(ids.size(1), ids.device), Table: RelativeTable()) : default((Tensor Distances, Tensor Table)?);
        for (var l = 0; l < spec.Layers; l++)
        {
            using var below = x;
            x = Layer(below, l, hidden, relative);
        }
        var first = Linear(x.select(1, 0), spec.HeadInput);
        return Linear(spec.HeadTanh ? first.tanh() : F.gelu(first), spec.HeadOutput).MoveToOuterDisposeScope();
    }

    // (B, T) ids filled up with the padding id, and (B, 1, 1, T) true where a column is filling.
    private (Tensor Ids, Tensor Hidden) Padded(IReadOnlyList<int[]> rows)
    {
        var (width, device) = (rows.Max(r => r.Length), weights[spec.HeadOutput + ".weight"].device);
        var ids = new long[rows.Count * width];
        Array.Fill(ids, spec.PadToken);
        for (var b = 0; b < rows.Count; b++)
            for (var t = 0; t < rows[b].Length; t++) ids[b * width + t] = rows[b][t];
        var lengths = torch.tensor(rows.Select(r => (long)r.Length).ToArray(), device: device).unsqueeze(1);
        var hidden = torch.arange(width, torch.int64, device).unsqueeze(0).ge(lengths);
        return (torch.tensor(ids, [rows.Count, width], device: device), hidden.unsqueeze(1).unsqueeze(1));
    }

    private Tensor Embed(Tensor ids)
    {
        var tables = spec.Prefix + "embeddings.";
        var x = F.embedding(ids, weights[tables + "word_embeddings.weight"], spec.PadToken);
        if (spec.TokenTypes > 0) x = x + weights[tables + "token_type_embeddings.weight"].select(0, 0);
        if (spec.Positions is not null) x = x + Positions(ids, weights[tables + "position_embeddings.weight"]);
        return Norm(x, tables + "LayerNorm");
    }

    // RoBERTa counts tokens that are not the padding id, wherever that stands.
    private Tensor Positions(Tensor ids, Tensor table)
    {
        if (spec.FirstPosition == 0) return F.embedding(torch.arange(ids.size(1), torch.int64, ids.device), table);
        var counted = ids.ne(spec.PadToken).to(torch.int64);
        return F.embedding(counted.cumsum(1) * counted + spec.PadToken, table, spec.PadToken);
    }

    private Tensor RelativeTable()
    {
        var table = weights[spec.Prefix + "encoder.rel_embeddings.weight"];
        return spec.Relative!.Norm ? Norm(table, spec.Prefix + "encoder.LayerNorm") : table;
    }

    private Tensor Layer(Tensor x, int l, Tensor hidden, (Tensor Distances, Tensor Table)? relative)
    {
        using var scope = torch.NewDisposeScope();
        string Name(string part) => spec.Layer(l, part);
        var q = Heads(Linear(x, Name("attention.self.query" + spec.Projection))); // (B, H, T, D)
        var k = Heads(Linear(x, Name("attention.self.key" + spec.Projection)));
        var v = Heads(Linear(x, Name("attention.self.value" + spec.Projection)));
        var scores = q.matmul(k.transpose(-1, -2)); // (B, H, T, T)
        if (relative is { } positions) scores = Disentangled(scores, q, k, positions.Distances, positions.Table, l);
        scores = scores / Math.Sqrt(q.size(3) * spec.ScoreTerms);
        var probs = scores.masked_fill(hidden, double.NegativeInfinity).softmax(-1);
        var mixed = probs.matmul(v).transpose(1, 2).reshape(x.shape);
        var middle = Norm(x + Linear(mixed, Name("attention.output.dense")), Name("attention.output.LayerNorm"));
        var inner = Linear(middle, Name("intermediate.dense"));
        inner = spec.Activation switch
        {
            Activation.Gelu => F.gelu(inner),
            Activation.GeluTanh => F.gelu(inner, approximate: "tanh"),
            Activation.Silu => inner.silu(),
            _ => inner.relu(),
        };
        return Norm(middle + Linear(inner, Name("output.dense")), Name("output.LayerNorm")).MoveToOuterDisposeScope();
    }

    // Adds what queries say to the keys of relative positions, and keys to their queries. Distances (T, T), table (2 S, d).
    private Tensor Disentangled(Tensor scores, Tensor q, Tensor k, Tensor distances, Tensor table, int l)
    {
        var relative = spec.Relative!;
        string Of(string own, string shared) => spec.Layer(l, "attention.self." + (relative.OwnProjections ? own : shared));
        if (relative.ContentToPosition)
        {
            var keys = Heads(Linear(table.unsqueeze(0), Of("pos_key_proj", "key_proj"))); // (1, H, 2 S, D)
            scores = scores + q.matmul(keys.transpose(-1, -2)).gather(-1, relative.RowOf(distances).expand(scores.shape));
        }
        if (relative.PositionToContent)
        {
            // Entry (key, query) looks up the distance from query to key, the negative of its own.
            var queries = Heads(Linear(table.unsqueeze(0), Of("pos_query_proj", "query_proj")));
            var mirrored = relative.RowOf(distances.neg());
            scores = scores + k.matmul(queries.transpose(-1, -2)).gather(-1, mirrored.expand(scores.shape)).transpose(-1, -2);
        }
        return scores;
    }

    // (B, T, d) -> (B, H, T, D)
    private Tensor Heads(Tensor x) => x.view(x.size(0), x.size(1), spec.Heads, -1).transpose(1, 2);

    private Tensor Linear(Tensor x, string name) => Products.Linear(x, weights[name + ".weight"], weights[name + ".bias"]);

    private Tensor Norm(Tensor x, string name) => F.layer_norm(x, [spec.Hidden], weights[name + ".weight"], weights[name + ".bias"], spec.Epsilon);
}
