// Merges of a manifest: through full weights and in adapter space, evaluated like any policy; the same bytes when run again elsewhere.

using System.Runtime.InteropServices;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class MergeJobTests
{
    [Test]
    public void Trained_adapters_are_merged_and_the_merges_are_evaluated()
    {
        using var user = new Peftalign();
        var manifest = user.Write("merges.yaml", Manifests.Merges);
        var predicted = ((string[])["dare", "slerp", "linear"]).ToDictionary(name => name, name => Disk(manifest, name));
        var whole = WholeRuns.Of(Manifests.Merges);
        foreach (var (name, space) in (ValueTuple<string, string>[])[("dare", "weights"), ("slerp", "weights"), ("linear", "adapter")])
        {
            var job = Merge(whole, name);
            Assert.That((string?)Peftalign.Json(Path.Combine(job, "result.json"))["outcome"]!["space"], Is.EqualTo(space), name);
            Assert.That(File.Exists(Path.Combine(job, space == "weights" ? "model/model.safetensors" : "adapter/adapter_model.safetensors")), name);
            // Bounds: full weights are predicted to a tenth; of a tiny adapter what lies around it is the larger part.
            var taken = Directory.GetFiles(job, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
            Assert.That(predicted[name] / (double)taken, space == "weights" ? Is.InRange(0.9, 1.1) : Is.InRange(0.7, 1.5), $"disk of {name}: {predicted[name]} said, {taken} taken");
        }
        var adapter = Peftalign.Json(Path.Combine(Merge(whole, "linear"), "adapter", "adapter_config.json"));
        Assert.That((int)adapter["r"]!, Is.EqualTo(8), "the sum of two adapters of rank 4");
        var evaluated = Peftalign.Json(Path.Combine(whole.Run, "report.json"))["jobs"]!.AsArray().Select(j => (string)j!["label"]!).Where(l => l.StartsWith("evaluate/", StringComparison.Ordinal)).ToList();
        Assert.That(evaluated.Count(label => label.Contains("dare", StringComparison.Ordinal) || label.Contains("slerp", StringComparison.Ordinal) || label.Contains("linear", StringComparison.Ordinal)), Is.EqualTo(3), string.Join("\n", evaluated));

        using var elsewhere = new Peftalign();
        elsewhere.Finish(elsewhere.Write("merges.yaml", Manifests.Merges), "--only", "merge/*");
        Assert.That(File.ReadAllBytes(Path.Combine(Merge(elsewhere, "dare"), "model", "model.safetensors")),
            Is.EqualTo(File.ReadAllBytes(Path.Combine(Merge(whole, "dare"), "model", "model.safetensors"))), "random numbers do not depend on where a run lies");
    }

    // With a weight of zero for the other and nothing made up for, a merge holds what its mask keeps of one parent; the same mask again
    // would keep all of it.
    [Test]
    public void Merges_of_merges_drop_other_entries_than_those_did()
    {
        using var user = new Peftalign();
        var text = Manifests.Merges[..Manifests.Merges.IndexOf("merge:", StringComparison.Ordinal)];
        string Merged(string name, string of, string across, string weight) => $"  - {{ name: {name}, method: dare_linear, of: {of}, across: {across}, parameters: {{ density: 0.5, weight: {weight} }}, rescale: off }}\n";
        const string both = "{ model: taught, dataset: [world, more] }";
        user.Finish(user.Write("again.yaml", text + "merge:\n" + Merged("one", both, "dataset", "[1, 0]") + Merged("two", both, "dataset", "[0, 1]") + Merged("again", "{ merge: [one, two] }", "merge", "[1, 0]")));
        float[] Weights(string job) => [.. RawTensors.Read(Path.Combine(job, "model", "model.safetensors")).OrderBy(tensor => tensor.Key, StringComparer.Ordinal).SelectMany(tensor => MemoryMarshal.Cast<byte, float>(tensor.Value.Bytes).ToArray())];
        var start = Weights(user.Job("train/tiny/world/teach/s3"));
        double Changed(string name) => Weights(Merge(user, $"merge/{name}/")).Zip(start, (one, other) => one == other ? 0 : 1).Sum();
        Assert.That(Changed("again") / Changed("one"), Is.EqualTo(0.5).Within(0.03), "four deviations of 5,000 draws");
    }

    private static string Planned(Peftalign user, string models, string methods, string merge, string data = "[world, more]") => user.Write("planned.yaml", $$"""
        peftalign: 1
        name: planned
        seeds: [3]
        models: {{models}}
        datasets:
          world: { reader: synthetic, rows: 40, split: train }
          more: { reader: synthetic, rows: 30, split: train }
        adapters:
          small: { type: lora, rank: 2 }
          soft: { type: prefix, num_virtual_tokens: 2 }
        methods: {{methods}}
        train:
          - { models: m, datasets: {{data}}, methods: t }
        merge:
          - { name: both, of: { model: m }, across: dataset, {{merge}} }
        """);

    private const string Made = "{ m: { init: llama, set: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes } }";

    // Told while planning, where the manifest says it: not after the trainings, by the names of jobs.
    [TestCase(Made, "{ t: { type: vanilla, max_steps: 2 } }", "method: dare_ties, parameters: { density: 0.5, weight: 0.5 }", "t/s3 has a larger vocabulary than the base model: its method adds the tokens <|good|>, <|bad|>; dare_ties measures every model from the base")]
    [TestCase("{ m: { path: FOUR } }", "{ t: { type: sft, adapter: small, max_steps: 2 } }", "method: slerp, parameters: { t: 0.5 }, base: w16", "base: w16 adds adapters to 16-bit weights, and FOUR is quantised; say base: dequantised")]
    [TestCase(Made, "{ t: { type: sft, adapter: soft, max_steps: 2 } }", "method: slerp, parameters: { t: 0.5 }", "no weights can hold its adapter 'soft' (prefix)")]
    public void A_merge_that_cannot_be_is_refused_by_its_line(string models, string methods, string merge, string why)
    {
        using var user = new Peftalign();
        var four = user.File("four");
        Directory.CreateDirectory(four);
        foreach (var file in Directory.GetFiles(Peftalign.Stories)) File.Copy(file, Path.Combine(four, Path.GetFileName(file)));
        var config = Peftalign.Json(Path.Combine(four, "config.json"));
        config["quantization_config"] = new JsonObject { ["quant_method"] = "bitsandbytes", ["load_in_4bit"] = true, ["bnb_4bit_quant_type"] = "nf4" };
        File.WriteAllText(Path.Combine(four, "config.json"), config.ToJsonString());
        var manifest = Planned(user, models.Replace("FOUR", four, StringComparison.Ordinal), methods, merge);
        foreach (var more in (string[][])[["--dry-run"], []])
        {
            var told = Peftalign.Call(["run", manifest, "--out", user.Run, "--threads", "1", .. more]);
            Assert.That(told.Code, Is.EqualTo(2), told.All);
            Assert.That(told.Err, Does.Contain("planned.yaml:15:").And.Contain("merge[0]: ").And.Contain(why.Replace("FOUR", four, StringComparison.Ordinal)));
        }
        Assert.That(Directory.Exists(user.File("out/jobs")), Is.False);
    }

    // GPT-2 stores its matrices the other way round; DoRA and biases are more than a sum of pairs, which PiSSA's is when it is trained.
    [Test]
    public void Every_kind_of_LoRA_is_merged()
    {
        using var user = new Peftalign();
        var made = "{ m: { init: gpt2, set: { n_embd: 32, n_layer: 1, n_head: 2, n_positions: 128 }, tokenizer: bytes } }";
        var text = File.ReadAllText(Planned(user, made, "{ t: { type: sft, adapter: small, max_steps: 2, batch_size: 2, learning_rate: 0.01 } }", "method: linear, parameters: { weight: [0.25, 0.75] }"));
        text = text.Replace("adapters:\n", "adapters:\n  dora: { type: lora, rank: 2, use_dora: true }\n  bias: { type: lora, rank: 2, bias: all }\n  pissa: { type: lora, rank: 2, init: pissa }\n", StringComparison.Ordinal)
            .Replace("methods: t }", "methods: t, adapters: [small, dora, bias, pissa] }", StringComparison.Ordinal).TrimEnd() + "\n  - { name: all, of: { dataset: world }, across: adapter, method: ties, parameters: { density: 0.5, weight: 0.5 } }\n";
        user.Finish(user.Write("kinds.yaml", text), "--only", "merge/*");
        string Space(string name) => (string)Peftalign.Json(Path.Combine(Merge(user, name), "result.json"))["outcome"]!["space"]!;
        Assert.That(((string[])["merge/both/m/t/small/", "merge/both/m/t/dora/", "merge/both/m/t/bias/", "merge/both/m/t/pissa/", "merge/all/"]).Select(Space), Is.EqualTo((string[])["adapter", "weights", "weights", "adapter", "weights"]));
        Assert.That((bool)Peftalign.Json(Path.Combine(Merge(user, "merge/both/m/t/small/"), "adapter", "adapter_config.json"))["fan_in_fan_out"]!, Is.True);
    }

    // DoRA over a frozen LoRA is no single adapter; a merge in which the other parent counts nothing is the policy itself.
    [Test]
    public void Policies_of_adapters_over_adapters_are_merged_as_they_answer()
    {
        using var user = new Peftalign();
        var text = File.ReadAllText(Planned(user, Made, "{ t: { type: sft, adapter: small, max_steps: 2, batch_size: 2, learning_rate: 0.05 }, u: { type: dpo, adapter: dora, max_steps: 2, batch_size: 2, learning_rate: 0.05 } }", "method: linear, parameters: { weight: [1, 0] }"));
        text = text.Replace("adapters:\n", "adapters:\n  dora: { type: lora, rank: 3, use_dora: true }\n", StringComparison.Ordinal).Replace("methods: t }", "methods: [[t, u]] }", StringComparison.Ordinal).TrimEnd()
            + "\nevaluate:\n  - { of: [{ dataset: more }, { dataset: world }, { merge: both }], with: { type: preference, dataset: more } }\n";
        user.Finish(user.Write("stacks.yaml", text));
        double Perplexity(string label) => (double)Peftalign.Json(Path.Combine(user.Job("evaluate/preference/" + label), "result.json"))["outcome"]!["results"]!["perplexity,none"]!;
        var (one, other) = (Perplexity("m/more/t/more/u/s3"), Perplexity("m/world/t/world/u/s3"));
        Assert.That(Perplexity("both/m/t>u/s3"), Is.EqualTo(one).Within(1e-4 * one));
        Assert.That(one, Is.Not.EqualTo(other).Within(1e-3 * other), "the parents are told apart");
    }

    [Test]
    public void Policies_with_the_same_new_tokens_are_merged_without_a_base()
    {
        using var user = new Peftalign();
        user.Finish(Planned(user, Made, "{ t: { type: vanilla, max_steps: 2, batch_size: 2 } }", "method: linear, parameters: { weight: [0.25, 0.75] }"), "--only", "merge/*");
        Assert.That((int)Peftalign.Json(Path.Combine(Merge(user, "both"), "model", "config.json"))["vocab_size"]!, Is.EqualTo(261));
    }

    // A tokenizer that has the tokens already gives a model that does not grow, and is as large as the base.
    [Test]
    public void Tokens_that_a_made_model_has_already_forbid_no_merge()
    {
        using var user = new Peftalign();
        var tokenizer = Peftalign.Json(Path.Combine(Peftalign.Repository, "tests", "fixtures", "stories260K", "tokenizer.json"));
        foreach (var token in (string[])["<|good|>", "<|bad|>"])
        {
            var entry = tokenizer["added_tokens"]![0]!.DeepClone();
            (entry["id"], entry["content"]) = (512 + tokenizer["added_tokens"]!.AsArray().Count - 3, token);
            tokenizer["added_tokens"]!.AsArray().Add(entry);
        }
        Directory.CreateDirectory(user.File("tok"));
        user.Write(Path.Combine("tok", "tokenizer.json"), tokenizer.ToJsonString());
        user.Finish(Planned(user, Made.Replace("tokenizer: bytes", "tokenizer: tok", StringComparison.Ordinal), "{ t: { type: vanilla, max_steps: 2, batch_size: 2 } }", "method: dare_ties, parameters: { density: 0.5, weight: 0.5 }"), "--only", "merge/*");
        Assert.That((int)Peftalign.Json(Path.Combine(Merge(user, "both"), "model", "config.json"))["vocab_size"]!, Is.EqualTo(514));
    }

    // In adapter space the first factors of the parents stand under each other, as they are: those of the points, and no others.
    [Test]
    public void Points_of_trainings_are_merged_where_the_selection_names_their_step()
    {
        using var user = new Peftalign();
        const string all = "{ name: linear, method: linear, of: { model: taught, dataset: [world, more] }";
        user.Finish(user.Write("points.yaml", Manifests.Merges.Replace(all, all.Replace("linear, method", "early, method").Replace("more] }", "more], checkpoints: 6 }"))), "--only", "merge/early/*");
        string[] trained = [user.Job("train/taught/world/tune/s3"), user.Job("train/taught/more/tune/s3")];
        var merged = Firsts(Path.Combine(Merge(user, "early"), "adapter"));
        var points = trained.Select(job => Firsts(Path.Combine(job, "points", "step-6", "adapter"))).ToList();
        var ends = trained.Select(job => Firsts(Path.Combine(job, "adapter"))).ToList();
        Assert.That(merged, Is.Not.Empty);
        foreach (var (name, rows) in merged)
        {
            Assert.That(rows, Is.EqualTo(points.SelectMany(point => point[name])), name);
            Assert.That(rows, Is.Not.EqualTo(ends.SelectMany(end => end[name])), name);
        }
    }

    // The bytes of every lora_A in a safetensors file.
    private static Dictionary<string, byte[]> Firsts(string adapter)
    {
        var file = File.ReadAllBytes(Path.Combine(adapter, "adapter_model.safetensors"));
        var start = 8 + (int)BitConverter.ToInt64(file);
        return JsonNode.Parse(file.AsSpan(8, start - 8))!.AsObject().Where(tensor => tensor.Key.Contains("lora_A", StringComparison.Ordinal))
            .ToDictionary(tensor => tensor.Key, tensor => file[(start + (int)tensor.Value!["data_offsets"]![0]!)..(start + (int)tensor.Value["data_offsets"]![1]!)]);
    }

    private static long Disk(string manifest, string merge)
    {
        var dry = Peftalign.Call("run", manifest, "--dry-run", "--json", "--threads", "1", "--only", $"merge/{merge}/*");
        return (long)JsonNode.Parse(dry.Out)!["forecast"]!["kinds"]!["merge"]!["disk_bytes"]!;
    }

    private static string Merge(Peftalign user, string name) =>
        Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Single(d => Peftalign.Json(Path.Combine(d, "job.json")) is JsonObject spec
            && (string?)spec["kind"] == "merge" && ((string)spec["label"]!).Contains(name, StringComparison.Ordinal));
}
