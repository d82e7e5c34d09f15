// 4-bit folders and QLoRA as users call them: one folder is quantised, scored, generated from, evaluated, trained over (killed and
// gone on), merged with its adapter and with other models. What is compared with is the same model with its matrices decoded.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

[Parallelizable(ParallelScope.Self)]
public sealed class FourBitCommandTests
{
    private readonly Peftalign user = new();

    private static string Full => Peftalign.Stories;

    private string Four => user.File("four");

    private string Decoded => user.File("decoded");

    // A training that two tests ask.
    private string OverFour => user.File("over-four");

    [OneTimeSetUp]
    public void Quantise()
    {
        TrainRows.Write(user);
        Done("quantize", "--model", Full, "--out", Four, "--type", "nf4", "--double-quant", "--threads", "1");
        var merge = user.Write("decode.yaml", $"merge_method: passthrough\nmodels:\n- {{model: {Four}}}\n");
        var refused = Peftalign.Call("merge", merge, "--out", Decoded, "--threads", "1");
        Assert.That((refused.Code, Directory.Exists(Decoded)), Is.EqualTo((2, false)), refused.All);
        Assert.That(refused.Err, Does.Contain("is quantised").And.Contain("--dequantize"));
        var made = Done("merge", merge, "--out", Decoded, "--dequantize", "--threads", "1");
        Assert.That(made.Err, Does.Contain("35 matrices are decoded from 4 bits; nothing is quantised again"));
        Assert.That(Peftalign.Json(Path.Combine(Decoded, "config.json"))["quantization_config"], Is.Null);
        Assert.That(Peftalign.Json(Path.Combine(Four, "config.json"))["quantization_config"], Is.Not.Null);
        Train(Path.GetFileName(OverFour), Four, "lora --rank 4");
    }

    [OneTimeTearDown]
    public void Remove() => user.Dispose();

