// Short experiments for the tests.

namespace PeftAlign.Experiments.Tests;

internal static class Manifests
{
    /// <summary>The head of a manifest over one model of bytes, made in the run; other models may follow, then the rest.</summary>
    public const string Tiny = """
        peftalign: 1
        models:
          tiny: { init: llama, set: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }

        """;

    /// <summary>A model made in the run, trained with all weights and then with LoRA and dropout; checkpoints on the way.</summary>
    public const string Short = Tiny + """
          taught: { run: { model: tiny, method: teach } }
        name: short
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 120, split: train }
          exam: { reader: synthetic, rows: 40, split: test }
        adapters:
          small: { type: lora, rank: 4, alpha: 8, dropout: 0.1, targets: all-linear }
        methods:
          teach: { type: sft, learning_rate: 3.0e-3, lr_scheduler: cosine, warmup_steps: 4, weight_decay: 0.01, batch_size: 8, gradient_accumulation_steps: 2, max_steps: 40, save_every: 4, keep_checkpoints: 2 }
          tune: { type: sft, adapter: small, learning_rate: 2.0e-3, batch_size: 8, max_steps: 40, save_every: 3 }
        train:
          - { models: [tiny], datasets: [world], methods: [teach] }
          - { models: [taught], datasets: [world], methods: [tune] }
        evaluate:
          - of: [untouched, trained]
            with: [{ type: preference, dataset: exam }]
        """;

    /// <summary>Two LoRA policies of one base, merged through full weights (dare_ties, slerp) and in adapter space (linear).</summary>
    public static string Merges { get; } = Short
        .Replace("name: short", "name: merges", StringComparison.Ordinal)
        .Replace("  exam:", "  more: { reader: synthetic, rows: 80, split: train }\n  exam:", StringComparison.Ordinal)
        .Replace("models: [taught], datasets: [world]", "models: [taught], datasets: [world, more]", StringComparison.Ordinal)
        .Replace("max_steps: 40, save_every: 3 }", "max_steps: 12, save_every: 6 }", StringComparison.Ordinal)
        .Replace("evaluate:", """
            merge:
              - { name: dare, method: dare_ties, of: { model: taught, dataset: [world, more] }, across: dataset, parameters: { density: 0.53, weight: 0.5 } }
              - { name: slerp, method: slerp, of: { model: taught, dataset: [world, more] }, across: dataset, parameters: { t: 0.5 } }
              - { name: linear, method: linear, of: { model: taught, dataset: [world, more] }, across: dataset, parameters: { weight: [0.25, 0.75] } }
            evaluate:
            """, StringComparison.Ordinal)
        .Replace("of: [untouched, trained]", "of: [trained, merged]", StringComparison.Ordinal);
}
