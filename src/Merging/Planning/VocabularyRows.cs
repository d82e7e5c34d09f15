// Brings the embeddings (or heads) of models with unlike vocabularies to the rows of the result.

using PeftAlign.Torch;

namespace PeftAlign.Merging;

/// <param name="Own">By input and token of the result: its row, or -1.</param>
/// <param name="Shared">By token: the rows (model by place in <paramref name="Models"/>) whose mean stands in where a model lacks it; empty for zeros; null where none lacks it.</param>
/// <param name="Models">The inputs, then models that only lend rows.</param>
/// <param name="Count">Rows of the result; those beyond the tokens are the mean of all.</param>
internal sealed record VocabularyRows(long[][] Own, IReadOnlyList<IReadOnlyList<(int Model, long Row)>?> Shared, IReadOnlyList<InputModel> Models, long Count)
{
    /// <summary>The inputs' tensors with the result's rows, in float32 or wider.</summary>
    /// <param name="tensorOf">The tensor of a model of <see cref="Models"/>.</param>
    public IReadOnlyList<Tensor> Align(Func<int, Tensor> tensorOf)
    {
        using var scope = torch.NewDisposeScope();
        var tensors = Models.Select((_, k) => tensorOf(k)).ToArray();
        var wide = tensors.Any(tensor => tensor.dtype == torch.ScalarType.Float64) ? torch.ScalarType.Float64 : torch.ScalarType.Float32;
        var shared = SharedRows(tensors, wide, out var places);
        return [.. Own.Select((rows, k) => Aligned(tensors[k].to(wide), rows, shared, places).MoveToOuterDisposeScope())];
    }

    private Tensor Aligned(Tensor tensor, long[] rows, Tensor shared, long[] places)
    {
        var first = tensor.shape[0];
        long[] take = [.. rows.Select((row, token) => row >= 0 ? row : first + places[token])];
        var real = torch.cat([tensor, shared]).index_select(0, torch.tensor(take, [take.Length]));
        if (Count == take.Length) return real;
        var mean = real.mean([0L], true);
        return torch.cat([real, mean.expand([Count - take.Length, .. real.shape.Skip(1)])]);
    }

    // One row for each token that some model lacks; the first row is zeros.
    private Tensor SharedRows(Tensor[] tensors, torch.ScalarType type, out long[] places)
    {
        places = new long[Shared.Count];
        var rows = new List<Tensor> { torch.zeros([.. tensors[0].shape.Skip(1)], type) };
        for (var token = 0; token < Shared.Count; token++)
        {
            if (Shared[token] is not { Count: > 0 } from) continue;
            places[token] = rows.Count;
            rows.Add(from.Select(place => tensors[place.Model].select(0, place.Row).to(type)).Aggregate((a, b) => a + b) / from.Count);
        }
        return torch.stack(rows);
    }
}
