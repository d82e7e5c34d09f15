// What training and evaluation ask the log-prob engine for: groups of completions of one prompt.

namespace PeftAlign.Abstractions;

/// <summary>One completion of a prompt.</summary>
/// <param name="Tokens">Token ids, at least one.</param>
/// <param name="Weights">One weight per token; 0 = its log-prob is not needed.</param>
public sealed record Completion(int[] Tokens, float[] Weights)
{
    /// <summary>The answer's own length in tokens, for losses that divide by it. It differs from the number of Tokens where the answer's first
    /// token became the prompt, or where Tokens include the prompt's.</summary>
    public int RecordedLength { get; init; } = Tokens.Length;

    /// <summary>Whether gradients flow through this completion's log-probs.</summary>
    public bool Gradient { get; init; } = true;

    /// <summary>Whether the answer is desirable, for methods on single answers; null where the row has no verdict.</summary>
    public bool? Label { get; init; }

    /// <summary>By how much the answer is better than its rival, for methods that use margins.</summary>
    public double Margin { get; init; }

    /// <summary>A completion in which every token has weight 1.</summary>
    /// <param name="tokens">Token ids.</param>
    public static Completion Of(int[] tokens)
    {
        var weights = new float[tokens.Length];
        Array.Fill(weights, 1f);
        return new Completion(tokens, weights);
    }
}

/// <summary>A prompt and its completions. The prompt is computed once; each completion sees the prompt and itself only.</summary>
/// <param name="Prompt">Token ids, at least one: of a sequence without a prompt, its first token.</param>
/// <param name="Completions">One or more.</param>
public sealed record CompletionGroup(int[] Prompt, IReadOnlyList<Completion> Completions)
{
    /// <summary>Name of the control under which the group is computed; null for none.</summary>
    public string? Control { get; init; }
}

/// <summary>Log-probs of a batch of groups: one per completion token, ordered by group, completion, token.</summary>
/// <param name="Groups">The batch.</param>
/// <param name="LogProbs">(N) float32, natural logarithm, with gradient where completions ask for it.</param>
/// <param name="Weights">(N) float32, from the completions.</param>
public sealed record ScoredBatch(IReadOnlyList<CompletionGroup> Groups, Torch.Tensor LogProbs, Torch.Tensor Weights)
{
    /// <summary>Number of tokens of each completion, in order of groups and completions; they add up to N.</summary>
    public int[] Lengths => [.. Groups.SelectMany(g => g.Completions).Select(c => c.Tokens.Length)];

    /// <summary>(N) float32 under the reference model, without gradient; null where the method needs none.</summary>
    public Torch.Tensor? ReferenceLogProbs { get; init; }

    /// <summary>The per-token statistics that the method asked for in <see cref="MethodNeeds.Statistics"/>, by name, each (N).</summary>
    public IReadOnlyDictionary<string, Torch.Tensor> Statistics { get; init; } = new Dictionary<string, Torch.Tensor>();
}
