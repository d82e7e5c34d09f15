// Whether a head that config.json ties to the embedding really is tied. As in transformers, a folder that holds both with
// different values has a head of its own, whatever its configuration says.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Decoders;

/// <summary>Heads that a configuration ties to the embedding.</summary>
public static class TiedHead
{
    private const string Key = "tie_word_embeddings";

    /// <summary>A model as its weights have it: untied where they hold an embedding and another head.</summary>
    /// <param name="spec">What config.json describes.</param>
    /// <param name="checkpoint">The folder's weights; both tensors are read, to their first difference.</param>
    /// <param name="warn">Told where they differ; null = nobody.</param>
    /// <param name="sample">Looks at pages here and there only, for what is about a model's size: a head that differs between them is taken for a copy.</param>
    public static DecoderSpec Settled(DecoderSpec spec, CheckpointFolder checkpoint, Action<string>? warn, bool sample = false)
    {
        if (!spec.TiedHead || Embedding(spec, checkpoint) is not { } embedding) return spec;
        var head = StoredNames.Head(spec, checkpoint);
        if (!checkpoint.Contains(head) || checkpoint.AreAlike(embedding, head, sample)) return spec;
        warn?.Invoke(Warning(checkpoint.Path, embedding, head));
        return spec with { TiedHead = false };
    }

    /// <summary>What is said where the two differ.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="embedding">Name of the embedding's tensor.</param>
    /// <param name="head">Name of the head's.</param>
    public static string Warning(string path, string embedding, string head) =>
        $"{path}: config.json ties the output head to the embedding ({Key}), but the weights hold {embedding} and another {head}; each is used as it is stored, as in transformers. Set {Key} to false in config.json.";

    private static string? Embedding(DecoderSpec spec, CheckpointFolder checkpoint)
    {
        var name = spec.Names.Embedding + ".weight";
        return checkpoint.Contains(name) ? name : checkpoint.Contains(spec.InFiles(name)) ? spec.InFiles(name) : checkpoint.Contains(name[(name.IndexOf('.', StringComparison.Ordinal) + 1)..]) ? name[(name.IndexOf('.', StringComparison.Ordinal) + 1)..] : null;
    }

    /// <summary>Calls a tied matrix that lies under the head's name alone the embedding; other folders stay as they are.</summary>
    /// <param name="checkpoint">The folder's weights.</param>
    /// <param name="config">Its config.json.</param>
    /// <param name="architectures">The known ones; of an unknown one nothing is renamed.</param>
    internal static void NameEmbedding(CheckpointFolder checkpoint, ModelConfig config, ModelArchitectures architectures)
    {
        if (!config.TieWordEmbeddings || !architectures.Names.Contains(config.ModelType)) return;
        var spec = architectures.Describe(config);
        var (names, embedding) = (StoredNames.Of(spec, checkpoint), spec.Names.Embedding + ".weight");
        if (names.Of(embedding) != names.Written(embedding)) checkpoint.Rename(names.Of(embedding), names.Written(embedding));
    }

    // Readers that trust the configuration would tie what is written untied.
    internal static void Say(string folder, DecoderSpec spec)
    {
        var file = Path.Combine(folder, "config.json");
        if (spec.TiedHead || !File.Exists(file) || !ModelConfig.Open(folder).TieWordEmbeddings) return;
        var config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        config[Key] = false;
        AtomicFile.Write(file, config.ToJsonString(new() { WriteIndented = true }) + "\n");
    }
}
