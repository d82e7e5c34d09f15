// Decoders with a score head of one number, to be trained: from a language model's folder with a new head, or from a reward model's; and
// written as transformers' sequence classifiers.

using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Classifiers;

/// <summary>Folders of reward models.</summary>
public static partial class RewardFolder
{
    private const string Head = "score.weight";

    /// <summary>Loads a decoder with a score head. A language model gets a new one: normal, standard deviation initializer_range or init_std.</summary>
    /// <param name="folder">A language model, or a sequence classifier of one label.</param>
    /// <param name="seed">Seed of a new head.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <param name="architectures">The known decoders; null = those that are built in.</param>
    /// <param name="quantization">Quantises the linear layers as they are read; null = as the folder has them.</param>
    /// <param name="device">Where the weights go; null = the processor.</param>
    /// <exception cref="UserErrorException">It is no decoder, has more than one label, or a file is missing or wrong.</exception>
    public static DecoderModel Load(string folder, ulong seed, Action<string>? warn = null, ModelArchitectures? architectures = null, IQuantization? quantization = null, torch.Device? device = null)
    {
        var config = ModelConfig.Open(folder);
        ClassifierFolder.ThrowIfOfParts(config);
        var known = architectures ?? ModelArchitectures.BuiltIn;
        var spec = ClassifierFolder.WithScores(known.Describe(config));
        if (ClassifierFolder.IsClassifier(config))
        {
            if (ClassifierFolder.LabelsOf(config) is not 1 and var labels) throw config.Wrong("id2label", $"one label: a reward model gives one number, and this classifier {labels}");
            return ModelFolder.Decoder(folder, spec, warn, torch.ScalarType.Float32, ModelFolder.Reader(known, config, ref quantization), quantization, device);
        }
        var language = ModelFolder.Load(folder, warn, architectures, quantization: quantization, device: device);
        var range = config.Number("initializer_range") ?? config.Number("init_std") ?? 0.02;
        var weights = language.Weights.Where(w => !w.Key.StartsWith(language.Spec.Names.Head + ".", StringComparison.Ordinal)).ToDictionary();
        weights[Head] = new CounterStream(seed, "init", Head).Normal([1, spec.EmbeddingWidth], 0, range).to(language.Device).DetachFromDisposeScope();
        if (!language.Spec.TiedHead) language.Head.Dispose();
        language.HeadBias?.Dispose();
        return new DecoderModel(spec, weights, language.Quantized);
    }

    /// <summary>The token that fills rows behind their ends in the model that is written: the tokenizer's, else its end token, as in TRL's trainer, which
    /// does not look at the configuration's; that is taken where there is no tokenizer.</summary>
    /// <param name="folder">The folder that the training starts from.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="rows">Rows of the model's embedding; an id without one is passed over, as transformers builds no model around it.</param>
    public static int? PadToken(string folder, ITokenizer? tokenizer, long rows)
    {
        var config = ModelConfig.Open(folder);
        return ((int?[])[tokenizer?.SpecialTokens.Pad, tokenizer?.SpecialTokens.Eos, config.PadTokenId, config.PadOfClass]).FirstOrDefault(id => id < rows);
    }

    /// <summary>Writes a sequence classifier with the configuration and tokenizer of the folder that it came from.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="model">From <see cref="Load"/>.</param>
    /// <param name="from">The folder that it came from.</param>
    /// <param name="padToken">See <see cref="PadToken"/>.</param>
    public static void Save(string folder, DecoderModel model, string from, int? padToken)
    {
        ModelFolder.CopyCompanions(from, folder, model.Head.dtype);
        var file = Path.Combine(folder, "config.json");
        var config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        var language = (string?)config["architectures"]?[0] ?? ModelArchitectures.BuiltIn.Find(model.Spec.ModelType).ClassName;
        config["architectures"] = new JsonArray(LanguageModel().Replace(language, "ForSequenceClassification"));
        config["id2label"] = new JsonObject { ["0"] = "LABEL_0" };
        config["label2id"] = new JsonObject { ["LABEL_0"] = 0 };
        if (padToken is { } pad) config["pad_token_id"] = pad;
        AtomicFile.Write(file, config.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
        CheckpointFolder.Write(folder, model.Spec.Weights().ToDictionary(w => w.Name, w => model.Weights[w.Name]));
    }

    [GeneratedRegex("(ForCausalLM|LMHeadModel)$")]
    private static partial Regex LanguageModel();
}
