// Which name a checkpoint has for a weight. transformers reads files with and without the base model's prefix (GPT-2's
// releases lack "transformer."), those that hold a tied matrix under the head's name alone, and a head under its module's name where
// releases have another one (GPT-NeoX), or all of a model of several parts; old files hold tables that are no weights.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Decoders;

internal sealed class StoredNames
{
    private static readonly string[] Tables = [".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".position_ids"];

    private readonly string prefix;
    private readonly string? head;
    private readonly string? onlyHead;
    private readonly DecoderSpec? spec;
    private readonly bool asModules;

    private StoredNames(string prefix, string? head, string? onlyHead, DecoderSpec? spec, bool asModules = false) => (this.prefix, this.head, this.onlyHead, this.spec, this.asModules) = (prefix, head, onlyHead, spec, asModules);

    /// <summary>Of a model whose names are its own.</summary>
    internal static StoredNames Plain { get; } = new("", null, null, null);

    /// <summary>What a checkpoint calls the head, whether it has one or not.</summary>
    internal static string Head(DecoderSpec spec, CheckpointFolder checkpoint)
    {
        var module = spec.Names.Head + ".weight";
        return checkpoint.Contains(module) ? module : spec.InFiles(module);
    }

    /// <param name="spec">The model, after <see cref="TiedHead.Settled"/>.</param>
    /// <param name="checkpoint">Its weights.</param>
    internal static StoredNames Of(DecoderSpec spec, CheckpointFolder checkpoint)
    {
        var (embedding, head) = (spec.Names.Embedding + ".weight", Head(spec, checkpoint));
        var prefix = embedding[..(embedding.IndexOf('.', StringComparison.Ordinal) + 1)];
        var onlyHead = spec.TiedHead && checkpoint.Contains(head) && !checkpoint.Contains(embedding) && !checkpoint.Contains(spec.InFiles(embedding)) && !checkpoint.Contains(embedding[prefix.Length..]);
        // Where the embedding is not there to tell, the first linear layer does.
        var known = onlyHead ? spec.Weights().First(weight => weight.Role == WeightRole.Matrix).Name : embedding;
        var lacks = spec.Names.Embedding.Contains('.', StringComparison.Ordinal) && known.StartsWith(prefix, StringComparison.Ordinal)
            && !checkpoint.Contains(known) && checkpoint.Contains(known[prefix.Length..]);
        return new StoredNames(lacks ? prefix : "", head, onlyHead ? embedding : null, spec, asModules: spec.Names.Stored.Count > 0 && checkpoint.Contains(known));
    }

    /// <summary>The checkpoint's name of a weight.</summary>
    internal string Of(string name) => name == onlyHead || (spec is not null && name == spec.Names.Head + ".weight") ? head! : asModules ? name : Written(name);

    /// <summary>The name of a weight in a folder that is written from this one: as here, but a tied matrix is the embedding, and a head is called as in releases.</summary>
    internal string Written(string name) => prefix.Length > 0 && name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : spec?.InFiles(name) ?? name;

    /// <summary>Whether a stored tensor may stay unused without a word: tables of old checkpoints, a copy of a tied head.</summary>
    internal bool IsIgnored(string name) => (spec is { TiedHead: true } && name == head) || spec?.IsBeside(name) == true || IsTable(name);

    /// <summary>The weights of a checkpoint that are of parts beside the decoder, and their names in a folder that is written from it.</summary>
    internal IEnumerable<(string Name, string Written)> Beside(CheckpointFolder checkpoint) =>
        checkpoint.Names.Where(name => spec?.IsBeside(name) == true).Select(name => (name, prefix.Length > 0 ? name : spec!.InFiles(name)));

    /// <summary>Whether a tensor is a table of an old checkpoint, which its model computes anew.</summary>
    internal static bool IsTable(string name) => Tables.Any(end => ("." + name).EndsWith(end, StringComparison.Ordinal));
}
