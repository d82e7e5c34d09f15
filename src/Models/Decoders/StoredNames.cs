// Which name a checkpoint has for a weight. transformers reads files with and without the base model's prefix (GPT-2's
// releases lack "transformer."); old files hold tables that are no weights.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Decoders;

internal sealed class StoredNames
{
    private static readonly string[] Tables = [".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".position_ids"];

    private readonly string prefix;
    private readonly string? unusedHead;

    private StoredNames(string prefix, string? unusedHead) => (this.prefix, this.unusedHead) = (prefix, unusedHead);

    /// <summary>Of a model whose names are its own.</summary>
    internal static StoredNames Plain { get; } = new("", null);

    internal static StoredNames Of(DecoderSpec spec, CheckpointFolder checkpoint)
    {
        var embedding = spec.Names.Embedding;
        var point = embedding.IndexOf('.', StringComparison.Ordinal);
        var lacks = point > 0 && !checkpoint.Contains(embedding + ".weight") && checkpoint.Contains(embedding[(point + 1)..] + ".weight");
        return new StoredNames(lacks ? embedding[..(point + 1)] : "", spec.TiedHead ? spec.Names.Head + ".weight" : null);
    }

    /// <summary>The checkpoint's name of a weight.</summary>
    internal string Of(string name) => prefix.Length > 0 && name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : name;

    /// <summary>Whether a stored tensor may stay unused without a word: tables of old checkpoints, a copy of a tied head.</summary>
    internal bool IsIgnored(string name) => name == unusedHead || Tables.Any(end => name.EndsWith(end, StringComparison.Ordinal) || ("." + name).EndsWith(end, StringComparison.Ordinal));
}
