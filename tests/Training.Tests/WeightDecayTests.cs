// Which adapter tensors are decayed, against what transformers' Trainer said of PEFT models: Llama with biases, DoRA, IA3, trained
// token rows and modules_to_save, and GPT-2, whose LayerNorm is known by its kind alone.

using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class WeightDecayTests : TrainingTest
{
    [TestCase("model.layers.0.self_attn.q_proj", "bias", new long[] { 16 }, false)]
    [TestCase("model.layers.0.self_attn.q_proj", "lora_A", new long[] { 2, 16 }, true)]
    [TestCase("model.layers.0.self_attn.q_proj", "lora_B", new long[] { 16, 2 }, true)]
    [TestCase("model.layers.0.self_attn.q_proj", "lora_magnitude_vector", new long[] { 16 }, true)]
    [TestCase("model.layers.0.self_attn.k_proj", "ia3_l", new long[] { 16 }, true)]
    [TestCase("model.layers.0.input_layernorm", "weight", new long[] { 16 }, false)]
    [TestCase("model.layers.0.self_attn.q_norm", "weight", new long[] { 16 }, false)]
    [TestCase("model.norm", "weight", new long[] { 16 }, false)]
    [TestCase("lm_head", "weight", new long[] { 32, 16 }, true)]
    [TestCase("model.embed_tokens", "trainable_tokens_delta", new long[] { 1, 16 }, true)]
    [TestCase("transformer.h.0.attn.c_attn", "bias", new long[] { 48 }, false)]
    [TestCase("transformer.ln_f", "weight", new long[] { 16 }, false)]
    [TestCase("transformer.ln_f", "bias", new long[] { 16 }, false)]
    public void An_adapters_tensors_decay_as_transformers_says(string module, string role, long[] shape, bool decays)
    {
        using var tensor = torch.zeros(shape);
        foreach (var name in (string[])[role, "1." + role]) Assert.That(WeightDecay.AppliesTo(module, name, tensor), Is.EqualTo(decays));
    }
}
