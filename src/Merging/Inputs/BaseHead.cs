// Whether the output head of a base shares the token embedding's weight: a change of one is then a change of the other, which PEFT makes
// only where both are changed.

using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Merging;

/// <param name="weights">The base's.</param>
/// <param name="config">Its config.json.</param>
internal sealed class BaseHead(CheckpointFolder weights, ModelConfig config)
{
    private readonly List<string> heads = [.. weights.Names.Where(TensorNames.IsHead)];
    private readonly string? embedding = TensorNames.Embedding(weights.Names);

    // A classifier's head counts labels, whatever its configuration ties.
    private readonly bool tied = config.TieWordEmbeddings && !(config.Architectures is [var name, ..] && name.EndsWith("Classification", StringComparison.Ordinal));

    /// <summary>Whether the head has a table's values, in the table's tensor or in one of its own, as in transformers.</summary>
    /// <param name="table">Name of the table's tensor.</param>
    public bool Follows(string table) => tied && IsTable(table) && (heads.Count == 0 || heads.Exists(head => weights.AreAlike(table, head)));

    /// <summary>Whether no tensor holds the head but a table's.</summary>
    /// <param name="table">Name of the table's tensor.</param>
    public bool IsOnly(string table) => tied && heads.Count == 0 && IsTable(table);

    // Where no table has a known name (Bloom, Falcon, GPT-NeoX), each that has a row for every token is taken for it.
    private bool IsTable(string name) =>
        embedding is not null ? TensorNames.IsVocabulary(name) : name.EndsWith(".weight", StringComparison.Ordinal) && weights.Contains(name) && weights.Find(name).Shape is [var rows, _] && rows == config.VocabularySize;
}
