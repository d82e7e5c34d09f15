// The tokenizer of a model that was merged with an adapter's grown tables: the base's has no tokens for the rows that were added.

using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Adapters;

internal static class GrownVocabulary
{
    private static readonly string[] Files =
        ["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe", "vocab.txt", "spiece.model"];

    /// <summary>Gives a merged folder the adapter's tokenizer, where its tables have more rows than the base's.</summary>
    /// <param name="merged">The folder, with the base's files.</param>
    /// <param name="model">The base's.</param>
    /// <param name="adapter">The adapter's.</param>
    /// <param name="remark">Told what became of it.</param>
    internal static void Write(string merged, string model, string adapter, Action<string> remark)
    {
        var (rows, own) = (ModelConfig.Open(merged).VocabularySize, ModelConfig.Open(model).VocabularySize);
        if (rows <= own) return;
        var has = ModelFolder.HasTokenizer(adapter);
        remark($"embedding and head are the adapter's, of {rows} rows (the base has {own}); the tokenizer is {(has ? "the adapter's" : $"the base's, since {adapter} has none: put the one that it was trained with beside the weights")}");
        if (!has) return;
        foreach (var file in Files)
        {
            File.Delete(Path.Combine(merged, file));
            if (File.Exists(Path.Combine(adapter, file))) AtomicFile.Copy(Path.Combine(adapter, file), Path.Combine(merged, file));
        }
    }
}
