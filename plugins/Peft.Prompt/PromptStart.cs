// Where virtual tokens begin, as in PEFT: standard normal; or rows of the embedding, as the model's first block takes them.

using PeftAlign.Abstractions;
using PeftAlign.Models.Text;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Prompt;

internal static class PromptStart
{
    /// <summary>(m, d) the first values.</summary>
    internal static Tensor Of(PromptOptions options, ModelOutline model, ModuleOutline embedding, ulong seed)
    {
        var count = options.NumVirtualTokens;
        var stream = new CounterStream(seed, "prompt_embeddings", embedding.Name);
        switch (options.Init.ToLowerInvariant())
        {
            case "text":
                return Rows(model, embedding, Filled(TextIds(options, model), count));
            case "sample_vocab":
                var draws = stream.Uniform([count], 0, 1).to(torch.float64).mul_(embedding.Outputs).to(torch.int64).clamp(max: embedding.Outputs - 1);
                return Rows(model, embedding, draws.data<long>().ToArray());
            default:
                return stream.Normal([count, embedding.Inputs]).to(embedding.Device);
        }
    }

    /// <summary>The ids again and again until there are so many.</summary>
    internal static long[] Filled(IReadOnlyList<int> ids, int count) => [.. Enumerable.Range(0, count).Select(k => (long)ids[k % ids.Count])];

    private static IReadOnlyList<int> TextIds(PromptOptions options, ModelOutline model)
    {
        if (string.IsNullOrEmpty(options.InitText)) throw new UserErrorException("init: text needs the text; give init_text, or another init (random, sample_vocab).");
        var ids = TokenizerLoader.Load(options.InitTokenizer ?? model.Path).EncodeToIds(options.InitText);
        return ids.Count > 0 ? ids : throw new UserErrorException($"init_text '{options.InitText}' has no token; give a longer text.");
    }

    private static Tensor Rows(ModelOutline model, ModuleOutline embedding, long[] ids)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        if (Array.FindIndex(ids, id => id >= embedding.Outputs) is >= 0 and var k)
            throw new UserErrorException($"init_text: its token {ids[k]} is not in the model's vocabulary of {embedding.Outputs}; init_tokenizer is another model's.");
        var weight = embedding.Tensor("weight") ?? throw new InvalidOperationException($"the outline gives no weight of {embedding.Name}");
        var rows = weight.detach().index_select(0, torch.tensor(ids, device: weight.device));
        if (model.Spec?.EmbeddingScale is { } scale) rows = rows * torch.tensor(scale, rows.dtype, rows.device);
        return rows.to(torch.float32).clone().MoveToOuterDisposeScope();
    }
}
