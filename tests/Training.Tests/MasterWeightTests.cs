// Full fine-tuning in bfloat16: the model computes with rounded copies of float32 master weights. Updates that bfloat16 could not
// hold add up in the masters, points and the end are the masters, and a killed run ends with the bytes of a whole one.

using PeftAlign.Models;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class MasterWeightTests : TrainingTest
{
    private static readonly TrainingOptions Options = new()
    {
        Dtype = torch.ScalarType.BFloat16,
        MaxSteps = 6,
        BatchSize = 4,
        GradientAccumulationSteps = 2,
        LearningRate = 1e-6,
        LrScheduler = "constant",
        SaveEvery = 0,
    };

    private string At(string name) => Directory.CreateDirectory(Path.Combine(Folder, name)).FullName;

    private static double[] Losses(string folder) => [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line => (double)System.Text.Json.Nodes.JsonNode.Parse(line)!["loss"]!)];

    // AdamW moves every weight by up to the rate: 6e-6 in all, where bfloat16's steps at 0.1 are 5e-4.
    [Test]
    public void Updates_below_bfloat16s_steps_are_kept()
    {
        var (narrow, wide) = (Fixtures.SmallRun(At("narrow"), Options, adapter: false), Fixtures.SmallRun(At("wide"), Options with { Dtype = torch.ScalarType.Float32 }, adapter: false));
        var start = narrow.Model.Weights.ToDictionary(w => w.Key, w => w.Value.clone());
        var seen = new List<torch.ScalarType>();
        Trainer.Train(narrow with { Progress = _ => seen.AddRange(narrow.Model.Weights.Values.Select(w => w.dtype)) });
        Trainer.Train(wide);
        Assert.That(seen, Is.Not.Empty.And.All.EqualTo(torch.ScalarType.BFloat16), "the model computes in bfloat16");
        Assert.That(narrow.Model.Weights.Values.Select(w => w.dtype), Is.All.EqualTo(torch.ScalarType.Float32), "the masters are what is left");
        foreach (var name in (string[])["model.layers.0.mlp.down_proj.weight", "model.layers.2.self_attn.q_proj.weight", "lm_head.weight"])
        {
            var (mine, theirs) = (narrow.Model.Weights[name] - start[name], wide.Model.Weights[name] - start[name]);
            Assert.That(mine.ne(0).to(torch.float32).mean().item<float>(), Is.GreaterThan(0.9), name);
            Assert.That((mine.to(torch.bfloat16) * theirs.to(torch.bfloat16)).to(torch.float32).sum().item<float>() / (mine.norm() * theirs.norm()).item<float>(), Is.GreaterThan(0.8), $"{name}: the same direction");
        }
    }

    [Test]
    public void Killed_after_any_step_ends_with_equal_bytes()
    {
        var options = Options with { SaveEvery = 2, KeepCheckpoints = 2, LearningRate = 1e-3, Optimizer = "adamw" };
        Dictionary<string, Tensor> Train(string name, Action<TrainingProgress>? progress = null)
        {
            var run = Fixtures.SmallRun(At(name), options, adapter: false) with { Progress = progress };
            Trainer.Train(run);
            return new(run.Model.Weights);
        }
        var whole = Train("whole", p => Copy(At("whole"), At($"killed-{p.Step}")));
        for (var step = 1; step <= options.MaxSteps; step++)
        {
            var again = Train($"killed-{step}");
            foreach (var (name, tensor) in whole) Assert.That(again[name].equal(tensor), $"killed after step {step}: {name}");
            Assert.That(File.ReadAllText(Path.Combine(At($"killed-{step}"), "metrics.jsonl")), Is.EqualTo(File.ReadAllText(Path.Combine(At("whole"), "metrics.jsonl"))));
        }
    }

    // The policy at a point is written from the masters, and the training goes on in bfloat16.
    [Test]
    public void Points_hold_the_masters()
    {
        var run = Fixtures.SmallRun(At("run"), Options, adapter: false);
        var written = new Dictionary<string, Tensor>();
        var points = new KeptPoints(["step:3"], "", _ => written.Count > 0, (_, _) =>
        {
            foreach (var (name, weight) in run.Model.Weights) written[name] = weight.clone().DetachFromDisposeScope();
        });
        Trainer.Train(run with { Points = points });
        var early = Fixtures.SmallRun(At("early"), Options with { MaxSteps = 3 }, adapter: false);
        Trainer.Train(early);
        foreach (var (name, weight) in early.Model.Weights) Assert.That(written[name].equal(weight), name);
        Assert.That(written.Values.Select(w => w.dtype), Is.All.EqualTo(torch.ScalarType.Float32));
    }

    // The reference is the start, rounded as the policy is: before the first update both are the same.
    [Test]
    public void Dpo_starts_at_its_reference()
    {
        var model = ModelFolder.Load(Fixtures.Path("trajectories", "base-model"), device: TestDevice.Here);
        Trainer.Train(new TrainingRun
        {
            Model = model,
            Records = Fixtures.Records(Fixtures.Path("trajectories", "data", "pairs.json")),
            Method = Fixtures.Dpo(new Methods.Dpo.DpoOptions()),
            Options = Options with { LearningRate = 1e-4 },
            Folder = At("dpo"),
        });
        Assert.That(Losses(At("dpo"))[0], Is.EqualTo(Math.Log(2)).Within(1e-7));
        Assert.That(Losses(At("dpo"))[^1], Is.LessThan(Math.Log(2)));
    }
}
