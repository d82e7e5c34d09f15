// --device as users give it: what is not there is refused with what is, before anything is written; on the device to rehearse on, where
// every tensor that slips in from the processor is refused, commands give the processor's numbers.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

[Parallelizable(ParallelScope.Self)]
public sealed class DeviceTests
{
    private static string Model => Peftalign.Stories;

    [Test]
    public void A_gpu_that_is_not_there_is_refused_before_anything_is_written()
    {
        if (File.Exists("/dev/nvidia0")) Assert.Ignore("there is a GPU here");
        using var user = new Peftalign();
        TrainRows.Write(user);
        foreach (var call in (string[][])[
            ["train", "sft", "--model", Model, "--data", TrainRows.Path(user), "--out", user.File("never"), "--adapter", "lora"],
            ["score", "--model", Model, "--in", TrainRows.Path(user)],
            ["run", Path.Combine(Peftalign.Repository, "experiments", "quickstart.yaml"), "--out", user.File("never")]])
        {
            var refused = Peftalign.Call([.. call, "--device", "cuda:1"]);
            Assert.That((refused.Code, Directory.Exists(user.File("never"))), Is.EqualTo((2, false)), refused.All);
            Assert.That(refused.Err, Does.StartWith("peftalign: --device cuda:1: libtorch ").And.Contain("leave --device out"));
            Assert.That(refused.Err.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(1));
        }
        var merged = Peftalign.Call("merge", "x.yaml", "--out", user.File("never"), "--device", "cuda");
        Assert.That((merged.Code, merged.Err), Is.EqualTo((2, "peftalign: --device cuda: merging is the processor's work; leave it out\n")));
    }

    [TestCase("cpu", "a processor")]
    [TestCase("privateuseone", "privateuseone:0")]
    public void A_type_that_libtorch_has_no_products_of_is_refused(string device, string named)
    {
        foreach (var call in (string[][])[["generate", "--prompt", "Once", "--max-new-tokens", "1"], ["score", "--in", "/dev/null"]])
        {
            var outcome = Peftalign.Call([.. call, "--model", Model, "--dtype", "float16", "--device", device, "--quiet"]);
            Assert.That((outcome.Code, outcome.Err), Is.EqualTo((2, $"peftalign: --dtype float16: is no type that this libtorch multiplies matrices in on {named}; give bfloat16 or float32, or use a newer libtorch\n"))
                .Or.EqualTo((0, ""))); // newer ones have them
        }
    }

    [Test]
    public void A_training_over_four_bits_and_its_adapter_are_the_processors()
    {
        using var user = new Peftalign();
        TrainRows.Write(user);
        string[] Train(string name, string device) => ["train", "sft", "--model", Model, "--data", TrainRows.Path(user), "--out", user.File(name), "--adapter", "qlora", "--rank", "4", "--max-steps", "4", "--batch-size", "4", "--learning-rate", "3e-3", "--save-every", "2", "--threads", "1", "--device", device];
        string[] Score(string name, string device) => ["score", "--model", Model, "--adapter", Path.Combine(user.File(name), "adapter"), "--in", TrainRows.Path(user), "--threads", "1", "--device", device];
        double[] Numbers(string lines, string key) => [.. lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (double)JsonNode.Parse(line)![key]!)];
        (double[] Losses, double[] Scores) Of(string name, string device)
        {
            foreach (var call in (string[][])[Train(name, device), Score(name, device)])
            {
                var outcome = Peftalign.Call(call);
                Assert.That(outcome.Code, Is.Zero, outcome.All);
                if (call[0] == "score") return (Numbers(File.ReadAllText(Path.Combine(user.File(name), "metrics.jsonl")), "loss"), Numbers(outcome.Out, "logprob"));
            }
            throw new InvalidOperationException();
        }
        var both = new[] { ("here", "cpu"), ("there", "privateuseone") }.AsParallel().AsOrdered().Select(run => Of(run.Item1, run.Item2)).ToList();
        Assert.That(both[1].Losses, Is.EqualTo(both[0].Losses).Within(1e-3));
        Assert.That(both[1].Scores, Is.EqualTo(both[0].Scores).Within(5e-3));
        Assert.That((string?)Peftalign.Json(Path.Combine(user.File("there"), "run.json"))["device"], Is.EqualTo("privateuseone:0"));
        Assert.That((string?)Peftalign.Json(Path.Combine(user.File("there"), "checkpoints", "2", "state.json"))["made_on"], Does.EndWith("PrivateUse1"));
    }

    // What bench/gpu/run does first on a machine with a GPU.
    [Test]
    public void The_device_is_checked_against_the_processor()
    {
        var outcome = Peftalign.Call("bench-device", "check", "--device", "privateuseone", "--threads", "1", "--json");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var check = JsonNode.Parse(outcome.Out)!["check"]!;
        Assert.That(check["checks"]!.AsArray(), Has.Count.GreaterThan(50).And.All.Matches<JsonNode>(c => (bool)c["ok"]!));
        Assert.That((string?)check["device"], Is.EqualTo("privateuseone:0"));
    }
}
