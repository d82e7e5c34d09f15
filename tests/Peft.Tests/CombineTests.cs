// Combinations of two adapters against PEFT's add_weighted_adapter: products, parts and logits.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Tests;

public sealed class CombineTests : ScopedTest
{
    private static readonly string[] Runs =
    [
        "linear", "linear_negative", "cat", "cat_negative", "svd", "svd_rank2", "ties", "ties_frequency", "dare_linear_d1", "dare_ties_d1", "magnitude_prune",
        "ties_svd", "magnitude_prune_svd", "dare_linear_svd_d1",
    ];

    private static ICombinesAdapters Lora => (ICombinesAdapters)Registered.Lora();

    private static List<(AdapterFiles, double)> Inputs(params double[] weights) =>
        [(Golden.Adapter(Golden.Path("pair-a")), weights[0]), (Golden.Adapter(Golden.Path("pair-b")), weights[1])];

    [TestCaseSource(nameof(Runs))]
    public void Gives_what_peft_gives(string run)
    {
        var settings = Golden.Json("combine", "golden.json")["runs"]![run]!.AsObject();
        var weights = settings["weights"]!.AsArray().Select(w => (double)w!).ToArray();
        var combined = Lora.Combine(Inputs(weights), new AdapterCombination((string)settings["combination_type"]!)
        {
            Density = (double?)settings["density"],
            SignByFrequency = (string?)settings["majority_sign_method"] == "frequency",
            Rank = (int?)settings["svd_rank"],
        });
        Assert.That((long)combined.Config["r"]!, Is.EqualTo((long)(int)settings["r"]!));
        var model = Golden.Base(combined);
        var sites = Registered.Lora().Load(model.Outline("base"), combined);
        using var golden = Golden.Tensors("combine", "golden.safetensors");
        // Two libraries' float32 decompositions of matrices with entries up to about 10 agree to some 3e-6.
        var tolerance = run.Contains("svd", StringComparison.Ordinal) ? 1e-5 : 1e-6;
        foreach (var site in sites)
        {
            var low = (LowRank)site.Delta;
            Assert.That(low.Scale, Is.EqualTo(1));
            Assert.That(Golden.Worst(low.B.mm(low.A), golden.Tensor($"{run}.{site.Module}.delta")), Is.LessThan(tolerance), site.Module);
            if (Golden.Has(golden, $"{run}.{site.Module}.lora_A")) Assert.That(Golden.Worst(low.A, golden.Tensor($"{run}.{site.Module}.lora_A")), Is.LessThan(1e-6), site.Module);
        }
        Assert.That(Golden.Distance(Golden.Logits(model, ModuleGoldenTests.Mode(sites)), golden.Tensor($"{run}.logits")), Is.LessThan(1e-4));
    }

    [TestCase("linear")]
    [TestCase("svd")]
    public void Ends_when_it_is_told_to(string type) =>
        Assert.Throws<OperationCanceledException>(() => Lora.Combine(Inputs(1, 1), new(type) { Cancellation = new CancellationToken(canceled: true) }));

    [Test]
    public void Dare_keeps_about_the_density_and_depends_on_the_seed_alone()
    {
        Dictionary<string, Tensor> Combined(ulong seed) => Lora.Combine(Inputs(0.7, 0.6), new("dare_linear") { Density = 0.5, Seed = seed }).Tensors.ToDictionary();
        var (one, again, other) = (Combined(1), Combined(1), Combined(2));
        Assert.That(one.All(t => again[t.Key].equal(t.Value)));
        Assert.That(one.Any(t => !other[t.Key].equal(t.Value)));
        // Both inputs drop an entry with probability 1/4.
        var zeros = one.Values.Sum(t => t.eq(0).sum().item<long>()) / (double)one.Values.Sum(t => t.numel());
        Assert.That(zeros, Is.EqualTo(0.25).Within(0.05));
    }

    [TestCase("linear", 0.5, false, null, "density")]
    [TestCase("ties", null, false, null, "density")]
    [TestCase("linear", null, true, null, "sign")]
    [TestCase("cat", null, false, 2, "rank")]
    [TestCase("sum", null, false, null, "cat")]
    public void An_option_that_means_nothing_is_an_error(string type, double? density, bool frequency, int? rank, string word) =>
        Assert.That(Assert.Throws<UserErrorException>(() => Lora.Combine(Inputs(1, 1), new(type) { Density = density, SignByFrequency = frequency, Rank = rank }))!.Message, Does.Contain(word));

    // Which entries are large depends on the signs of singular vectors, which are each library's own: so PEFT's rule over ours.
    [TestCase("svd", 0.9)]
    [TestCase("ties_svd", 0.977)]
    public void A_clamp_cuts_what_svd_makes_to_a_quantile_of_its_entries(string type, double quantile)
    {
        AdapterFiles Combined(double? clamp) => Lora.Combine(Inputs(0.7, -0.6), new(type) { Density = type == "svd" ? null : 0.5, Clamp = clamp });
        var (plain, cut) = (Combined(null).Tensors, Combined(quantile).Tensors);
        foreach (var name in plain.Keys.Where(name => name.EndsWith(".lora_A.weight", StringComparison.Ordinal)))
        {
            var other = name.Replace(".lora_A.", ".lora_B.", StringComparison.Ordinal);
            float[] all = [.. plain[other].reshape(-1).data<float>(), .. plain[name].reshape(-1).data<float>()];
            Array.Sort(all);
            var place = quantile * (all.Length - 1);
            var most = all[(int)place] + (place - (int)place) * (all[(int)place + 1] - all[(int)place]);
            foreach (var half in (string[])[name, other]) Assert.That(Golden.Worst(cut[half], plain[half].clamp(-most, most)), Is.LessThan(1e-6), half);
            Assert.That(plain[name].abs().max().item<float>() > most || plain[other].abs().max().item<float>() > most, Is.True, "something is cut");
        }
    }

    [TestCase("linear", 0.9, "truncate")]
    [TestCase("svd", 0.4, "0.4")]
    [TestCase("svd", 1.1, "1.1")]
    [TestCase("svd", double.NaN, "NaN")]
    public void A_clamp_that_means_nothing_is_an_error(string type, double clamp, string word) =>
        Assert.That(Assert.Throws<UserErrorException>(() => Lora.Combine(Inputs(1, 1), new(type) { Clamp = clamp }))!.Message, Does.Contain(word));

    [Test]
    public void Ranks_that_differ_are_for_cat_and_svd()
    {
        var inputs = Inputs(1, 1);
        var wide = Golden.Adapter(Golden.Path("pissa-converted"));
        inputs[1] = (wide, 1.0);
        Assert.Throws<UserErrorException>(() => Lora.Combine(inputs, new("linear")));
        Assert.That((int)(long)Lora.Combine(inputs, new("cat")).Config["r"]!, Is.EqualTo(12));
        inputs[1] = (Golden.Adapter(Golden.Path("dora")), 1.0);
        Assert.Throws<UserErrorException>(() => Lora.Combine(inputs, new("cat")));
    }
}
