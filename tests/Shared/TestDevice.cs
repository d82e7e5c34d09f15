// Where tests that compare with golden numbers compute: the processor; the device that PEFTALIGN_TEST_DEVICE names (cuda where a GPU
// is); in tests/Rehearsal.Tests the device to rehearse on.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Tests;

internal static class TestDevice
{
#if REHEARSAL
    private const string Standard = "privateuseone";
#else
    private const string Standard = "cpu";
#endif

    private static readonly Lazy<torch.Device> Chosen = new(() =>
    {
        var device = new torch.Device(Environment.GetEnvironmentVariable("PEFTALIGN_TEST_DEVICE") is { Length: > 0 } name ? name : Standard);
        return device.type == DeviceType.PrivateUse1 ? Rehearsal.Open() : device;
    });

    /// <summary>The device.</summary>
    internal static torch.Device Here => Chosen.Value;

    internal static bool IsProcessor => Here.type == DeviceType.CPU;

    /// <summary>Skips a test of what only the device to rehearse on does or tells.</summary>
    internal static void RequireRehearsal()
    {
        if (Here.type != DeviceType.PrivateUse1) NUnit.Framework.Assert.Ignore($"on {Here}: it asks the device to rehearse on");
    }

    /// <summary>Skips a test whose numbers another order of sums moves beyond its tolerance, though nothing is wrong.</summary>
    internal static void RequireProcessor(string why)
    {
        if (!IsProcessor) NUnit.Framework.Assert.Ignore($"on {Here}: {why}");
    }
}
