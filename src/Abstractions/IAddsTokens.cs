// Optional for a method: entries that the vocabulary gets before anything else.

namespace PeftAlign.Abstractions;

/// <summary>
/// Optional for a method: special tokens that tokenizer and model get before rows become tokens. Their rows of the embedding, and of
/// an output head of its own, begin at the mean of all rows plus noise of standard deviation 0.02; all weights are trained, and
/// what is written has the larger vocabulary.
/// </summary>
public interface IAddsTokens
{
    /// <summary>The tokens' texts; one that the tokenizer has already keeps its id.</summary>
    IReadOnlyList<string> NewTokens { get; }
}
