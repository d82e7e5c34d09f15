// bench-device check is what a machine with a GPU is trusted by: it has to fail where the device is wrong. Here the processor stands for the
// device, and what goes wrong is put in.

using System.Text.Json.Nodes;
using PeftAlign.Host.Bench;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using PeftAlign.Training;

namespace PeftAlign.Host.Tests;

public sealed class DeviceCheckTests
{
    private static readonly PluginCatalogue Plugins = PluginSearch.Of(Path.GetDirectoryName(Product.Host)!, []).Scan();

    private static JsonObject Sft(Func<TrainingOptions, TrainingOptions> there) => new DeviceCheck(torch.CPU, Plugins) { There = there }.Run(["sft"], default);

    private static List<JsonObject> Ways(JsonObject check) => [.. check["checks"]!.AsArray().Select(c => c!.AsObject()).Where(c => ((string)c["check"]!).EndsWith("way", StringComparison.Ordinal))];

    [Test]
    public void A_device_that_trains_as_the_processor_does_is_sound()
    {
        var check = Sft(options => options);
        Assert.That((bool)check["sound"]!, check.ToJsonString());
        Assert.That(Ways(check), Has.Count.EqualTo(10));
    }

    // No gradient is left of one that is cut to this length.
    private static readonly (string Name, Func<TrainingOptions, TrainingOptions> There)[] Faults =
    [
        ("no gradient", options => options with { MaxGradNorm = 1e-30 }),
        ("no update", options => options with { LearningRate = 0 }),
        ("half an update", options => options with { LearningRate = options.LearningRate / 2.1 }),
        ("one step too few", options => options with { MaxSteps = 2 }),
    ];

    [TestCaseSource(nameof(Faults))]
    public void A_device_that_trains_otherwise_is_not((string Name, Func<TrainingOptions, TrainingOptions> There) fault)
    {
        var check = Sft(fault.There);
        Assert.That((bool)check["sound"]!, Is.False, fault.Name);
        foreach (var way in Ways(check).Where(w => !((string)w["check"]!).Contains("bfloat16", StringComparison.Ordinal) || fault.Name.StartsWith("no", StringComparison.Ordinal)))
            Assert.That((bool)way["ok"]!, Is.False, way.ToJsonString());
    }

    [Test]
    public void What_is_no_number_or_missing_is_no_small_difference()
    {
        Assert.That(DeviceCheck.Largest([1, 2], [1, 2.5]), Is.EqualTo(0.5));
        Assert.That(DeviceCheck.Largest([1, 2], [1, double.NaN]), Is.EqualTo(double.PositiveInfinity));
        Assert.That(DeviceCheck.Largest([1, 2], [1]), Is.EqualTo(double.PositiveInfinity));
    }

    // y is about as large as the root of the columns: nothing in its place, another row's, or 2 % of its size beside it are seen.
    [Test]
    public void A_product_in_bfloat16_may_be_off_by_roundings_alone()
    {
        using var scope = torch.NewDisposeScope();
        var x = new CounterStream(1, "x", "").Normal([4, 512]);
        var w = new CounterStream(1, "w", "").Normal([96, 512]);
        var (exact, rounded) = (x.mm(w.t()), x.to(torch.bfloat16).mm(w.to(torch.bfloat16).t()));
        Assert.That(DeviceCheck.Roundings(exact.to(torch.bfloat16), rounded, 512), Is.InRange(1e-6, 1.0));
        foreach (var wrong in (Tensor[])[torch.zeros_like(exact), exact.flip(0), exact + (0.02 * Math.Sqrt(512)) + (exact.abs() / 128)])
            Assert.That(DeviceCheck.Roundings(exact.to(torch.bfloat16), wrong.to(torch.bfloat16), 512), Is.GreaterThan(1));
    }

    // As of a GPU under libtorch before 2.9: nothing is told, and nothing is asked for again.
    [Test]
    public void Memory_that_is_not_told_stays_out()
    {
        if (torch.cuda.is_available()) Assert.Ignore("there is a GPU here");
        foreach (var device in (torch.Device[])[torch.CPU, new("cuda:0")])
        {
            var memory = new DeviceMemory(device);
            memory.Restart();
            memory.Empty();
            Assert.That((memory.Peak, memory.Reserved), Is.EqualTo(((double?)null, (double?)null)));
        }
    }
}
