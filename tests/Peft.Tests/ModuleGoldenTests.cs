// LoRA and IA3 against PEFT: every golden folder's logits, gradients, merged weights and trainable count; adapter off is the base bit
// for bit; what is saved again loads again and says the same as PEFT's file.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Peft.Tests;

public sealed class ModuleGoldenTests : ScopedTest
{
    // The engine tests' tolerance; PEFT's own merged logits differ from its unmerged ones by up to 2.6e-5.
    private const double LogitTolerance = 1e-4;
    private const double GradientTolerance = 1e-4;

    private static readonly string[] Folders =
    [
        "lora", "lora-all-linear", "lora-default-targets", "lora-embedding", "lora-exclude", "lora-gpt2", "lora-gpt2-bias", "lora-layers", "lora-patterns",
        "lora-regex", "lora-trainable-tokens", "rslora", "rslora-patterns", "dora", "dora-gpt2", "pissa-converted", "olora-converted", "pissa-trained", "olora-trained",
        "ia3", "ia3-gpt2",
    ];


    [TestCaseSource(nameof(Folders))]
    public void A_folder_of_peft_computes_what_peft_computes(string folder)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var model = Golden.Base(files);
        var adapter = Registered.ReaderOf(files);
        var sites = Trainable(adapter.Load(model.Outline((string)files.Config["base_model_name_or_path"]!), files));
        var mode = Mode(sites);
        using var golden = Golden.Tensors(folder, "golden.safetensors");
        var before = Golden.Logits(model, ForwardMode.Plain);
        if (Golden.Has(golden, "logits")) Assert.That(Golden.Distance(Golden.Logits(model, mode), golden.Tensor("logits")), Is.LessThan(LogitTolerance));
        foreach (var (off, plain) in Golden.Logits(model, ForwardMode.Plain).Zip(before)) Assert.That(off.equal(plain), "the base's logits changed");
        if (File.Exists(Path.Combine(Golden.Path(folder), "golden.json")) && Golden.Json(folder, "golden.json")["trainable_parameters"] is { } count)
            Assert.That(sites.Sum(s => s.Delta.Parameters.Values.Sum(p => p.numel())), Is.EqualTo((long)count));

        Golden.Objective(model, mode).backward();
        var gradients = adapter.Save(model.Outline("base"), sites.Select(s => s with { Delta = s.Delta.With(role => s.Delta.Parameters[role].grad!) }).ToList()).Tensors;
        var compared = Golden.Names(golden).Where(n => n.StartsWith("grad.", StringComparison.Ordinal)).ToList();
        foreach (var name in compared)
        {
            var expected = golden.Tensor(name);
            Assert.That(Golden.Worst(gradients[name["grad.".Length..]], expected), Is.LessThan(GradientTolerance * Math.Max(1, expected.abs().max().item<float>())), name);
        }
    }

    [TestCaseSource(nameof(Folders))]
    public void Merged_weights_are_pefts(string folder)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var model = Golden.Base(files);
        var sites = Registered.ReaderOf(files).Load(model.Outline("base"), files);
        using var golden = Golden.Tensors(folder, "golden.safetensors");
        var merged = AdapterMerge.Tensors(model, sites);
        var named = Golden.Names(golden).Where(n => n.StartsWith("merged.", StringComparison.Ordinal)).Select(n => n["merged.".Length..]).ToList();
        if (named.Count > 0) Assert.That(merged.Keys, Is.EquivalentTo(named));
        foreach (var name in named) Assert.That(Golden.Worst(merged[name], golden.Tensor("merged." + name)), Is.LessThan(2e-6), name);
        foreach (var (name, tensor) in merged) model.SetWeight(name, tensor);
        if (Golden.Has(golden, "logits")) Assert.That(Golden.Distance(Golden.Logits(model, ForwardMode.Plain), golden.Tensor("logits")), Is.LessThan(LogitTolerance));
    }

    [TestCase("pair-a")]
    [TestCase("pair-b")]
    [TestCaseSource(nameof(Folders))]
    public void A_folder_written_again_says_the_same(string folder)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var outline = Golden.Base(files).Outline((string)files.Config["base_model_name_or_path"]!);
        var adapter = Registered.ReaderOf(files);
        var saved = adapter.Save(outline, adapter.Load(outline, files));
        if (folder.EndsWith("-trained", StringComparison.Ordinal))
        {
            var twice = (int)files.Config["r"]! * 2L;
            Assert.That((int)saved.Config["r"]!, Is.EqualTo(twice));
            Assert.That(saved.Tensors.Where(t => t.Key.Contains("lora_A")).Select(t => t.Value.shape[0]), Is.All.EqualTo(twice));
            return;
        }
        Assert.That(saved.Tensors.Keys, Is.EquivalentTo(files.Tensors.Keys));
        foreach (var (name, tensor) in files.Tensors) Assert.That(saved.Tensors[name].cpu().equal(tensor), name);
        foreach (var (key, value) in saved.Config) Assert.That(Plain(value), Is.EqualTo(Plain(files.Config[key])), key);
    }

    // Lists as sets, numbers by value.
    private static string Plain(JsonNode? node) => node switch
    {
        null => "null",
        JsonArray array => string.Join(" ", array.Select(Plain).Order(StringComparer.Ordinal)),
        JsonObject map => string.Join(" ", map.Select(p => $"{p.Key}={Plain(p.Value)}").Order(StringComparer.Ordinal)),
        _ when node.GetValueKind() == System.Text.Json.JsonValueKind.Number => System.Text.Json.JsonSerializer.Deserialize<double>(node).ToString(System.Globalization.CultureInfo.InvariantCulture),
        _ => node.ToJsonString(),
    };

    private static IReadOnlyList<AdapterSite> Trainable(IReadOnlyList<AdapterSite> sites) =>
        sites.Select(s => s with { Delta = s.Delta.With(role => s.Delta.Parameters[role].requires_grad_()) }).ToList();

    internal static ForwardMode Mode(IReadOnlyList<AdapterSite> sites) => new() { Deltas = sites.ToDictionary(s => s.Module, s => s.Delta) };
}
