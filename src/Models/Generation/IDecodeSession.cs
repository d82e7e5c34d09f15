// Where next-token scores come from, as the decoding loops see it: sequences that grow by one token and may share their past.

using PeftAlign.Torch;

namespace PeftAlign.Models.Generation;

/// <summary>The sequences of one batch. Not safe for several threads.</summary>
internal interface IDecodeSession : IDisposable
{
    /// <summary>Computes the prompts.</summary>
    /// <param name="prompts">Token ids, at least one each.</param>
    /// <returns>(rows, V) float32 on the processor: the scores of each prompt's next token; the caller's.</returns>
    Tensor Begin(IReadOnlyList<int[]> prompts);

    /// <summary>New row k continues row parents[k] of the call before by tokens[k]. A parent may have several children, or none.</summary>
    /// <returns>(rows, V) float32 on the processor; the caller's.</returns>
    Tensor Next(IReadOnlyList<int> parents, IReadOnlyList<int> tokens);
}
