// precompute_reference in a manifest: one job for all trainings that share the reference, the same numbers as without it, and files
// that were damaged are refused.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class StoredReferenceTests
{
    private const string Manifest = Manifests.Tiny + """
        name: stored
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 40, split: train }
          exam: { reader: synthetic, rows: 10, split: test }
        adapters:
          small: { type: lora, rank: 4, alpha: 8, targets: all-linear }
          thin: { type: lora, rank: 2, alpha: 2, targets: [q_proj] }
        methods:
          tune: { type: sft, adapter: small, learning_rate: 5.0e-3, batch_size: 8, max_steps: 3 }
          prefer: { type: dpo, adapter: thin, beta: { grid: [0.1, 0.2] }, learning_rate: 2.0e-3, batch_size: 8, max_steps: 4, eval_data: exam, eval_every: 2, precompute_reference: true }
          soften: { type: dpo, reference: base, learning_rate: 1.0e-4, batch_size: 8, max_steps: 2, precompute_reference: true }
        train:
          - { models: [tiny], datasets: [world], methods: [[tune, prefer], [tune, soften]] }
        """;

    [Test]
    public void It_is_computed_once_and_changes_no_number()
    {
        using var user = new Peftalign();
        using var plain = new Peftalign();
        user.Finish(user.Write("stored.yaml", Manifest));
        plain.Finish(plain.Write("plain.yaml", Manifest.Replace(", precompute_reference: true", "", StringComparison.Ordinal)));
        string[] Jobs(Peftalign of, string kind) => [.. Directory.GetDirectories(Path.Combine(of.Run, "jobs")).Where(job => (string?)Peftalign.Json(Path.Combine(job, "result.json"))["kind"] == kind)];
        var references = Jobs(user, "reference");
        Assert.That(references, Has.Length.EqualTo(2), "one for the variants of the grid, one for the base");
        Assert.That(references.Select(job => (int)Peftalign.Json(Path.Combine(job, "result.json"))["outcome"]!["rows"]!), Is.All.EqualTo(40));
        string[] labels = ["tune/world/prefer[beta=0.1]/s3", "tune/world/prefer[beta=0.2]/s3", "tune/world/soften/s3"];
        AssertSame(user, plain, labels.Select(l => "train/tiny/world/" + l));

        var numbers = Path.Combine(references[0], "log_probs", "log_probs.safetensors");
        var bytes = File.ReadAllBytes(numbers);
        bytes[^2] ^= 64;
        File.WriteAllBytes(numbers, bytes);
        foreach (var label in labels) Directory.Delete(user.Job("train/tiny/world/" + label), recursive: true);
        var damaged = Peftalign.Call("run", user.File("stored.yaml"), "--out", user.Run, "--threads", "1");
        Assert.That((damaged.Code, damaged.All.Contains("changed or cut")), Is.EqualTo((2, true)), damaged.All);
        Directory.Delete(references[0], recursive: true);
        user.Finish(user.File("stored.yaml"));
    }

    // kto's answers for z0 are each batch's own: the reference is asked for them, and kept where all weights are trained.
    [Test]
    public void Answers_that_a_batch_mixes_are_computed_as_they_come()
    {
        const string mixed = Manifests.Tiny + """
            name: mixed
            seeds: [3]
            datasets:
              world: { reader: synthetic, rows: 40, split: train }
            adapters:
              thin: { type: lora, rank: 2, alpha: 2, targets: [q_proj] }
            methods:
              whole: { type: kto, learning_rate: 1.0e-3, batch_size: 8, max_steps: 3, precompute_reference: true }
              light: { type: kto, adapter: thin, learning_rate: 5.0e-3, batch_size: 8, max_steps: 3, precompute_reference: true }
              alone: { type: kto, loss_type: apo_zero_unpaired, learning_rate: 1.0e-3, batch_size: 8, max_steps: 3, precompute_reference: true }
              tune: { type: sft, learning_rate: 5.0e-3, batch_size: 8, max_steps: 3 }
              far: { type: kto, reference: base, learning_rate: 1.0e-3, batch_size: 8, max_steps: 3, precompute_reference: true }
            train:
              - { models: [tiny], datasets: [world], methods: [whole, light, alone, [tune, far]] }
            evaluate: []
            """;
        using var user = new Peftalign();
        using var plain = new Peftalign();
        user.Finish(user.Write("mixed.yaml", mixed));
        plain.Finish(plain.Write("plain.yaml", mixed.Replace(", precompute_reference: true", "", StringComparison.Ordinal)));
        AssertSame(user, plain, ((string[])["whole", "light", "alone", "tune/world/far"]).Select(method => $"train/tiny/world/{method}/s3"));
        bool Told(string method) => File.ReadAllText(Path.Combine(user.Job($"train/tiny/world/{method}/s3"), "log.txt")).Contains("kto measures answers that each batch mixes anew");
        Assert.That((Told("whole"), Told("light"), Told("alone"), Told("tune/world/far")), Is.EqualTo((true, true, false, true)));
        var planned = Peftalign.Call("run", user.File("mixed.yaml"), "--out", user.File("other"), "--dry-run", "--json");
        Assert.That((int)JsonNode.Parse(planned.Out)!["forecast"]!["kinds"]!["reference"]!["jobs"]!, Is.EqualTo(1), "alone's: the others would have no use for one");
    }

    // Nothing is stored for the batch's own answers, so that the former weights stay in memory beside those that are trained.
    [TestCase("kto", true)]
    [TestCase("apo_zero_unpaired", false)]
    public void A_dry_run_counts_the_second_model_where_a_batch_mixes_answers(string loss, bool isHeld)
    {
        using var user = new Peftalign();
        var rows = user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 8).Select(k => $$"""{"prompt_ids": [1, 2], "completion_ids": [{{3 + k}}, 4], "label": true}""" + "\n")));
        long Held(params string[] more)
        {
            var told = Peftalign.Call(["train", "kto", "--model", Peftalign.Stories, "--data", rows, "--out", user.Run, "--loss-type", loss, "--batch-size", "4", "--max-steps", "1", "--dry-run", "--json", .. more]);
            Assert.That(told.Code, Is.Zero, told.All);
            return (long)JsonNode.Parse(told.Out)!["base_bytes"]!;
        }
        Assert.That(Held("--precompute-reference") == Held(), Is.EqualTo(isHeld));
    }

    private const string FourBits = Manifests.Tiny + """
          taught: { run: { model: tiny, method: [[tune]] } }
        name: four
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 40, split: train }
        adapters:
          small: { type: qlora, rank: 4, alpha: 8, targets: all-linear }
          thin: { type: lora, rank: 2, alpha: 2, targets: [q_proj] }
        methods:
          tune: { type: sft, adapter: small, learning_rate: 5.0e-3, batch_size: 8, max_steps: 3 }
          prefer: { type: dpo, adapter: small, learning_rate: 2.0e-3, batch_size: 8, max_steps: 2, precompute_reference: true }
          soften: { type: dpo, adapter: thin, reference: base, learning_rate: 2.0e-3, batch_size: 8, max_steps: 2, precompute_reference: true }
          full: { type: sft, learning_rate: 5.0e-3, batch_size: 8, max_steps: 3 }
          far: { type: dpo, adapter: small, reference: base, learning_rate: 2.0e-3, batch_size: 8, max_steps: 2, precompute_reference: true }
        train:
          - { models: [tiny], datasets: [world], methods: [tune, prefer, far, [tune, prefer], [tune, soften], [full, far]] }
          - { models: [taught], datasets: [world], methods: [soften] }
        evaluate: []
        """;

    // The reference is over the training's base: quantised by its own adapter or by an earlier stage's; behind a stage that trained all
    // weights the declared base is another model, and as its folder has it.
    [Test]
    public void Over_four_bits_it_changes_no_number()
    {
        using var user = new Peftalign();
        using var plain = new Peftalign();
        user.Finish(user.Write("four.yaml", FourBits));
        plain.Finish(plain.Write("plain.yaml", FourBits.Replace(", precompute_reference: true", "", StringComparison.Ordinal)));
        AssertSame(user, plain, ((string[])["tiny/world/prefer", "tiny/world/far", "tiny/world/tune/world/prefer", "tiny/world/tune/world/soften", "tiny/world/full/world/far", "taught/world/soften"]).Select(label => $"train/{label}/s3"));
    }

    private static void AssertSame(Peftalign user, Peftalign plain, IEnumerable<string> labels)
    {
        foreach (var label in labels)
        {
            List<JsonObject> Rows(Peftalign of) => [.. File.ReadLines(Path.Combine(of.Job(label), "metrics.jsonl")).Select(line => JsonNode.Parse(line)!.AsObject())];
            Assert.That(Rows(plain), Is.Not.Empty);
            foreach (var (stored, computed) in Rows(user).Zip(Rows(plain)))
                foreach (var (name, value) in computed)
                    Assert.That((double)stored[name]!, Is.EqualTo((double)value!).Within(1e-5 * Math.Max(1, Math.Abs((double)value!))), $"{label} {name}");
        }
    }
}
