// What a benchmark asks of a model, and what comes back. Log-likelihood, rolling log-likelihood and generation mean what they
// mean in lm-evaluation-harness.

namespace PeftAlign.Abstractions;

/// <summary>Something asked of a model.</summary>
public abstract record EvalRequest
{
    /// <summary>The log-prob of a continuation after a context, both as text or both as token ids.</summary>
    /// <param name="Context">Text before.</param>
    /// <param name="Continuation">Text that is scored.</param>
    public sealed record LogLikelihood(string Context, string Continuation) : EvalRequest
    {
        /// <summary>Token ids that stand for Context; null where it is text.</summary>
        public int[]? ContextIds { get; init; }

        /// <summary>Token ids that stand for Continuation; null where it is text.</summary>
        public int[]? ContinuationIds { get; init; }

        /// <summary>Whether a continuation that is longer than the model's context is cut to its beginning; else it is an error.</summary>
        public bool CutsContinuation { get; init; }

        /// <summary>Whether white space at the context's end stays with the context: scoring then begins at the first token that the context alone
        /// does not have. Otherwise that white space is scored with the continuation, as in lm-evaluation-harness.</summary>
        public bool KeepsContext { get; init; }

        /// <summary>A conversation that stands for Context, through the model's chat template; null where it is text.</summary>
        public IReadOnlyList<ChatTurn>? Messages { get; init; }
    }

    /// <summary>The log-prob of a whole text, in windows as long as the model's context.</summary>
    /// <param name="Text">The text.</param>
    public sealed record RollingLogLikelihood(string Text) : EvalRequest;

    /// <summary>Text that a model writes after a prompt.</summary>
    /// <param name="Prompt">The text before it; cut on the left where it does not fit beside the new tokens.</param>
    public sealed record Generate(string Prompt) : EvalRequest
    {
        /// <summary>A conversation that stands for Prompt, through the model's chat template; null where it is text.</summary>
        public IReadOnlyList<ChatTurn>? Messages { get; init; }

        /// <summary>Most new tokens.</summary>
        public int MaxNewTokens { get; init; } = 256;

        /// <summary>Texts that end the answer and are cut off from it; an end token always ends it.</summary>
        public IReadOnlyList<string> Until { get; init; } = [];

        /// <summary>Divides the logits before sampling; 0 takes the most likely token.</summary>
        public double Temperature { get; init; }

        /// <summary>Keeps the smallest set of likeliest tokens whose probability reaches this; 1 = all, null = as BenchmarkInfo.AsHarness says.</summary>
        public double? TopP { get; init; } = 1;

        /// <summary>Keeps this many of the most likely tokens; 0 = all, null = as BenchmarkInfo.AsHarness says.</summary>
        public int? TopK { get; init; } = 0;

        /// <summary>How many answers to write to the same prompt.</summary>
        public int Samples { get; init; } = 1;

        /// <summary>Seed of sampling; random numbers are keyed by it, the item and the sample.</summary>
        public ulong Seed { get; init; }
    }

    /// <summary>A question to a judge, about what the model wrote.</summary>
    /// <param name="By">The judge, from the benchmark's options.</param>
    /// <param name="Question">What is asked.</param>
    public sealed record Judge(JudgeReference By, JudgeQuestion Question) : EvalRequest;
}

/// <summary>One message of a conversation.</summary>
/// <param name="Role">system, user or assistant.</param>
/// <param name="Content">The text.</param>
public sealed record ChatTurn(string Role, string Content);

/// <summary>What a model answered.</summary>
/// <param name="LogProb">Sum of the continuation tokens' log-probs (natural logarithm); 0 for generated text.</param>
/// <param name="Tokens">Number of continuation tokens, or of generated ones.</param>
/// <param name="IsGreedy">Whether every continuation token is the most probable one.</param>
public sealed record EvalResponse(double LogProb, int Tokens, bool IsGreedy)
{
    /// <summary>Tokens in front of what was scored or generated.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Tokens of the context that were cut off because it did not fit.</summary>
    public int TokensCut { get; init; }

    /// <summary>The limit of new tokens that applied, where it differs from the request's: the model's own files name one, or an answer ends
    /// after its first token; else null.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>Whether the system message was left out because the model's chat template takes none.</summary>
    public bool WithoutSystem { get; init; }

    /// <summary>Generated texts, one for each sample; empty for log-likelihoods.</summary>
    public IReadOnlyList<string> Texts { get; init; } = [];

    /// <summary>The judge's answer, where the request was a question to a judge; else null.</summary>
    public JudgeAnswer? Judgement { get; init; }
}
