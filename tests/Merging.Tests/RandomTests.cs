// Random strategies with our own numbers: as many entries kept as their probabilities say, independent masks, the same bytes for the
// same seed whatever the threads and the shards, and the right mean.

using PeftAlign.Algebra;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Merging.Tests;

public class RandomTests
{
    private const double Normal = 3.3; // 99.9 %, two-sided

    [TestCase("dare-linear")]
    [TestCase("dare-ties")]
    [TestCase("della")]
    public void AsManyAreKeptAsExpected(string name)
    {
        var golden = Workshop.Json(Workshop.Golden("random.json")).EnumerateArray().FirstOrDefault(c => c.GetProperty("name").GetString() == name);
        if (golden.ValueKind == System.Text.Json.JsonValueKind.Undefined) Assert.Ignore($"{name} is not among the fixtures; set PEFTALIGN_SHARED to the folder that holds golden/");
        using var plan = Workshop.Plan(Workshop.Golden(golden.GetProperty("yaml").GetString()!), Workshop.Golden());
        using var scope = torch.NewDisposeScope();
        foreach (var model in golden.GetProperty("per_model").EnumerateObject())
        {
            var bounds = model.Value.GetProperty("bounds_99.9");
            Assert.That(plan.Tensors.Sum(tensor => Kept(tensor, model.Name).Sum()), Is.InRange(bounds[0].GetInt32(), bounds[1].GetInt32()), model.Name);
        }
    }

    [Test]
    public void MasksOfTwoModelsAreIndependent()
    {
        using var plan = Workshop.Plan(Workshop.Golden("yaml", "dare-linear.yml"), Workshop.Golden());
        using var scope = torch.NewDisposeScope();
        var (both, n) = (0, 0);
        foreach (var tensor in plan.Tensors)
        {
            var (a, b) = (Kept(tensor, "models/a"), Kept(tensor, "models/b"));
            both += a.Zip(b, (x, y) => x * y).Sum();
            n += a.Length;
        }
        var share = 0.6 * 0.4; // densities 0.6 and 0.4: expected_kept in random.json
        Assert.That(both, Is.EqualTo(n * share).Within(Normal * Math.Sqrt(n * share * (1 - share))));
    }

    // 1 where the strategy keeps the model's entry: the result differs from the base there, if the other models are the base.
    private static int[] Kept(PlannedTensor tensor, string model)
    {
        var input = tensor.Inputs.Select((one, k) => (one, k)).Single(pair => pair.one.Model.Name == model).k;
        var origin = tensor.Base!.Value.Model.Tensor(tensor.Base!.Value.Name);
        using var plan = new MergePlan(Config("x"), [], [], tensor.Inputs[0].Model, 0, null, []);
        var merged = new MergeRunner(plan, new MergeOptions { Seed = 7 }).Make(tensor with { Strategy = new OnlyOne(tensor.Strategy, input) });
        return merged.ne(origin).to(torch.ScalarType.Int32).reshape(-1).data<int>().ToArray();
    }

    private static MergeConfig Config(string method) => new(method, default, null, [], true, Settings.None, Settings.None);

    // DARE does not look at an entry; DELLA does. A few entries of one model equal the base's, which hides whether they are kept, so
    // all get a difference, the larger the larger theirs is.
    private sealed class OnlyOne(PeftAlign.Abstractions.IMergeStrategy strategy, int input) : PeftAlign.Abstractions.IMergeStrategy
    {
        public Tensor Merge(PeftAlign.Abstractions.MergeTensor tensor) =>
            strategy.Merge(tensor with { Inputs = [.. tensor.Inputs.Select((x, k) => k == input ? Apart(x, tensor.Base!) : tensor.Base!)] });

        private static Tensor Apart(Tensor x, Tensor origin) => origin + (x - origin) * 10 + torch.where((x - origin).ge(0), torch.full_like(x, 1), torch.full_like(x, -1));
    }

    [Test]
    public void TheSameSeedGivesTheSameBytesForAnyThreadsAndShards()
    {
        var yaml = Workshop.Golden("yaml", "dare-ties.yml");
        using var scope = torch.NewDisposeScope();
        var one = Workshop.Tensors(Workshop.Merge(yaml, Workshop.Golden(), new MergeOptions { Seed = 3 }));
        torch.set_num_threads(4);
        var folder = Workshop.Merge(yaml, Workshop.Golden(), new MergeOptions { Seed = 3, ShardBytes = 4000 });
        torch.set_num_threads(1);
        Assert.That(File.Exists(Path.Combine(folder, "model.safetensors.index.json")));
        Compare.Close("threads and shards", Workshop.Tensors(folder), one, 0, 0);
        var other = Workshop.Tensors(Workshop.Merge(yaml, Workshop.Golden(), new MergeOptions { Seed = 4 }));
        Assert.That(one.Sum(t => t.Value.ne(other[t.Key]).to(torch.ScalarType.Int64).sum().item<long>()), Is.GreaterThan(1000), "another seed draws other masks");
    }

