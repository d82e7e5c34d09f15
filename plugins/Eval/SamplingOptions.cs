// How a model writes its answers to a benchmark: the options, and the request that they make.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval;

/// <summary>How answers are drawn.</summary>
public sealed class SamplingOptions
{
    /// <summary>Most new tokens.</summary>
    [OptionRange(1)]
    public int MaxNewTokens { get; set; } = 256;

    /// <summary>Sampling temperature; 0 takes the most likely token.</summary>
    [OptionRange(0)]
    public double Temperature { get; set; }

    /// <summary>Nucleus sampling: keeps the likeliest tokens whose probabilities reach this sum; 1 = all.</summary>
    [OptionRange(0, 1, ExclusiveMinimum = true)]
    [OptionOnlyWith("temperature", ">0")]
    public double TopP { get; set; } = 1;

    /// <summary>Seed of sampling.</summary>
    [OptionRange(0)]
    [OptionOnlyWith("temperature", ">0")]
    public long Seed { get; set; }

    /// <summary>A request for an answer; without a temperature top_p has no effect and is left out.</summary>
    /// <param name="prompt">The text before it.</param>
    /// <param name="turns">A conversation that stands for the prompt; null for none.</param>
    internal EvalRequest.Generate Ask(string prompt, IReadOnlyList<ChatTurn>? turns = null) => new(prompt)
    {
        Messages = turns,
        MaxNewTokens = MaxNewTokens,
        Temperature = Temperature,
        TopP = Temperature > 0 ? TopP : 1,
        Seed = (ulong)Seed,
    };

    /// <summary>A request for an answer to a prompt, which is a message of the user where <paramref name="chat"/> is set.</summary>
    internal EvalRequest.Generate Ask(string prompt, bool chat) => Ask(prompt, chat ? [new ChatTurn("user", prompt)] : null);
}
