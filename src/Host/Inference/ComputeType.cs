// --dtype as a type that this libtorch computes in.

using PeftAlign.Host.CommandLine;
using PeftAlign.Torch;

namespace PeftAlign.Host.Inference;

internal static class ComputeType
{
    /// <summary>The type of --dtype; float32 where it is not given.</summary>
    /// <exception cref="UserError">libtorch has no products of this type on a processor (older ones have none of float16).</exception>
    internal static torch.ScalarType Of(Session session)
    {
        if (session.Global.Dtype is not { } name) return torch.float32;
        var type = Enum.Parse<torch.ScalarType>(name, ignoreCase: true);
        using var scope = torch.NewDisposeScope();
        try
        {
            torch.ones([2, 2], type).mm(torch.ones([2, 2], type));
            return type;
        }
        catch (TorchException e)
        {
            throw new UserError($"--dtype {name}", "is no type that this libtorch multiplies matrices in on a processor", "give bfloat16 or float32, or use a newer libtorch", e);
        }
    }
}