    [Test]
    public void WhereAModelLiesChangesNoDraw()
    {
        var (yaml, elsewhere) = (Workshop.Golden("yaml", "dare-ties.yml"), Workshop.Scratch());
        var models = Workshop.Golden("models");
        foreach (var file in Directory.GetFiles(models, "*", SearchOption.AllDirectories))
        {
            var to = Path.Combine(elsewhere, "moved", Path.GetRelativePath(models, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(file, to);
        }
        var moved = Path.Combine(elsewhere, "moved.yml");
        File.WriteAllText(moved, File.ReadAllText(yaml).Replace("models/", "moved/", StringComparison.Ordinal));
        Assert.That(File.ReadAllText(moved), Is.Not.EqualTo(File.ReadAllText(yaml)));
        using var scope = torch.NewDisposeScope();
        var options = new MergeOptions { Seed = 3 };
        var one = Workshop.Tensors(Workshop.Merge(yaml, Workshop.Golden(), options));
        Compare.Close("moved", Workshop.Tensors(Workshop.Merge(moved, elsewhere, options)), one, 0, 0);
        var above = Workshop.Tensors(Workshop.Merge(yaml, Workshop.Golden(), options with { Level = 1 }));
        Assert.That(one.Sum(t => t.Value.ne(above[t.Key]).to(torch.ScalarType.Int64).sum().item<long>()), Is.GreaterThan(1000), "a merge of merges draws other masks than those did");
    }

    [Test]
    public void ThreadsDoNotChangeLargeTensors()
    {
        using var scope = torch.NewDisposeScope();
        var (x, origin) = (new CounterStream(1, "x").Normal([700, 900]), new CounterStream(1, "origin").Normal([700, 900]));
        var results = new[] { 1, 4 }.Select(threads =>
        {
            torch.set_num_threads(threads);
            var mask = Masks.Largest(x, origin, 0.37);
            return (mask.Norm, mask.KeptNorm, Mixtures.Products([x, origin], null)[0, 1], TaskVectors.Sum(origin, [new TaskVector(x, mask, 1.5, 0.5)], true, true, 1, torch.float32));
        }).ToArray();
        torch.set_num_threads(1);
        Assert.That(results[1].Item1, Is.EqualTo(results[0].Item1));
        Assert.That(results[1].Item2, Is.EqualTo(results[0].Item2));
        Assert.That(results[1].Item3, Is.EqualTo(results[0].Item3));
        Compare.Close("sum", results[1].Item4, results[0].Item4, 0, 0);
    }

    [Test]
    public void TheKernelDrawsTheStreamsOwnNumbers()
    {
        using var scope = torch.NewDisposeScope();
        var (x, origin) = (torch.ones([5003]), torch.zeros([5003]));
        var mask = Masks.Random(x, origin, 0.3, new CounterStream(9, "merge a", "t"));
        var expected = new CounterStream(9, "merge a", "t").Bernoulli([5003], 0.3);
        Compare.Close("draws", mask.Slice(0, 5003).to(torch.float32), expected, 0, 0);
        Assert.That(mask.KeptNorm, Is.EqualTo(expected.sum().item<float>()));
    }

    [Test]
    public void TheMeanOfExactRescalingIsTheTaskVector()
    {
        const double p = 0.4, weight = 0.7;
        const int seeds = 200;
        using var scope = torch.NewDisposeScope();
        var (x, origin) = (new CounterStream(2, "x").Normal([40, 50]), new CounterStream(2, "origin").Normal([40, 50]));
        var mean = torch.zeros([40, 50]);
        for (var seed = 0UL; seed < seeds; seed++)
            mean.add_((TaskVectors.Sum(origin, [new TaskVector(x, Masks.Random(x, origin, p, new CounterStream(seed, "m")), 1 / p, weight)], false, false, 1, torch.float32) - origin) / seeds);
        var expected = (x - origin) * weight;
        var within = (mean - expected).abs().le(expected.abs() * (Normal * Math.Sqrt((1 - p) / p / seeds)));
        Assert.That(within.to(torch.float32).mean([0L, 1L]).item<float>(), Is.GreaterThan(0.995));
    }
}
