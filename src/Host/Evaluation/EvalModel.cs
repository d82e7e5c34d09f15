// The model under evaluation: weights with adapters, tokenizer, template, and what generates.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Generation;

namespace PeftAlign.Host.Evaluation;

/// <param name="Decoder">The weights.</param>
/// <param name="Mode">The adapters.</param>
/// <param name="Tokenizer">Null where the folder has none.</param>
/// <param name="ChatTemplate">Null where there is none.</param>
/// <param name="EndIds">Ids that end a text, as the model's files say.</param>
internal sealed record EvalModel(DecoderModel Decoder, ForwardMode Mode, ITokenizer? Tokenizer, IChatTemplate? ChatTemplate, IReadOnlyList<int> EndIds)
{
    internal IGenerator Generator { get; } = DecoderGenerator.Of(Decoder, Mode, Tokenizer);

    /// <summary>Most tokens of one sequence.</summary>
    internal int MaxLength { get; } = (int)Math.Min(Decoder.Spec.MaxPositions, int.MaxValue);

    /// <summary>A blank at a text's start is the one that the tokenizer would put there, so that it is not doubled: transformers 5
    /// makes LLaMA's and Code Llama's tokenizers anew in this way whatever tokenizer.json says, and the harness' numbers follow it. Everything else
    /// (training, score, generate, benchmarks that the harness has not) takes tokenizer.json as it is written.</summary>
    internal bool TakesLeadingBlank { get; init; }

    /// <summary>What its generation_config.json says; null where it has no folder.</summary>
    internal GenerationConfig? Defaults { get; init; }

    /// <summary>What stands around every prompt; null for nothing.</summary>
    internal TextControl? Control { get; init; }

    /// <summary>Told of what is done otherwise than asked; null for nobody.</summary>
    internal Action<string>? Warn { get; init; }

    /// <summary>The model of a folder.</summary>
    /// <param name="folder">Of the base model.</param>
    /// <param name="decoder">The weights.</param>
    /// <param name="mode">The adapters.</param>
    /// <param name="tokenizer">The folder's.</param>
    /// <param name="template">The policy's or the folder's.</param>
    internal static EvalModel Of(string folder, DecoderModel decoder, ForwardMode mode, ITokenizer? tokenizer, IChatTemplate? template)
    {
        var defaults = ModelConfig.Open(folder).Generation;
        return new(decoder, mode, tokenizer, template, defaults.EosTokenIds) { Defaults = defaults, TakesLeadingBlank = tokenizer is not null && IsLlama(folder) && PutsBlank(tokenizer) };
    }

    private static bool IsLlama(string folder) =>
        Path.Combine(folder, "tokenizer_config.json") is var file && File.Exists(file) && ((string?)JsonNode.Parse(File.ReadAllText(file))?["tokenizer_class"]) is { } name
        && (name.StartsWith("LlamaTokenizer", StringComparison.Ordinal) || name.StartsWith("CodeLlamaTokenizer", StringComparison.Ordinal));

    private static bool PutsBlank(ITokenizer tokenizer)
    {
        var (plain, blank) = (tokenizer.EncodeToIds("a", addSpecialTokens: false), tokenizer.EncodeToIds(" a", addSpecialTokens: false));
        return plain.Count > 0 && (tokenizer as ITokenizerDetails)?.IdToToken(plain[0])?.StartsWith('\u2581') == true && !plain.SequenceEqual(blank);
    }
}
