// Loading sequence classifiers from Hugging Face folders: RoBERTa, DeBERTa V2 and V3, and any known decoder with a score head.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Classifiers;

/// <summary>Folders of sequence classifiers.</summary>
public static class ClassifierFolder
{
    /// <summary>The score head of a decoder, a module.</summary>
    public const string HeadName = "score";

    private const string Suffix = "ForSequenceClassification";

    /// <summary>Loads a classifier.</summary>
    /// <param name="folder">config.json and weights.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <param name="architectures">The known decoders; null = those that are built in.</param>
    /// <param name="dtype">Of weights and arithmetic.</param>
    /// <param name="device">Where the weights go; null = the processor.</param>
    /// <exception cref="UserErrorException">The folder holds no classifier, or a file is missing or wrong.</exception>
    public static SequenceClassifier Load(string folder, Action<string>? warn = null, ModelArchitectures? architectures = null, torch.ScalarType dtype = torch.ScalarType.Float32, torch.Device? device = null)
    {
        var config = ModelConfig.Open(folder);
        if (!IsClassifier(config))
            throw config.Wrong("architectures", $"a sequence classifier's, which ends with {Suffix}; score and generate take language models");
        var labels = LabelsOf(config);
        EncoderSpec? encoder = config.ModelType switch
        {
            "roberta" => EncoderSpec.Roberta(config, labels),
            "deberta-v2" => EncoderSpec.Deberta(config, labels),
            _ => null,
        };
        if (encoder is not null && config.IsQuantized) throw config.Wrong("quantization_config", "absent: encoders are read in full precision only");
        if (encoder is not null) return new EncoderClassifier(encoder, ModelFolder.Read(folder, encoder.Weights(), _ => StoredNames.Plain, warn, dtype, device));
        var known = architectures ?? ModelArchitectures.BuiltIn;
        ThrowIfOfParts(config);
        if (!known.Names.Contains(config.ModelType)) throw config.UnknownArchitecture([.. known.Names, "roberta", "deberta-v2"]);
        return new DecoderClassifier(ModelFolder.Decoder(folder, WithScores(known.Describe(config), labels), warn, dtype, known.QuantizationOf(config), device: device), config.PadTokenId ?? config.PadOfClass);
    }

    /// <summary>Refuses a model with a part that reads images.</summary>
    /// <param name="config">config.json.</param>
    /// <exception cref="UserErrorException">It is one.</exception>
    internal static void ThrowIfOfParts(ModelConfig config)
    {
        if (TextPart.IsNested(config.ModelType)) throw config.Wrong("model_type", "one without an image part (gemma3_text) where a model gives scores");
    }

    /// <summary>The decoder with a score head in the place of its output head.</summary>
    /// <param name="spec">A language model, or what its folder describes.</param>
    /// <param name="labels">Numbers that it gives.</param>
    public static DecoderSpec WithScores(DecoderSpec spec, long labels = 1) =>
        spec with { Labels = labels, TiedHead = false, HeadBias = false, LogitCap = null, LogitDivisor = null, Names = spec.Names with { Head = HeadName, StoredHead = null } };

    /// <summary>Whether a folder's configuration names a sequence classifier.</summary>
    /// <param name="config">config.json.</param>
    public static bool IsClassifier(ModelConfig config) => config.Architectures is [var name, ..] && name.EndsWith(Suffix, StringComparison.Ordinal);

    // id2label counts, then num_labels; two where there is neither, as in transformers.
    internal static long LabelsOf(ModelConfig config)
    {
        if (config.Json.TryGetProperty("id2label", out var names) && names.ValueKind == JsonValueKind.Object && names.EnumerateObject().Any()) return names.EnumerateObject().Count();
        return config.Int("num_labels", 1, 1 << 20) ?? 2;
    }
}
