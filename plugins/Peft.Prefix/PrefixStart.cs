// Where prefixes begin, as in PEFT: an embedding's standard normal, or zero; with a projection an embedding and two linear layers with
// torch's uniform start, of which "zero" clears the last.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Prefix;

/// <param name="Tokens">m.</param>
/// <param name="Width">G * D, of one block's keys.</param>
/// <param name="Blocks">Number of blocks.</param>
internal sealed record PrefixShape(int Tokens, long Width, int Blocks)
{
    internal long Flat => 2 * Blocks * Width;

    internal static PrefixShape Of(DecoderSpec spec, int tokens) => new(tokens, spec.KeyValueHeads * spec.HeadWidth, spec.Layers);
}

internal static class PrefixStart
{
    internal static PrefixKV Of(PrefixOptions options, PrefixShape shape, ulong seed, torch.Device device)
    {
        var zero = options.Init == "zero";
        CounterStream Stream(string role) => new(seed, "prefix", role);
        Tensor Normal(long width) => Stream("embedding.weight").Normal([shape.Tokens, width]).to(device);
        if (!options.PrefixProjection) return new PrefixKV(zero ? torch.zeros([shape.Tokens, shape.Flat], device: device) : Normal(shape.Flat));
        var inner = options.EncoderHiddenSize ?? shape.Width;
        Tensor Uniform(string role, long inputs, params long[] sizes) => Stream(role).Uniform(sizes, -1 / Math.Sqrt(inputs), 1 / Math.Sqrt(inputs)).to(device);
        return new PrefixKV(Normal(shape.Width))
        {
            Projection = new PrefixProjection(
                Uniform("transform.0.weight", shape.Width, inner, shape.Width), Uniform("transform.0.bias", shape.Width, inner),
                zero ? torch.zeros([shape.Flat, inner], device: device) : Uniform("transform.2.weight", inner, shape.Flat, inner),
                zero ? torch.zeros([shape.Flat], device: device) : Uniform("transform.2.bias", inner, shape.Flat)),
        };
    }
}
