// Numbers of config.json that an architecture divides by or takes the root of.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal static class PositiveNumbers
{
    /// <summary>The number of a key; null where it is not given.</summary>
    /// <exception cref="UserErrorException">It is not above 0; the message says <paramref name="wanted"/>.</exception>
    internal static double? Positive(this ArchitectureConfig config, string key, string wanted = "a positive number") =>
        config.Number(key) is not { } number ? null : number > 0 ? number : throw config.Wrong(key, wanted);
}
