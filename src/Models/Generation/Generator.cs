// Generation over a decoder: checks what is asked, cuts the prompts into batches, and runs each with the loop that the
// options ask for. Batches change speed and memory, not results.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Generation;

/// <summary>What a generator must know of its model.</summary>
/// <param name="Vocabulary">Number of token ids.</param>
/// <param name="Positions">Positions of a model that learned them; null where any number can be computed.</param>
internal sealed record GenerationLimits(long Vocabulary, long? Positions);

/// <summary>Continues prompts.</summary>
internal sealed class Generator : IGenerator
{
    private readonly GenerationLimits limits;
    private readonly ITokenizer? tokenizer;
    private readonly Func<IDecodeSession> open;
    private readonly int rowsAtOnce;

    /// <param name="limits">Of the model.</param>
    /// <param name="tokenizer">For stop strings; null where there is none.</param>
    /// <param name="open">Begins a batch.</param>
    /// <param name="rowsAtOnce">Most sequences of one decoding step.</param>
    internal Generator(GenerationLimits limits, ITokenizer? tokenizer, Func<IDecodeSession> open, int rowsAtOnce) =>
        (this.limits, this.tokenizer, this.open, this.rowsAtOnce) = (limits, tokenizer, open, rowsAtOnce);

    public IReadOnlyList<IReadOnlyList<GeneratedSequence>> Generate(
        IReadOnlyList<GenerationPrompt> prompts, GenerationOptions options, Action<GeneratedToken>? onToken = null, CancellationToken cancel = default)
    {
        // Behind its last position such a model cannot go on.
        if (limits.Positions is { } end) options = options with { MaxLength = (int)Math.Min(options.MaxLength ?? int.MaxValue, end) };
        foreach (var prompt in prompts) Check(prompt, options);
        var processing = new ScoreProcessing(options);
        var endings = new Endings(options, options.StopStrings.Count > 0 ? new StopStrings(tokenizer!, options.StopStrings) : null);
        var atOnce = Math.Max(1, rowsAtOnce / Math.Max(options.NumBeams, options.NumReturnSequences));
        var results = new List<IReadOnlyList<GeneratedSequence>>();
        foreach (var chunk in prompts.Chunk(atOnce))
        {
            using var session = open();
            var batch = new Batch(chunk, results.Count);
            results.AddRange(options.NumBeams > 1
                ? new BeamBatch(options, processing, endings).Run(batch, session, cancel)
                : new Sampling(options, processing, endings).Run(batch, session, onToken, cancel));
        }
        return results;
    }

    public void Check(GenerationPrompt prompt, GenerationOptions options)
    {
        OptionChecks.Check(options, limits.Vocabulary, tokenizer is not null);
        if (prompt.Ids.Length == 0) throw new UserErrorException("The prompt has no token, and the tokenizer has no begin token; give at least one.");
        if (Array.FindIndex(prompt.Ids, id => id < 0 || id >= limits.Vocabulary) is >= 0 and var at)
            throw new UserErrorException($"Token id {prompt.Ids[at]} is not in the model's vocabulary of {limits.Vocabulary}; the prompt was made with another tokenizer.");
        if (limits.Positions is { } most && prompt.Ids.Length >= most)
            throw new UserErrorException($"The prompt has {prompt.Ids.Length} tokens; the model has {most} positions for text, and a new token needs one. Shorten the prompt.");
        if (prompt.Ids.Length >= options.MaxLength)
            throw new UserErrorException($"The prompt has {prompt.Ids.Length} tokens, and prompt and continuation together may have {options.MaxLength} (max_length); shorten the prompt, or give max_new_tokens.");
    }
}
