// --device as a device that is there. Without it the first GPU that libtorch sees, else the processor.

using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Doctor;
using PeftAlign.Host.Jobs;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Inference;

internal static class ComputeDevice
{
    /// <summary>The device that is asked for; null = the first GPU, if there is one.</summary>
    /// <param name="asked">cpu, cuda or cuda:N, or null. (privateuseone, which no help names, is the device to rehearse on.)</param>
    /// <exception cref="UserError">It is not there; the message says what is.</exception>
    internal static torch.Device Of(string? asked)
    {
        if (asked is null) return torch.cuda.is_available() ? torch.CUDA : torch.CPU;
        var device = new torch.Device(asked);
        if (device.type == DeviceType.PrivateUse1) return Rehearsal.Open();
        if (device.type == DeviceType.CUDA) ThrowIfAbsent(asked, device);
        return device;
    }

    /// <summary>The device of a command.</summary>
    internal static torch.Device Of(Session session) => Of(session.Global.Device);

    /// <summary>Refuses a device for work that is done on the processor.</summary>
    /// <exception cref="UserError">Another one is asked for.</exception>
    internal static void ThrowUnlessProcessor(Session session, string work)
    {
        if (session.Global.Device is { } asked and not "cpu") throw new UserError($"--device {asked}", $"{work} is the processor's work", "leave it out");
    }

    /// <summary>Whether jobs would compute on a GPU, by what was asked, and where nothing was by what is there.</summary>
    internal static bool IsGpu(string? asked) => asked is null ? torch.cuda.is_available() : new torch.Device(asked).type == DeviceType.CUDA;

    /// <summary>Type of a training where none is asked for: bfloat16 on a GPU, float32 on a processor and for a score head.</summary>
    internal static torch.ScalarType TrainingType(JobContext job, bool scores = false) => TrainingType(IsGpu(job.Spec.Device), scores);

    /// <inheritdoc cref="TrainingType(JobContext, bool)"/>
    internal static torch.ScalarType TrainingType(bool onGpu, bool scores) => !scores && onGpu ? torch.bfloat16 : torch.float32;

    private static void ThrowIfAbsent(string asked, torch.Device device)
    {
        var count = torch.cuda.device_count();
        if (device.index < count) return;
        var engine = $"libtorch {LibTorch.Version} in {Engine.Folder() ?? "an unknown folder"}";
        if (!Engine.HasCuda) throw new UserError($"--device {asked}", $"{engine} computes on the processor only", "set LIBTORCH to a libtorch with CUDA (of a Python wheel its folder torch; docs/set-up.md), or leave --device out");
        if (count > 0) throw new UserError($"--device {asked}", $"{engine} sees {count} device{(count == 1 ? "" : "s")}, cuda:0{(count == 1 ? "" : $" to cuda:{count - 1}")}", "give one of them, or leave --device out");
        var hidden = Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES") is { } visible ? $" (CUDA_VISIBLE_DEVICES={visible})" : "";
        throw new UserError($"--device {asked}", $"{engine} has CUDA but sees no device{hidden}", "peftalign doctor says what the driver sees; or leave --device out");
    }
}
