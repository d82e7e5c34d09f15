// How a model that a benchmark asks writes: the options of it, and the request that they make.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval;

/// <summary>How answers are drawn.</summary>
public sealed class SamplingOptions
{
    /// <summary>Most new tokens.</summary>
    [OptionRange(1)]
    public int MaxNewTokens { get; set; } = 256;

    /// <summary>0 takes the most likely token.</summary>
    [OptionRange(0)]
    public double Temperature { get; set; }

    /// <summary>Nucleus of sampling.</summary>
    [OptionRange(0, 1, ExclusiveMinimum = true)]
    [OptionOnlyWith("temperature", ">0")]
    public double TopP { get; set; } = 1;

    /// <summary>Seed of sampling.</summary>
    [OptionRange(0)]
    [OptionOnlyWith("temperature", ">0")]
    public long Seed { get; set; }

    /// <summary>Asks for an answer; without temperature the nucleus means nothing and is left out.</summary>
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

    /// <summary>Asks for an answer to a prompt, which is the user's message where <paramref name="chat"/> says so.</summary>
    internal EvalRequest.Generate Ask(string prompt, bool chat) => Ask(prompt, chat ? [new ChatTurn("user", prompt)] : null);
}
