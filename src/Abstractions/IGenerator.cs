// How benchmarks, judges and commands have a model write continuations of prompts. Names and meanings of the options are
// transformers' (GenerationConfig), except that a temperature of 0 is greedy and that an option which is not given is off.

namespace PeftAlign.Abstractions;

/// <summary>Continues prompts with a model and its adapter.</summary>
public interface IGenerator
{
    /// <summary>Throws what <see cref="Generate"/> would throw for this prompt, without computing anything.</summary>
    /// <param name="prompt">A prompt.</param>
    /// <param name="options">How it would be continued.</param>
    /// <exception cref="UserErrorException">The prompt or the options do not fit the model.</exception>
    void Check(GenerationPrompt prompt, GenerationOptions options);

    /// <summary>
    /// Continues every prompt. A prompt is computed once for all its samples or beams. A row's result does not depend on
    /// the other rows: random numbers are keyed by (seed, row, sample, token).
    /// </summary>
    /// <param name="prompts">Token ids.</param>
    /// <param name="options">How to continue them.</param>
    /// <param name="onToken">Called with each token as it is chosen; not with beams, whose tokens are final only at the end.</param>
    /// <param name="cancel">Ends the work at the next token.</param>
    /// <returns>The continuations of each prompt: beams from the best, samples in order.</returns>
    /// <exception cref="UserErrorException">A prompt or the options do not fit the model.</exception>
    IReadOnlyList<IReadOnlyList<GeneratedSequence>> Generate(
        IReadOnlyList<GenerationPrompt> prompts, GenerationOptions options, Action<GeneratedToken>? onToken = null, CancellationToken cancel = default);
}

/// <summary>A prompt.</summary>
/// <param name="Ids">Token ids, at least one.</param>
/// <param name="Row">Its number in the input, from which its random numbers follow.</param>
public sealed record GenerationPrompt(int[] Ids, long Row);

/// <summary>One token of one continuation, as soon as it is chosen.</summary>
/// <param name="Prompt">Index of the prompt among those given.</param>
/// <param name="Sample">Number of the continuation, from 0.</param>
/// <param name="Id">The token.</param>
public readonly record struct GeneratedToken(int Prompt, int Sample, int Id);

/// <summary>A continuation.</summary>
/// <param name="Ids">New tokens, the end token included.</param>
/// <param name="Finish">Why it ends.</param>
/// <param name="Score">For a beam, the sum of log-probs / length^length_penalty; null without beams.</param>
public sealed record GeneratedSequence(IReadOnlyList<int> Ids, FinishReason Finish, double? Score = null);

/// <summary>Why a continuation ends.</summary>
public enum FinishReason
{
    /// <summary>The token limit.</summary>
    Length,

    /// <summary>An end token.</summary>
    Eos,

    /// <summary>A stop string.</summary>
    Stop,
}

/// <summary>When beam search stops looking for better beams.</summary>
public enum EarlyStopping
{
    /// <summary>When the best running beam cannot pass the worst finished one at its present length.</summary>
    Heuristic,

    /// <summary>As soon as there are as many finished beams as the search is wide.</summary>
    Always,

    /// <summary>When no running beam can pass the worst finished one at any length.</summary>
    Never,
}

/// <summary>How to continue a prompt.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most new tokens, at least 1.</summary>
    public int MaxNewTokens { get; init; } = 256;

    /// <summary>Most tokens of prompt and continuation together; null = no such limit.</summary>
    public int? MaxLength { get; init; }

    /// <summary>No end token is chosen before this many new tokens.</summary>
    public int MinNewTokens { get; init; }

    /// <summary>Divides the logits before sampling; 0 takes the most likely token.</summary>
    public double Temperature { get; init; }

    /// <summary>Keeps this many of the most likely tokens; 0 = all.</summary>
    public int TopK { get; init; }

    /// <summary>Keeps the smallest set of likeliest tokens whose probability reaches this; 1 = all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Keeps tokens of at least this share of the likeliest token's probability; 0 = all.</summary>
    public double MinP { get; init; }

    /// <summary>Keeps tokens whose surprise is nearest to the expected one, up to this probability; 1 = all.</summary>
    public double TypicalP { get; init; } = 1;

    /// <summary>Keeps tokens of at least this probability; 0 = all.</summary>
    public double EpsilonCutoff { get; init; }

    /// <summary>As the epsilon cutoff, lower where the distribution is flat; 0 = all.</summary>
    public double EtaCutoff { get; init; }

    /// <summary>Divides the positive and multiplies the negative scores of tokens that have appeared; 1 = off.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>No sequence of this many tokens occurs twice; 0 = off.</summary>
    public int NoRepeatNgramSize { get; init; }

    /// <summary>Sequences of ids that must not be completed.</summary>
    public IReadOnlyList<int[]> BadWordsIds { get; init; } = [];

    /// <summary>Ids that are never chosen.</summary>
    public IReadOnlyList<int> SuppressTokens { get; init; } = [];

    /// <summary>Ids that are not chosen as the first new token.</summary>
    public IReadOnlyList<int> BeginSuppressTokens { get; init; } = [];

    /// <summary>Added to the score of the token that completes a sequence.</summary>
    public IReadOnlyList<SequenceBias> SequenceBias { get; init; } = [];

    /// <summary>Whether scores are made log-probs again after all changes: among beams, what is banned adds to the others.</summary>
    public bool RenormalizeLogits { get; init; }

    /// <summary>Width of beam search; 1 = none.</summary>
    public int NumBeams { get; init; } = 1;

    /// <summary>A beam's sum of log-probs is divided by its length to this power.</summary>
    public double LengthPenalty { get; init; } = 1;

    /// <summary>When beam search ends.</summary>
    public EarlyStopping EarlyStopping { get; init; }

    /// <summary>Number of continuations of each prompt; with beams at most NumBeams.</summary>
    public int NumReturnSequences { get; init; } = 1;

    /// <summary>Ids that end a continuation; empty = none.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Texts that end a continuation with the token that completes them.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Whether a stop string may begin in the prompt; otherwise only new tokens count.</summary>
    public bool StopStringsInPrompt { get; init; } = true;

    /// <summary>Seed of the random numbers.</summary>
    public ulong Seed { get; init; }
}

/// <summary>A bias on the last token of a sequence, applied where the text ends with the tokens before it.</summary>
/// <param name="Ids">The sequence, at least one id.</param>
/// <param name="Bias">Added to the score.</param>
public sealed record SequenceBias(int[] Ids, double Bias);
