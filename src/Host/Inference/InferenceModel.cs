// A model folder, and an adapter over it, ready to be asked: what score, generate and chat load.

using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Text;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Inference;

/// <param name="Folder">The model's folder.</param>
/// <param name="Decoder">The weights.</param>
/// <param name="Mode">The adapter.</param>
/// <param name="Tokenizer">Null where the folder has none.</param>
internal sealed record InferenceModel(string Folder, DecoderModel Decoder, ForwardMode Mode, ITokenizer? Tokenizer)
{
    /// <summary>What stands around every prompt; null for nothing.</summary>
    internal TextControl? Control { get; init; }

    /// <summary>Folder of the adapter, or of the chosen control; null for none.</summary>
    internal string? Adapter { get; init; }

    /// <summary>Loads what the options name.</summary>
    /// <exception cref="UserErrorException">A folder is missing or broken, or the two do not fit.</exception>
    internal static InferenceModel Load(ModelChoice given, Session session)
    {
        var (choice, control) = given.Resolved();
        // What is wrong with the tokenizer is cheap to find: before the weights.
        var tokenizer = ModelFolder.HasTokenizer(choice.Model) ? TokenizerLoader.Load(choice.Model) : null;
        Action<string> warn = session.Output.Warn;
        if (choice.Adapter is { } trained) TrainedWith.ThrowIfOther(trained, choice.Model, ModelConfig.Open(choice.Model).VocabularySize, warn, tokenizer);
        torch.set_num_threads(session.Threads);
        var device = ComputeDevice.Of(session);
        var decoder = ModelFolder.Load(choice.Model, warn, PluginArchitectures.Of(choice.Plugins), ComputeType.Of(session, device, choice.Model), device: device);
        if (choice.Adapter is { } used) TrainedWith.WarnOfFullBase(used, choice.Model, decoder.Quantized.Count > 0, warn);
        var mode = choice.Adapter is { } folder ? new ForwardMode { Deltas = Deltas(folder, decoder.Outline(choice.Model), choice, warn) } : ForwardMode.Plain;
        return new InferenceModel(choice.Model, decoder, mode, tokenizer) { Control = control, Adapter = choice.Adapter };
    }

    /// <summary>The chat template: the one that is asked for, else the adapter's, else the model's; null where there is none.</summary>
    internal IChatTemplate? Template(string? option, Action<string> say) => TrainedWith.Template(Folder, Adapter, option, say);

    /// <summary>The tokenizer, where text needs one.</summary>
    internal ITokenizer TextTokenizer => Tokenizer ?? throw new UserError(Folder, "has no tokenizer, and a row or an option holds text", "put tokenizer.json beside config.json, or give token ids");

    private static Dictionary<string, Delta> Deltas(string folder, ModelOutline outline, ModelChoice choice, Action<string> warn)
    {
        var opened = new AdapterReader(PluginSearch.Of(AppContext.BaseDirectory, choice.Plugins).Scan()).Open(folder, warn);
        return AdapterReader.Sites(opened, outline, folder, warn).ToDictionary(site => site.Module, site => site.Delta);
    }
}
