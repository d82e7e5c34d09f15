// --dtype as a type that this libtorch computes in.

using System.Text.Json;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Host.Inference;

internal static class ComputeType
{
    /// <summary>The type of --dtype; where it is not given float32 on a processor, the checkpoint's elsewhere.</summary>
    /// <exception cref="UserError">libtorch has no products of this type on the device (older ones have none of float16 on a processor).</exception>
    internal static torch.ScalarType Of(Session session, torch.Device device, string folder)
    {
        if (session.Global.Dtype is not { } name || Named(name) is not { } type) return Standard(device, folder);
        using var scope = torch.NewDisposeScope();
        try
        {
            torch.ones([2, 2], type, device).mm(torch.ones([2, 2], type, device));
            return type;
        }
        catch (TorchException e) when (e is not TorchOutOfMemoryException)
        {
            throw new UserError($"--dtype {name}", $"is no type that this libtorch multiplies matrices in on {(device.type == DeviceType.CPU ? "a processor" : $"{device}")}", "give bfloat16 or float32, or use a newer libtorch", e);
        }
    }

    /// <summary>An element type by the name that --dtype takes; null for none.</summary>
    internal static torch.ScalarType? Named(string? name) => name is null ? null : Enum.Parse<torch.ScalarType>(name, ignoreCase: true);

    /// <summary>The type to compute in where none is asked for.</summary>
    /// <param name="device">Where.</param>
    /// <param name="folder">A model's; elsewhere than on a processor its config.json decides.</param>
    internal static torch.ScalarType Standard(torch.Device device, string folder)
    {
        if (device.type == DeviceType.CPU) return torch.float32;
        var json = ModelConfig.Open(folder).Json;
        var stored = new[] { "dtype", "torch_dtype" }.Select(key => json.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null).FirstOrDefault(text => text is not null);
        return stored switch
        {
            "bfloat16" => torch.bfloat16,
            "float16" => torch.float16,
            _ => torch.float32,
        };
    }
}
