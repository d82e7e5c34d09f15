// Combinations of two or three adapters of any ranks, scales and weights against PEFT's add_weighted_adapter: what the result adds to
// each weight. A few cases that PEFT made lie in fixtures/peft/combine-cases; beside a Python with peft many random ones are drawn.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Tests;

public sealed class CombineBesidePeftTests : ScopedTest
{
    private const string Prefix = "base_model.model.";

    private static readonly string[] Kept = ["ranks-of-patterns", "ranks-of-configurations", "three-pruned", "elected-by-frequency", "rslora", "embedding-rank-1"];

    // Each folder holds case.json and gets the adapters a0, a1 ... and delta.safetensors. Before #3449 PEFT let rsLoRA's first adapter
    // scale the result, whose own scale is 1 by its configuration: that factor is taken out.
    private const string Script = """
        import json, os, sys, torch
        from safetensors.torch import save_file
        from transformers import AutoConfig, AutoModelForCausalLM
        from peft import LoraConfig, PeftModel, get_peft_model
        torch.set_num_threads(1)
        config = AutoConfig.for_model("llama", vocab_size=11, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=16, tie_word_embeddings=False)
        plain = lambda: AutoModelForCausalLM.from_config(config)
        for seed, name in enumerate(sorted(os.listdir(sys.argv[1]))):
            torch.manual_seed(seed)
            folder = os.path.join(sys.argv[1], name)
            case = json.load(open(os.path.join(folder, "case.json")))
            names = [f"a{k}" for k in range(len(case["adapters"]))]
            mixed = None
            for k, options in enumerate(case["adapters"]):
                model = get_peft_model(plain(), LoraConfig(task_type="CAUSAL_LM", **options))
                with torch.no_grad():
                    for parameter in (p for n, p in model.named_parameters() if "lora_" in n): parameter.copy_(torch.randn_like(parameter) * 0.4)
                model.save_pretrained(os.path.join(folder, names[k]), save_embedding_layers=False)
                if mixed is None: mixed = PeftModel.from_pretrained(plain(), os.path.join(folder, names[k]), adapter_name=names[k])
                else: mixed.load_adapter(os.path.join(folder, names[k]), adapter_name=names[k])
            mixed.add_weighted_adapter(names, case["weights"], "mix", combination_type=case["type"], density=case["density"], svd_rank=case["rank"],
                majority_sign_method=case["sign"])
            save_file({n: (m.get_delta_weight("mix") / m.scaling["mix"]).detach().contiguous()
                for n, m in mixed.base_model.model.named_modules() if hasattr(m, "lora_A") and "mix" in m.scaling}, os.path.join(folder, "delta.safetensors"))
        """;

    [TestCaseSource(nameof(Kept))]
    public void Gives_what_peft_gives(string name) => Compare(Golden.Path("combine-cases", name));

    [Test]
    public void Random_ones_give_what_peft_gives()
    {
        var root = Directory.CreateTempSubdirectory("peftalign-peers-").FullName;
        try
        {
            var random = new Random(17);
            for (var k = 0; k < 60; k++)
                File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(root, $"{k:00}")).FullName, "case.json"), Drawn(random).ToJsonString());
            PeersPython.Run(Script, root);
            foreach (var folder in Directory.GetDirectories(root)) Compare(folder);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private static void Compare(string folder)
    {
        using var scope = torch.NewDisposeScope();
        var text = File.ReadAllText(Path.Combine(folder, "case.json"));
        var given = JsonNode.Parse(text)!;
        var type = (string)given["type"]!;
        var inputs = given["weights"]!.AsArray().Select((weight, k) => (Golden.Adapter(Path.Combine(folder, $"a{k}")), (double)weight!)).ToList();
        var combined = ((ICombinesAdapters)Registered.Lora()).Combine(inputs, new(type) { Density = (double?)given["density"], Rank = (int?)given["rank"], SignByFrequency = (string)given["sign"]! == "frequency" });
        using var theirs = Models.Checkpoints.SafetensorsFile.Open(Path.Combine(folder, "delta.safetensors"));
        Assert.That(combined.Tensors, Has.Count.EqualTo(2 * Golden.Names(theirs).Count()), text);
        foreach (var module in Golden.Names(theirs))
        {
            var isEmbedding = combined.Tensors.TryGetValue($"{Prefix}{module}.lora_embedding_A", out var a);
            var b = combined.Tensors[Prefix + module + (isEmbedding ? ".lora_embedding_B" : ".lora_B.weight")];
            var change = b.mm(a ?? combined.Tensors[$"{Prefix}{module}.lora_A.weight"]);
            Assert.That(Golden.Worst(isEmbedding ? change.t() : change, theirs.Tensor(module)), Is.LessThan(2e-5), $"{module} of {text}");
        }
    }

    // Without random pruning, whose draws are the library's own, and with the ranks that PEFT takes.
    private static JsonObject Drawn(Random random)
    {
        T One<T>(params ReadOnlySpan<T> of) => of[random.Next(of.Length)];
        var type = One("linear", "cat", "svd", "ties", "dare_linear", "dare_ties", "magnitude_prune", "ties_svd", "dare_linear_svd", "dare_ties_svd", "magnitude_prune_svd");
        var truncates = type.EndsWith("svd", StringComparison.Ordinal);
        var (count, rank, patterns) = (One(2, 2, 3), One(2, 3, 4), Patterns());
        JsonObject Patterns() => One("", "q_proj", "up_proj", "layers.0.mlp.up_proj") is { Length: > 0 } name ? new() { [name] = One(1, 2, 6) } : [];
        var adapters = Enumerable.Range(0, count).Select(_ => (JsonNode)new JsonObject
        {
            ["r"] = truncates || type == "cat" ? One(2, 3, 4, 5) : rank,
            ["lora_alpha"] = One(1, 4, 8, 5),
            ["rank_pattern"] = truncates || type == "cat" ? Patterns() : patterns.DeepClone(),
            ["alpha_pattern"] = One(false, true) ? new JsonObject { ["q_proj"] = 3 } : [],
            ["use_rslora"] = One(false, false, true),
            ["target_modules"] = new JsonArray(["q_proj", "up_proj", .. One<string[]>([], ["down_proj"], ["embed_tokens"], ["lm_head"]).Select(t => (JsonNode)t)]),
        });
        return new()
        {
            ["type"] = type,
            ["adapters"] = new JsonArray([.. adapters]),
            ["weights"] = new JsonArray([.. Enumerable.Range(0, count).Select(_ => (JsonNode)One(1, 1, 0.7, 0.3, -0.5, 0, -1, 2))]),
            ["density"] = type is "linear" or "cat" or "svd" ? null : type.Contains("dare", StringComparison.Ordinal) ? 1.0 : One(0.2, 0.35, 0.5, 0.77, 1),
            ["rank"] = truncates ? One<int?>(null, null, 1, 2, 5) : null,
            ["sign"] = type.Contains("ties", StringComparison.Ordinal) ? One("total", "frequency") : "total",
        };
    }
}
