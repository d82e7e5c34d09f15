// What bench-device measures where a device has less memory than the shape wants, and what it has said when its minutes end. How much fits
// is put in; the trainings are real, of a tiny model on the processor.

using System.Text.Json.Nodes;
using PeftAlign.Host.Bench;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.Tests;

public sealed class DeviceStepsTests
{
    private static DeviceSteps Wanted(string shape, int batch) => new("sft", shape, batch, 1, batch, false, true);

    // Rows that fit into one pass, without and with checkpointing, by shape; others fit whole.
    private static List<string> Tried(DeviceSteps wanted, params (string Shape, int Without, int With)[] room)
    {
        var tried = new List<string>();
        DeviceSteps.Fitting(wanted, steps =>
        {
            var (_, without, with) = room.FirstOrDefault(r => r.Shape == steps.Shape, (steps.Shape, int.MaxValue, int.MaxValue));
            tried.Add($"{steps.Shape} {steps.Pass}{(steps.Checkpointing ? " again" : "")}");
            return steps.Pass <= (steps.Checkpointing ? with : without) ? new() { ["tokens_per_s"] = 1 } : new() { ["out_of_memory"] = "CUDA out of memory" };
        });
        return tried;
    }

    [Test]
    public void What_fits_is_measured_once_each_way() => Assert.That(Tried(Wanted("7b", 16)), Is.EqualTo(new[] { "7b 16", "7b 16 again" }));

    [Test]
    public void Passes_become_smaller_until_they_fit() =>
        Assert.That(Tried(Wanted("7b", 16), ("7b", 5, 8)), Is.EqualTo(new[] { "7b 16", "7b 8", "7b 4", "7b 16 again", "7b 8 again" }));

    [Test]
    public void Passes_make_up_the_whole_step() => Assert.That(DeviceSteps.Passes(12), Is.EqualTo(new[] { 12, 6, 4, 3, 2, 1 }));

    [Test]
    public void Where_no_row_fits_a_smaller_model_is_taken()
    {
        string[] shapes = ["7b 2", "7b 1", "7b 2 again", "7b 1 again", "1b 2", "1b 1", "1b 2 again"];
        Assert.That(Tried(Wanted("7b", 2), ("7b", 0, 0), ("1b", 1, 2)), Is.EqualTo(shapes));
        Assert.That(Tried(Wanted("1b", 1), ("1b", 0, 0)), Is.EqualTo(new[] { "1b 1", "1b 1 again" }), "and no smaller one than that");
        Assert.That(Tried(Wanted("7b", 1), ("7b", 0, 1)), Has.None.Contains("1b"), "checkpointing alone fits");
    }

    // The losses of a step do not depend on the passes that it is made in; that all of its rows are in it is seen in them.
    [TestCase("sft")]
    [TestCase("dpo")]
    public void A_step_in_passes_is_the_same_step(string method)
    {
        var plugins = PluginSearch.Of(Path.GetDirectoryName(Product.Host)!, []).Scan();
        List<double[]> losses = [];
        foreach (var rows in (int[])[4, 2, 1])
        {
            var facts = (Wanted("tiny", 4) with { Method = method, Pass = rows }).Run(new DeviceMemory(torch.CPU), torch.float32, plugins, default);
            Assert.That((facts["error"], facts["out_of_memory"], (int)facts["pass"]!), Is.EqualTo(((JsonNode?)null, (JsonNode?)null, rows)));
            losses.Add([.. facts["losses"]!.AsArray().Select(loss => (double)loss!)]);
        }
        Assert.That(losses[0], Has.Length.EqualTo(2));
        Assert.That(losses[1], Is.EqualTo(losses[0]).Within(1e-4));
        Assert.That(losses[2], Is.EqualTo(losses[0]).Within(1e-4));
    }

    // What the device refuses is said in its place, and what comes after is measured.
    [Test]
    public void A_device_that_fails_is_no_end()
    {
        if (torch.cuda.is_available()) Assert.Ignore("there is a GPU here");
        var plugins = PluginSearch.Of(Path.GetDirectoryName(Product.Host)!, []).Scan();
        var facts = Wanted("tiny", 1).Run(new DeviceMemory(new("cuda:0")), torch.float32, plugins, default);
        Assert.That(((string)facts["error"]!, facts["losses"]), Is.EqualTo(((string)facts["error"]!, (JsonNode?)null)));
        Assert.That((string)facts["error"]!, Is.Not.Empty);
    }

    [Test]
    public void Every_check_is_told_when_it_is_done()
    {
        var plugins = PluginSearch.Of(Path.GetDirectoryName(Product.Host)!, []).Scan();
        List<(int Checks, bool Sound)> told = [];
        var there = (TrainingOptions options) => options.GradientCheckpointing ? options with { LearningRate = 0 } : options;
        var check = new DeviceCheck(torch.CPU, plugins) { There = there, Said = known => told.Add((known["checks"]!.AsArray().Count, (bool)known["sound"]!)) }.Run(["sft"], default);
        Assert.That(told.Select(t => t.Checks), Is.EqualTo(Enumerable.Range(1, check["checks"]!.AsArray().Count)));
        Assert.That(told[0].Sound, "the first training is sound");
        Assert.That(told[^1].Sound, Is.False, "one of those after it is not");
    }
}