    [Test]
    public void A_folder_scores_generates_and_is_evaluated_as_its_decoded_matrices()
    {
        var rows = TrainRows.Path(user);
        var scores = AtOnce([Four, Decoded, Full], model => Scores(rows, "--model", model));
        Near(scores[0], scores[1], 1e-3);
        Assert.That(scores[0].Zip(scores[2], (a, b) => Math.Abs(a - b)).Max(), Is.GreaterThan(0.05), "it really is another model");
        string[] Texts(string model) => [.. Done("generate", "--model", model, "--in", rows, "--max-new-tokens", "20", "--threads", "1").Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (string)JsonNode.Parse(line)!["text"]!)];
        var texts = AtOnce([Four, Decoded], Texts);
        Assert.That(texts[0].Zip(texts[1]).Count(pair => pair.First == pair.Second), Is.GreaterThanOrEqualTo(texts[0].Length - 2), "greedy texts; two may meet a tie");
        var text = user.Write("text.txt", string.Concat(Enumerable.Repeat("Once upon a time there was a little cat who liked to play in the garden with her friends. One day she found a big red ball. ", 6)));
        var perplexities = AtOnce([Four, Decoded], model => Perplexities(model, text));
        Assert.That(perplexities[0], Is.Not.Empty);
        foreach (var (ours, expected) in perplexities[0].Zip(perplexities[1])) Assert.That(ours, Is.EqualTo(expected).Within(0.01).Percent);
    }

    // DoRA and virtual tokens over 4 bits have golden numbers in QLora.Tests.
    [TestCase("lora --rank 4 --dropout 0.1")]
    [TestCase("lora --rank 4 --use-dora")]
    [TestCase("prompt --num-virtual-tokens 4")]
    public void An_adapter_over_a_folder_learns_what_it_learns_over_the_decoded_matrices(string adapter)
    {
        if (!adapter.Contains("dropout", StringComparison.Ordinal) && Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") != "1") Assert.Ignore("slow: PEFTALIGN_SLOW=1 or ./test --slow runs it");
        var name = adapter.Split(' ')[^1].Trim('-');
        var losses = AtOnce([("four-", Four), ("decoded-", Decoded)], run => Losses(Train(run.Item1 + name, run.Item2, adapter)));
        Near(losses[0], losses[1], 2e-3);
        if (adapter.StartsWith("lora", StringComparison.Ordinal)) Assert.That(losses[0][^1], Is.LessThan(losses[0][0])); // a prompt takes longer
    }

    [Test]
    public void A_killed_training_over_four_bits_goes_on_with_the_same_bytes()
    {
        const int steps = 40, kill = 6; // behind the first checkpoint
        var (whole, killed) = (user.File("whole"), user.File("killed"));
        string[] Training(string folder) => Call(folder, Four, "lora --rank 4 --dropout 0.1", steps);
        Done(Training(whole));
        // Where a busy machine gives the watcher no time, the training is done before the kill: then it begins again.
        for (var tries = 1; !KilledAt(kill, killed, Training(killed)); tries++)
        {
            Assert.That(tries, Is.LessThan(20), "every kill came too late, after the training's end");
            Directory.Delete(killed, recursive: true);
        }
        Done(Training(killed));
        Assert.That(File.ReadAllText(Path.Combine(killed, "log.txt")), Does.Contain("resumed from step"));
        Assert.That(TrainRows.Results(killed), Is.EqualTo(TrainRows.Results(whole)));
    }

    // Whether the training was in the middle when it was killed; one that fails by itself fails the test.
    private static bool KilledAt(int rows, string folder, string[] call)
    {
        using var process = Peftalign.Start(call);
        var said = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        while (!process.HasExited && TrainRows.Rows(folder) < rows) Thread.Sleep(1);
        process.Kill(entireProcessTree: true);
        process.WaitForExit();
        if (!File.Exists(Path.Combine(folder, "result.json"))) return TrainRows.Rows(folder) >= rows ? true : throw new AssertionException(said.Result);
        return false;
    }

    [Test]
    public void An_adapter_is_merged_into_decoded_matrices_in_the_type_that_is_asked_for()
    {
        var adapter = Path.Combine(OverFour, "adapter");
        Assert.That((bool?)Peftalign.Json(Path.Combine(adapter, "trained_with.json"))["quantized_base"], Is.True);
        var (wide, narrow) = (user.File("wide"), user.File("narrow"));
        var said = Done("adapter", "merge", "--model", Four, "--adapter", adapter, "--out", wide, "--threads", "1");
        Assert.That(said.Err, Does.Contain("decoded from 4 bits").And.Contain("nothing is quantised again"));
        // A merge of models takes the same parent, and says the same.
        var merge = user.Write("with-adapter.yaml", $"merge_method: passthrough\nmodels:\n- {{model: {Four}+{adapter}}}\n");
        AtOnce<string[], Outcome>([["adapter", "merge", "--model", Four, "--adapter", adapter, "--out", narrow, "--dtype", "bfloat16"], ["merge", merge, "--out", user.File("again"), "--dequantize"]], call => Done([.. call, "--threads", "1"]));
        Assert.That(new[] { wide, narrow }.Select(folder => Peftalign.Json(Path.Combine(folder, "config.json"))["quantization_config"]), Is.All.Null);
        Assert.That(new FileInfo(Path.Combine(narrow, "model.safetensors")).Length, Is.LessThan(0.55 * new FileInfo(Path.Combine(wide, "model.safetensors")).Length), "two bytes a number, not four, and not a half");
        var rows = TrainRows.Path(user);
        var scores = AtOnce<string[], double[]>([["--model", Four, "--adapter", adapter], ["--model", wide], ["--model", user.File("again")]], model => Scores(rows, model));
        Near(scores[1], scores[0], 1e-3);
        Near(scores[2], scores[0], 1e-3);
    }

    [Test]
    public void Qlora_quantises_while_it_loads_and_loftq_starts_nearer_to_the_full_model()
    {
        (string Name, string Model, string Adapter)[] runs = [("qlora", Full, "qlora --rank 4"), ("loftq", Full, "qlora --rank 16 --init loftq"), ("full", Full, "lora --rank 4")];
        var losses = AtOnce(runs, run => Losses(Train(run.Name, run.Model, run.Adapter)));
        var (qlora, loftq, full) = (losses[0], losses[1], losses[2]);
        Near(qlora, Losses(OverFour), 2e-3);
        Assert.That(Math.Abs(loftq[0] - full[0]), Is.LessThan(0.5 * Math.Abs(qlora[0] - full[0])), $"first losses: full {full[0]}, loftq {loftq[0]}, nf4 {qlora[0]}");
        var refused = Peftalign.Call(Call(user.File("refused"), Four, "lora --rank 4 --init loftq"));
        Assert.That(refused.Code, Is.EqualTo(2), refused.All);
        Assert.That(refused.All, Does.Contain("unquantised").And.Not.Contain("   at "));
    }

    // LoftQ with more than one alternation makes another base: written once, as a pair, from which trainings start.
    [Test]
    public void A_pair_of_loftq_is_nearer_to_the_full_model_and_trains_from_there()
    {
        var pair = user.File("pair");
        var refused = Peftalign.Call("quantize", "--model", Full, "--out", pair, "--loftq-iter", "2");
        Assert.That((refused.Code, Directory.Exists(pair)), Is.EqualTo((2, false)), refused.All);
        Assert.That(refused.Err, Does.Contain("--loftq-iter").And.Contain("--loftq-rank"));
        refused = Peftalign.Call("quantize", "--model", Full, "--out", pair, "--loftq-rank", "2", "--loftq-targets", ",");
        Assert.That((refused.Code, refused.Err), Is.EqualTo((2, "peftalign: --loftq-targets ,: names no module; name at least one, or leave it out for all-linear\n")));
        var made = JsonNode.Parse(Done("quantize", "--model", Full, "--out", pair, "--type", "nf4", "--double-quant", "--loftq-rank", "32", "--loftq-iter", "2", "--threads", "1", "--json").Out)!;
        Assert.That((double)made["lost_by_the_pair"]!, Is.LessThan(0.5 * (double)made["lost_by_quantising"]!));
        var adapter = (string)made["adapter"]!;
        Assert.That((string)Peftalign.Json(Path.Combine(adapter, "adapter_config.json"))["base_model_name_or_path"]!, Is.EqualTo(pair));
        // Texts unlike one another and unlike what the model knows: what quantising does to each is another number.
        string[] texts = ["Heavy rain fell on the old stone bridge", "seven merchants counted silver coins all night", "he could not remember the name of that river", "please close the window before the storm", "two engineers repaired a broken radio", "an eagle circles above frozen mountains", "nobody answered when the telephone rang", "green paint covers most of the kitchen wall", "her speech was short but everyone applauded", "trains to the coast leave every hour"];
        var rows = user.Write("unlike.jsonl", string.Concat(texts.Select(text => $$"""{"prompt": "Once ", "completion": "{{text}}"}""" + "\n")));
        var scores = AtOnce<string[], double[]>([["--model", Full], ["--model", Four], ["--model", pair, "--adapter", adapter]], model => Scores(rows, model));
        double Away(double[] from) => Math.Sqrt(from.Zip(scores[0], (a, b) => (a - b) * (a - b)).Average());
        Assert.That(Away(scores[2]), Is.LessThan(0.7 * Away(scores[1])));
        // The start of a training is the pair, and the folder's rank and scale hold.
        Done([.. Call(user.File("from-pair"), pair, "lora"), "--init-adapter", adapter]);
        var losses = Losses(user.File("from-pair"));
        Assert.That(losses[^1], Is.LessThan(losses[0]));
        Assert.That((int)Peftalign.Json(Path.Combine(user.File("from-pair"), "adapter", "adapter_config.json"))["r"]!, Is.EqualTo(32));
        var turns = Peftalign.Call(Call(user.File("turns"), Full, "qlora --init loftq --loftq-iter 3"));
        Assert.That((turns.Code, turns.All.Contains("quantize --model DIR --out BASE --loftq-rank R --loftq-iter 3")), Is.EqualTo((2, true)), turns.All);
    }

    // Its start is not zero: the reference is the policy that training starts from all the same.
    [Test]
    public void Dpo_from_loftq_starts_at_ln_2()
    {
        var rows = user.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 16).Select(k => $$"""{"prompt": "There were {{k}} cats. ", "chosen": "They ran home.", "rejected": "They laughed."}""" + "\n")));
        Done("train", "dpo", "--model", Full, "--data", rows, "--out", user.File("dpo"), "--adapter", "qlora", "--rank", "4", "--init", "loftq", "--max-steps", "4", "--batch-size", "4", "--learning-rate", "2e-3", "--threads", "1");
        Assert.That(Losses(user.File("dpo"))[0], Is.EqualTo(Math.Log(2)).Within(1e-6));
    }

    [Test]
    public void All_weights_over_four_bits_are_refused()
    {
        var refused = Peftalign.Call("train", "sft", "--model", Four, "--data", TrainRows.Path(user), "--out", user.File("all"), "--max-steps", "2", "--threads", "1");
        Assert.That(refused.Code, Is.EqualTo(2), refused.All);
        Assert.That(refused.All, Does.Contain("4 bits"));
    }

    [Test]
    public void A_certificate_compares_an_adapter_over_the_full_and_over_the_four_bit_base()
    {
        string[] adapters = [Path.Combine(OverFour, "adapter"), Path.Combine(Train("parent", Full, "qlora --rank 4 --seed 1"), "adapter")];
        var merge = user.Write("two.yaml", $"merge_method: linear\nmodels:\n{string.Concat(adapters.Select(a => $"- {{model: {Full}+{a}, parameters: {{weight: 0.5}}}}\n"))}");
        var alone = Peftalign.Call("merge", merge, "--out", user.File("alone"), "--trained-over", "nf4");
        Assert.That((alone.Code, Directory.Exists(user.File("alone"))), Is.EqualTo((2, false)), alone.All);
        var ignored = Peftalign.Call("merge", merge, "--out", user.File("ignored"), "--double-quant");
        Assert.That((ignored.Code, ignored.Err.Contains("--trained-over")), Is.EqualTo((2, true)), ignored.All);
        Done("merge", merge, "--out", user.File("certified"), "--certificate", "--trained-over", "nf4", "--double-quant", "--threads", "1");
        var drift = Peftalign.Json(Path.Combine(user.File("certified"), "certificate.json"))["drift"]!;
        Assert.That((string)drift["adapters_trained_over"]!, Is.EqualTo("nf4"));
        foreach (var parent in drift["parents"]!.AsArray())
        {
            var four = parent!["over_4_bits"]!;
            // Quantising moves this model; the result stands on the full base.
            Assert.That((double)four["kl_per_token_to_full_base"]!, Is.InRange(1e-4, 1));
            Assert.That((double)four["kl_per_token"]!, Is.GreaterThan((double)parent["kl_per_token"]!));
            Assert.That((double)four["top1_agreement_with_full_base"]!, Is.InRange(0.5, 0.999999));
        }
        Assert.That(File.ReadAllText(Path.Combine(user.File("certified"), "certificate.html")), Does.Contain("Adapters over 4 bits"));
        var probe = user.Write("short.jsonl", "{\"ids\": [1]}\n");
        var unmeasured = Peftalign.Call("merge", merge, "--out", user.File("unmeasured"), "--certificate", "--probe", probe);
        Assert.That((unmeasured.Code, Directory.Exists(user.File("unmeasured"))), Is.EqualTo((2, false)), unmeasured.All);
        Assert.That(unmeasured.Err, Does.Contain("no row of the probe").And.Contain("--probe"));
    }

    // Two blocks of LLaMA 7B, of which only names and shapes are read (and bytes hashed, all zero). All 32 have 6.476e9 numbers in 4 bits
    // with factors in 8, beside 0.262e9 in bfloat16: 3.87 GB; and the largest matrix once, decoded.
    [TestCase("--double-quant true", 3.87e9)]
    [TestCase("--double-quant false", 4.17e9)]
    public void A_dry_run_says_what_a_seven_billion_model_takes_in_four_bits(string doubleQuant, double expected)
    {
        const int layers = 2;
        var folder = Directory.CreateDirectory(user.File("7b" + doubleQuant[^4..].Trim())).FullName;
        Llama7B(folder, layers);
        var rows = user.Write("tokens.jsonl", $$"""{"input_ids": [1, 5, 7], "labels": [-100, 5, 7]}""" + "\n");
        var said = JsonNode.Parse(Done(["train", "sft", "--model", folder, "--data", rows, "--out", user.File("never"), "--adapter", "qlora", "--rank", "64", "--targets", "q_proj,v_proj", "--dtype", "bfloat16", "--max-steps", "1", "--dry-run", "--json", .. doubleQuant.Split(' ')]).Out)!;
        const double outside = 2 * 32000.0 * 4096 * 2, decoded = 11008.0 * 4096 * 2;
        var blocks = (double)said["base_bytes"]! - outside - decoded;
        Assert.That(blocks * 32 / layers + outside, Is.EqualTo(expected).Within(0.5).Percent);
        Assert.That((long)said["trainable_parameters"]! * 32 / layers, Is.EqualTo(33_554_432));
        Directory.Delete(folder, recursive: true);
    }

    // A manifest's head: an adapter over a model, trained with two seeds.
    private string Tuned(string name, string model, string adapter, int steps) => $$"""
        peftalign: 1
        name: {{name}}
        seeds: [1, 2]
        models: { {{model}}: { path: '{{(model == "four" ? Four : Full)}}' } }
        datasets: { rows: { reader: jsonl, path: '{{TrainRows.Path(user)}}' } }
        adapters: { small: { type: {{adapter}}, rank: 4 } }
        methods: { tune: { type: sft, adapter: small, max_steps: {{steps}}, batch_size: 4, learning_rate: 3.0e-3 } }
        train: [{ models: {{model}}, datasets: rows, methods: tune }]

        """;

    // Over a 4-bit folder: sums of adapters stay adapters, all else goes through decoded weights.
    [Test]
    public void Merges_of_a_manifest_stand_on_a_four_bit_folder()
    {
        using var other = new Peftalign();
        var manifest = other.Write("four.yaml", Tuned("four", "four", "lora", steps: 4) + $$"""
            merge:
              - { name: sum, method: linear, of: { method: tune }, across: seed, parameters: { weight: 0.5 } }
              - { name: layered, method: ties, of: { method: tune }, across: seed, parameters: { density: { layers: [0.3, 0.9] }, weight: [{ filter: mlp, value: 1 }, { value: 0.5 }] } }
            """);
        other.Finish(manifest);
        string Job(string name) => MergeIn(other, name);
        Assert.That((string?)Peftalign.Json(Path.Combine(Job("sum"), "result.json"))["outcome"]!["space"], Is.EqualTo("adapter"));
        Assert.That((int)Peftalign.Json(Path.Combine(Job("sum"), "adapter", "adapter_config.json"))["r"]!, Is.EqualTo(8));
        Assert.That((string?)Peftalign.Json(Path.Combine(Job("layered"), "result.json"))["outcome"]!["space"], Is.EqualTo("weights"));
        Assert.That(Peftalign.Json(Path.Combine(Job("layered"), "model", "config.json"))["quantization_config"], Is.Null);
        Assert.That(Scores(TrainRows.Path(user), "--model", Path.Combine(Job("layered"), "model")), Has.All.LessThan(0));
    }

    // Sums of adapters that were trained over 4 bits: over those by default, over the full base where `base: w16` asks for it.
    [Test]
    public void A_sum_of_adapters_stands_on_the_base_that_was_asked_for()
    {
        using var other = new Peftalign();
        var text = other.Write("once.txt", "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her big red ball.");
        other.Finish(other.Write("bases.yaml", Tuned("bases", "full", "qlora", steps: 4) + $$"""
            merge:
              - { name: wide, method: linear, base: w16, of: { method: tune }, across: seed, parameters: { weight: 0.5 } }
              - { name: four, method: linear, of: { method: tune }, across: seed, parameters: { weight: 0.5 } }
            evaluate: [{ of: merged, with: { type: perplexity, path: once.txt } }]
            """));
        string Adapter(string name) => Path.Combine(other.Job($"merge/{name}/full/rows/tune"), "adapter");
        double Bits(string folder) => (double)Peftalign.Json(Path.Combine(folder, "results.json"))["results"]!["perplexity"]!["bits_per_byte,none"]!;
        Assert.That(File.ReadAllBytes(Path.Combine(Adapter("wide"), "adapter_model.safetensors")), Is.EqualTo(File.ReadAllBytes(Path.Combine(Adapter("four"), "adapter_model.safetensors"))));
        Done("eval", "--model", Full, "--adapter", Adapter("wide"), "--benchmarks", "perplexity", "--data", text, "--out", other.File("alone"), "--threads", "1");
        var (wide, four) = (Bits(other.Job("evaluate/perplexity/wide/full/rows/tune")), Bits(other.Job("evaluate/perplexity/four/full/rows/tune")));
        Assert.That(wide, Is.EqualTo(Bits(other.File("alone"))).Within(1e-6));
        Assert.That(Math.Abs(wide - four), Is.GreaterThan(1e-4), "4 bits are another model");
    }

    // What weights of zero leave is what differences are measured from.
    [Test]
    public void Merges_of_merges_measure_from_the_base_that_their_parents_were_trained_over()
    {
        using var other = new Peftalign();
        const string none = "parameters: { weight: 0, density: 1 }";
        other.Finish(other.Write("origins.yaml", Tuned("origins", "full", "qlora", steps: 2) + $$"""
            merge:
              - { name: first, method: dare_linear, of: { method: tune }, across: seed, {{none}} }
              - { name: half, method: dare_linear, of: { method: tune }, across: seed, parameters: { weight: 0.5, density: 1 } }
              - { name: wide, method: dare_linear, base: w16, of: { method: tune }, across: seed, {{none}} }
              - { name: above, method: dare_linear, of: { merge: [first, half] }, across: merge, {{none}} }
            """));
        byte[] Weights(string name) => File.ReadAllBytes(Path.Combine(MergeIn(other, name), "model", "model.safetensors"));
        Assert.That(Weights("above"), Is.EqualTo(Weights("first")));
        Assert.That(Weights("wide"), Is.Not.EqualTo(Weights("first")), "4 bits are another base");
    }

    // Which variant a selection keeps, and so over what it was trained, is known when it has run: one of two partners fits.
    [Test]
    public void A_merge_with_a_selected_variant_over_another_quantisation_is_refused_once_it_is_known()
    {
        using var other = new Peftalign();
        var outcome = Peftalign.Call("run", other.Write("chosen.yaml", $$"""
            peftalign: 1
            name: chosen
            seeds: [1]
            models: { full: { path: '{{Full}}' } }
            datasets: { rows: { reader: jsonl, path: '{{TrainRows.Path(user)}}' } }
            adapters:
              double: { type: qlora, rank: 4, double_quant: true }
              single: { type: qlora, rank: 4, double_quant: false }
              either: { type: qlora, rank: 4, double_quant: { grid: [true, false] } }
            methods:
              twice: &m { type: sft, adapter: double, max_steps: 2, batch_size: 4, learning_rate: 3.0e-3 }
              once: { <<: *m, adapter: single }
              free: { <<: *m, adapter: either, learning_rate: 1.0e-3, select: { by: loss } }
            train: [{ models: full, datasets: rows, methods: [twice, once, free] }]
            merge:
              - { name: a, method: dare_linear, of: { method: [twice, free] }, across: method, parameters: { weight: 0.5, density: 1 } }
              - { name: b, method: dare_linear, of: { method: [once, free] }, across: method, parameters: { weight: 0.5, density: 1 } }
            """), "--out", other.Run, "--threads", "1");
        Assert.That(outcome.Code, Is.Not.Zero, outcome.All);
        Assert.That(outcome.All, Does.Contain("different quantisations of their base").And.Contain("give base: w16"));
        Assert.That(new[] { "a", "b" }.Count(name => File.Exists(Path.Combine(MergeIn(other, name), "result.json"))), Is.EqualTo(1));
    }

    private static string MergeIn(Peftalign run, string name) =>
        Directory.GetDirectories(Path.Combine(run.Run, "jobs")).Single(d => ((string)Peftalign.Json(Path.Combine(d, "job.json"))["label"]!).StartsWith($"merge/{name}/", StringComparison.Ordinal));

    private static void Llama7B(string folder, int layers)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": {{layers}}, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": false}""");
        var shapes = new List<(string Name, long[] Shape)> { ("model.embed_tokens", [32000, 4096]), ("lm_head", [32000, 4096]), ("model.norm", [4096]) };
        for (var layer = 0; layer < layers; layer++)
        {
            shapes.AddRange("qkvo".Select(part => ($"model.layers.{layer}.self_attn.{part}_proj", (long[])[4096, 4096])));
            shapes.AddRange(new[] { "gate", "up" }.Select(part => ($"model.layers.{layer}.mlp.{part}_proj", (long[])[11008, 4096])));
            shapes.AddRange([($"model.layers.{layer}.mlp.down_proj", [4096, 11008]), ($"model.layers.{layer}.input_layernorm", [4096]), ($"model.layers.{layer}.post_attention_layernorm", [4096])]);
        }
        var (header, at) = (new JsonObject(), 0L);
        foreach (var (name, shape) in shapes)
        {
            var end = at + 2 * shape.Aggregate(1L, (a, b) => a * b);
            header[name + ".weight"] = new JsonObject { ["dtype"] = "BF16", ["shape"] = new JsonArray([.. shape.Select(size => (JsonNode)size)]), ["data_offsets"] = new JsonArray(at, end) };
            at = end;
        }
        var text = System.Text.Encoding.UTF8.GetBytes(header.ToJsonString());
        using var file = File.Create(Path.Combine(folder, "model.safetensors"));
        file.Write(BitConverter.GetBytes((long)text.Length));
        file.Write(text);
        file.SetLength(8 + text.Length + at); // holes: nothing of it lies on the disk
    }

    // Two processes at a time; most of each is a start.
    private static TResult[] AtOnce<T, TResult>(T[] all, Func<T, TResult> call) => [.. all.AsParallel().AsOrdered().WithDegreeOfParallelism(2).Select(call)];

    private static Outcome Done(params string[] args)
    {
        var outcome = Peftalign.Call(args);
        Assert.That(outcome.Code, Is.Zero, $"{string.Join(' ', args)}\n{outcome.All}");
        return outcome;
    }

    private static string[] Call(string folder, string model, string adapter, int steps = 12)
    {
        var data = Path.Combine(Path.GetDirectoryName(folder)!, "rows.jsonl");
        return ["train", "sft", "--model", model, "--data", data, "--out", folder, "--adapter", .. adapter.Split(' '), "--max-steps", $"{steps}", "--batch-size", "4", "--learning-rate", "3e-3", "--save-every", "4", "--threads", "1"];
    }

    private string Train(string name, string model, string adapter)
    {
        Done(Call(user.File(name), model, adapter));
        return user.File(name);
    }

    private static double[] Losses(string folder) => [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line => (double)JsonNode.Parse(line)!["loss"]!)];

    private static double[] Scores(string rows, params string[] model) =>
        [.. Done(["score", .. model, "--in", rows, "--threads", "1"]).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (double)JsonNode.Parse(line)!["logprob"]!)];

    private double[] Perplexities(string model, string text)
    {
        var results = JsonNode.Parse(Done("eval", "--model", model, "--out", user.File("eval-" + Path.GetFileName(model)), "--benchmarks", "perplexity", "--data", text, "--threads", "1", "--json").Out)!["results"]!["perplexity"]!.AsObject();
        return [.. results.Where(r => r.Key.EndsWith(",none", StringComparison.Ordinal) && r.Value!.GetValueKind() == System.Text.Json.JsonValueKind.Number).Select(r => (double)r.Value!)];
    }

    private static void Near(double[] actual, double[] expected, double tolerance)
    {
        Assert.That(actual, Has.Length.EqualTo(expected.Length));
        Assert.That(actual, Is.EqualTo(expected).Within(tolerance));
    }
}
