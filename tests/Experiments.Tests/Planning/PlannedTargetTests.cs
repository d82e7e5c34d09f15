// Modules that an adapter names and its model does not have are told before any job starts, by run as by run --dry-run: for a model in a
// folder as for one that is made in the run, or trained in it.

namespace PeftAlign.Experiments.Tests;

public sealed class PlannedTargetTests
{
    private static string Manifest(Peftalign user, string adapter, string method = "sft")
    {
        user.Write("rows.jsonl", string.Concat(Enumerable.Repeat(method == "reward" ? """{"prompt": "a", "chosen": "b", "rejected": "c"}""" + "\n" : """{"prompt": "a", "completion": "b"}""" + "\n", 4)));
        return user.Write("targets.yaml", $$"""
            peftalign: 1
            name: targets
            seeds: [1]
            models:
              ready: { path: {{Peftalign.Stories}} }
              tiny: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 64 }, tokenizer: bytes }
            datasets: { rows: { reader: jsonl, path: rows.jsonl } }
            adapters: { own: {{adapter}} }
            methods:
              tune: { type: {{method}}, max_steps: 1, batch_size: 2, adapter: own }
            train:
              - { models: {{(method == "reward" ? "ready" : "[ready, tiny]")}}, datasets: rows, methods: tune }
            """);
    }

    [TestCase("{ type: lora, targets: [q_proj, v_porj] }", "targets: [q_proj, v_porj] 'v_porj' matches no module of this llama model. Did you mean ")]
    [TestCase("{ type: qlora, targets: [q_projj] }", "'q_projj' matches no module of this llama model")]
    [TestCase("{ type: ia3, targets: [k_proj, mlp.down], feedforward_modules: [mlp.down] }", "'mlp.down' matches no module")]
    [TestCase("{ type: lora, targets: 'model.*.(q|w)_prj' }", "matches no module of this llama model")]
    [TestCase("{ type: lora, targets: [q_proj], layers_to_transform: [7] }", "leave none of this llama model")]
    [TestCase("{ type: lora, targets: [q_proj], modules_to_save: [lm_haed] }", "modules_to_save: 'lm_haed' matches no module")]
    [TestCase("{ type: ia3, targets: [k_proj], feedforward_modules: [down_proj] }", "feedforward_modules: 'down_proj' is none of the targets (k_proj)")]
    [TestCase("{ type: lora, targets: [q_proj], rank_pattern: { q_proj: 4, self_attn.q_proj: 2 } }", "rank_pattern: 'q_proj' (4) and 'self_attn.q_proj' (2) both mean model.layers.0.self_attn.q_proj")]
    [TestCase("{ type: lora, targets: [q_proj], alpha_pattern: { q_proj: 4, self_attn.q_proj: 2 } }", "alpha_pattern: 'q_proj' (4) and ")]
    [TestCase("{ type: lora, targets: [q_proj, embed_tokens], use_dora: true }", "use_dora: model.embed_tokens is an embedding")]
    [TestCase("{ type: lora, targets: [q_proj], trainable_tokens: [5, 99999] }", "trainable tokens: id 99999 is not in the vocabulary of ")]
    [TestCase("{ type: lora, targets: [q_proj, embed_tokens], trainable_tokens: [5] }", "model.embed_tokens is a target or trained whole, and trainable tokens train rows of it")]
    [TestCase("{ type: bottleneck, targets: [o_prj] }", "'o_prj' matches no module")]
    [TestCase("{ type: bottleneck, modules_to_save: [lm_haed] }", "modules_to_save: 'lm_haed' matches no module")]
    public void Names_that_the_models_do_not_have_are_told(string adapter, string said)
    {
        using var user = new Peftalign();
        var manifest = Manifest(user, adapter);
        foreach (var dry in (string[][])[["--dry-run"], []])
        {
            var told = Peftalign.Call(["run", manifest, "--out", user.Run, .. dry]);
            Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
            Assert.That(told.Err, Does.StartWith("peftalign: train/ready/rows/tune").And.Contain(said).And.EndWith(" fault(s); nothing was started.\n"));
            Assert.That(told.Err, Does.Contain(" and 1 job more: ").Or.Contain("\ntrain/tiny/rows/tune"), "the model that is made in the run");
            Assert.That(Directory.Exists(user.Run), Is.False);
        }
    }

    // Jobs of one model and one adapter are looked at once, those of another adapter, or of a method with a score head, apart.
    [Test]
    public void Each_adapter_is_looked_at_for_each_model()
    {
        using var user = new Peftalign();
        var manifest = Manifest(user, "{ type: lora, targets: [q_proj], modules_to_save: [score] }, good: { type: lora, targets: [q_proj] }", "reward");
        File.WriteAllText(manifest, File.ReadAllText(manifest).Replace("seeds: [1]", "seeds: [1, 2]", StringComparison.Ordinal)
            .Replace("methods:\n", "methods:\n  first: { type: dpo, max_steps: 1, batch_size: 2, adapter: good }\n  last: { type: dpo, max_steps: 1, batch_size: 2, adapter: own }\n", StringComparison.Ordinal)
            .Replace("methods: tune", "methods: [first, tune, last]", StringComparison.Ordinal));
        var told = Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run");
        Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
        Assert.That(told.Err, Does.StartWith("peftalign: train/ready/rows/last/s1 and 1 job more: modules_to_save: 'score' matches no module").And.EndWith("\n1 fault(s); nothing was started.\n"));
    }

    [TestCase("{ type: lora, targets: [q_proj, mlp.down_proj, embed_tokens], exclude_modules: [model.layers.0.self_attn.q_proj], layers_to_transform: [1], modules_to_save: [norm] }", "sft")]
    [TestCase("{ type: lora, targets: '.*(q|v)_proj' }", "sft")]
    [TestCase("{ type: lora }", "sft")]
    [TestCase("{ type: ia3 }", "sft")]
    [TestCase("{ type: lora, targets: [q_proj], trainable_tokens: [5] }", "sft")]
    [TestCase("{ type: lora, targets: [q_proj], rank_pattern: { q_proj: 4 }, alpha_pattern: { v_proj: 4 } }", "sft")]
    [TestCase("{ type: prompt, num_virtual_tokens: 2 }", "sft")]
    [TestCase("{ type: bottleneck, targets: [o_proj], bottleneck_size: 4 }", "sft")]
    [TestCase("{ type: lora, targets: [q_proj], modules_to_save: [score] }", "reward")]
    public void Names_that_they_have_are_planned(string adapter, string method)
    {
        using var user = new Peftalign();
        var planned = Peftalign.Call("run", Manifest(user, adapter, method), "--out", user.Run, "--dry-run");
        Assert.That(planned.Code, Is.Zero, planned.All);
    }
}
