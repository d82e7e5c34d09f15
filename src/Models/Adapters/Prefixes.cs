// The keys and values of prefix tuning, from what is trained.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Adapters;

/// <summary>PEFT's prefixes.</summary>
public static class Prefixes
{
    /// <summary>(m, 2 * blocks * G * D) keys and values as PEFT's files hold them, with gradients.</summary>
    /// <param name="prefix">What is trained.</param>
    public static Tensor Flat(PrefixKV prefix) => prefix.Projection is { } by
        ? F.linear(F.linear(prefix.Values, by.HiddenWeight, by.HiddenBias).tanh(), by.OutputWeight, by.OutputBias)
        : prefix.Values;
}
