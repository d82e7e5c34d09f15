// A session that outlives a call of the generator: each prompt goes on from where it leaves the sequence before it, so that of a
// conversation only what is new is computed.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Generation;

/// <summary>One sequence at a time; what the generator disposes after each call is kept.</summary>
/// <param name="model">The weights.</param>
/// <param name="mode">The adapter.</param>
internal sealed class ConversationSession(DecoderModel model, ForwardMode mode) : IDecodeSession
{
    private readonly CachedSession session = new(model, mode);

    /// <summary>Prompt tokens that were computed so far.</summary>
    internal long Computed => session.Computed;

    public Tensor Begin(IReadOnlyList<int[]> prompts) =>
        prompts.Count == 1 ? session.Resume(prompts[0]) : throw new ArgumentException($"a conversation is one sequence, not {prompts.Count}");

    public Tensor Next(IReadOnlyList<int> parents, IReadOnlyList<int> tokens) => session.Next(parents, tokens);

    public void Dispose()
    {
        // The cache is the point.
    }
}
