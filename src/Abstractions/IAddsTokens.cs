// Optional for a method: tokens that are added to the vocabulary before anything else happens.

namespace PeftAlign.Abstractions;

/// <summary>
/// Optional for a method: special tokens that are added to tokenizer and model before rows are tokenised. Their rows of the embedding, and
/// of an untied output head, start at the mean of all rows plus noise of standard deviation 0.02. All weights are trained, and the
/// folder that is written has the larger vocabulary.
/// </summary>
public interface IAddsTokens
{
    /// <summary>The tokens' texts; one that the tokenizer already has keeps its id.</summary>
    IReadOnlyList<string> NewTokens { get; }
}
