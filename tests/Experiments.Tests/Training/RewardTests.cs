// Reward models from the command line: every update's numbers are TRL's, with all weights and with LoRA; the folders that are written
// score alike in judge, in the next training and, where PEFTALIGN_PEERS_PYTHON names a Python, in transformers and PEFT.

using System.Diagnostics;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class RewardTests
{
    private static readonly string Root = Path.Combine(Peftalign.Repository, "tests", "fixtures", "trajectories");
    private static readonly string Rows = Path.Combine(Root, "reward", "rows.jsonl");

    private const string Script = """
        import json, sys, torch
        from transformers import AutoModelForSequenceClassification
        from peft import PeftModel
        torch.set_num_threads(1)
        rows = [json.loads(line)["input_ids"] for line in open(sys.argv[1])]
        whole = AutoModelForSequenceClassification.from_pretrained(sys.argv[2] + "/model").eval()
        adapted = PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(sys.argv[3]), sys.argv[2] + "/adapter").eval()
        width = max(len(row) for row in rows)
        padded = torch.tensor([row + [whole.config.pad_token_id] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.no_grad():
            print(json.dumps([m(input_ids=padded, attention_mask=mask).logits[:, 0].tolist() for m in (whole, adapted)]))
        """;

    // Row by row: with rows of several lengths PEFT's prompts would be scored at the padding. A folder of PEFT's own too, its head moved.
    private const string FrontScript = """
        import json, sys, torch
        from transformers import AutoModelForSequenceClassification
        from peft import PeftModel, PromptTuningConfig, PrefixTuningConfig, get_peft_model
        torch.set_num_threads(1)
        rows = [json.loads(line)["input_ids"] for line in open(sys.argv[1])]
        ours, start, kind, target = sys.argv[2:]
        base = lambda: AutoModelForSequenceClassification.from_pretrained(start)
        config = {"prompt": PromptTuningConfig, "prefix": PrefixTuningConfig}[kind](task_type="SEQ_CLS", num_virtual_tokens=2)
        own = get_peft_model(base(), config).eval()
        with torch.no_grad():
            own.base_model.score.modules_to_save["default"].weight.mul_(-3)
            own.save_pretrained(target)
            rewards = lambda m: [m(input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long)).logits.item() for row in rows]
            print(json.dumps([rewards(PeftModel.from_pretrained(base(), ours).eval()), rewards(own)]))
        """;

    [TestCase("full")]
    [TestCase("lora")]
    public void Runs_are_TRLs_and_their_folders_are_classifiers(string name)
    {
        using var user = new Peftalign();
        var start = Start(user);
        string[] adapter = name == "lora" ? ["--adapter", "lora", "--init-adapter", Path.Combine(Root, "reward", "adapter_init")] : [];
        Train(user, name, start, ["--max-steps", "5", "--learning-rate", "5e-3", "--batch-size", "4", "--gradient-accumulation-steps", "2", "--shuffle", "false", "--center-rewards-coefficient", "0.05", .. adapter]);
        var history = Peftalign.Json(Path.Combine(Root, "reward", "history.json"))[name]!.AsArray();
        var metrics = Metrics(user, name);
        Assert.That(metrics, Has.Count.EqualTo(history.Count));
        foreach (var (row, entry) in metrics.Zip(history))
            foreach (var (metric, expected) in entry!.AsObject())
                Assert.That((double)row[metric]!, Is.EqualTo((double)expected!).Within(1e-4 * Math.Max(Math.Abs((double)expected!), 0.1)), $"{name}, step {entry["step"]}, {metric}");

        // The same answers one by one, as judge sees them, and as one batch of the next training.
        var ids = Ids(user);
        var scores = Judge(Path.Combine(user.File(name), "model"), ids);
        Train(user, "again", Path.Combine(user.File(name), "model"), ["--max-steps", "1", "--learning-rate", "0", "--batch-size", "24"]);
        var next = Metrics(user, "again")[0];
        Assert.That((double)next["mean_reward"]!, Is.EqualTo(scores.Average()).Within(1e-5));
        Assert.That((double)next["max_reward"]!, Is.EqualTo(scores.Max()).Within(1e-5));
        Assert.That((double)next["min_reward"]!, Is.EqualTo(scores.Min()).Within(1e-5));
        if (name == "lora" && Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is { Length: > 0 } python)
            foreach (var theirs in Peers(python, Script, ids, user.File(name), start)) Assert.That(theirs, Is.EqualTo(scores).Within(1e-5));
    }

    // PEFT wraps no layers for virtual tokens, so that the head's name in their folder lacks a part.
    [TestCase("prompt")]
    [TestCase("prefix")]
    public void A_head_beside_virtual_tokens_stands_where_PEFT_puts_it_and_is_trained_on(string kind)
    {
        using var user = new Peftalign();
        var (start, front) = (Start(user), Path.Combine(user.File("front"), "adapter"));
        Train(user, "front", start, ["--adapter", kind, "--num-virtual-tokens", "3", "--max-steps", "4", "--learning-rate", "1e-2", "--batch-size", "4"]);
        Assert.That(RawTensors.Read(Path.Combine(front, "adapter_model.safetensors")).Keys, Is.EquivalentTo((string[])["prompt_embeddings", "base_model.score.weight"]));
        Assert.That(Peftalign.Json(Path.Combine(front, "adapter_config.json"))["task_type"]!.ToString(), Is.EqualTo("SEQ_CLS"));
        JsonNode Again(string name, string folder, params string[] options)
        {
            Train(user, name, start, ["--adapter", kind, "--init-adapter", folder, "--max-steps", "1", "--learning-rate", "0", "--batch-size", "24", .. options]);
            var (before, after) = (RawTensors.Read(Path.Combine(folder, "adapter_model.safetensors")), RawTensors.Read(Path.Combine(user.File(name), "adapter", "adapter_model.safetensors")));
            Assert.That(after.Keys, Is.EquivalentTo(before.Keys), name);
            foreach (var (tensor, kept) in before) Assert.That(after[tensor].Bytes, Is.EqualTo(kept.Bytes), $"{name}: {tensor}");
            return Metrics(user, name)[0];
        }
        var ours = Again("again", front);
        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python) return;
        var theirs = Peers(python, FrontScript, Ids(user), front, start, kind, user.File("peft")).ToList();
        foreach (var (rewards, row) in theirs.Zip([ours, Again("from-peft", user.File("peft"))]))
            Assert.That(((string[])["min_reward", "mean_reward", "max_reward"]).Select(name => (double)row[name]!), Is.EqualTo((double[])[rewards.Min(), rewards.Average(), rewards.Max()]).Within(1e-5));
    }

    // PEFT writes all-linear as the names of the modules, among which the head, trained whole, is none.
    [Test]
    public void All_linear_means_the_same_modules_in_a_folder_that_names_them()
    {
        using var user = new Peftalign();
        var (start, made) = (Start(user), Path.Combine(user.File("made"), "adapter"));
        string[] options = ["--adapter", "lora", "--targets", "all-linear", "--rank", "2", "--max-steps", "1", "--batch-size", "4"];
        Train(user, "made", start, options);
        var file = Path.Combine(made, "adapter_config.json");
        var config = Peftalign.Json(file);
        var names = RawTensors.Read(Path.Combine(made, "adapter_model.safetensors")).Keys.Where(k => k.EndsWith(".lora_A.weight", StringComparison.Ordinal)).Select(k => k["base_model.model.".Length..^".lora_A.weight".Length]);
        config["target_modules"] = new JsonArray([.. names.Select(name => (JsonNode)name)]);
        File.WriteAllText(file, config.ToJsonString());
        var outcome = Peftalign.Call("run", user.Write("on.yaml", $$"""
            peftalign: 1
            models: { start: { path: "{{start}}" } }
            datasets: { rows: { reader: jsonl, path: "{{Rows}}" } }
            adapters: { own: { type: lora, rank: 2, targets: all-linear } }
            methods: { go: { type: reward, adapter: own, init_adapter: "{{made}}", max_steps: 1, batch_size: 4 } }
            train: [{ models: [start], datasets: [rows], methods: [go] }]
            evaluate: []
            """), "--out", user.File("on"), "--threads", "1");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
    }

    [Test]
    public void Margins_that_are_no_numbers_and_other_classifiers_are_refused()
    {
        using var user = new Peftalign();
        user.Write("bad.jsonl", """{"prompt_ids": [1, 5], "chosen_ids": [6], "rejected_ids": [7], "margin": "much"}""" + "\n");
        var margin = Peftalign.Call("train", "reward", "--model", Path.Combine(Root, "base-model"), "--data", user.File("bad.jsonl"), "--out", user.Run, "--max-steps", "1");
        Assert.That(margin.Code, Is.EqualTo(2), margin.All);
        Assert.That(margin.Err, Does.Contain("line 1").And.Contain("'margin' must be a number"));
        var start = Start(user);
        var config = Path.Combine(start, "config.json");
        var json = Peftalign.Json(config);
        json["id2label"] = new JsonObject { ["0"] = "a", ["1"] = "b" };
        File.WriteAllText(config, json.ToJsonString());
        var labels = Peftalign.Call("train", "reward", "--model", start, "--data", Rows, "--out", user.File("two"), "--max-steps", "1");
        Assert.That(labels.Code, Is.EqualTo(2), labels.All);
        Assert.That(labels.Err, Does.Contain("one label"));
    }

    // A head under LoRA would be trained twice, and a cut answer has no end to score: said before anything is trained.
    [TestCase("--adapter lora --targets score,q_proj", "score is trained whole", "leave it out of targets")]
    [TestCase("--max-prompt-length 8", "--max-prompt-length", "max_length are left out whole")]
    [TestCase("--truncation keep_end", "--truncation", "max_length are left out whole")]
    public void Options_that_a_reward_model_cannot_follow_are_refused(string options, string named, string next)
    {
        using var user = new Peftalign();
        string[] Call(string given) => ["train", "reward", "--model", Path.Combine(Root, "base-model"), "--data", Rows, "--out", user.Run, "--max-steps", "1", "--threads", "1", .. given.Split(' ')];
        var refused = Peftalign.Call(Call(options));
        Assert.That((refused.Code, Directory.Exists(user.Run)), Is.EqualTo((2, false)), refused.All);
        Assert.That(refused.Err.Trim().Split('\n').Count(line => line.Contains(named, StringComparison.Ordinal) && line.Contains(next, StringComparison.Ordinal)), Is.EqualTo(1), refused.All);
        var dry = Peftalign.Call(Call($"{options} --dry-run"));
        Assert.That((dry.Code, Directory.Exists(user.Run)), Is.EqualTo((2, false)), dry.All);
        Assert.That(dry.Err, Does.Contain(named).And.Contain(next));
        Assert.That(Peftalign.Call(Call("--truncation keep_start")).Code, Is.Zero, "the default may be said");
    }

    // Without a model's weights, and before anything is started.
    [TestCase("all-linear", 0)]
    [TestCase("[q_proj, score]", 2)]
    [TestCase("'.*q_proj|sc.re'", 2)]
    [TestCase("[q_proj, score], exclude_modules: [score]", 0)]
    [TestCase("[q_proj, score], modules_to_save: [score]", 0)]
    public void A_plan_whose_adapter_changes_the_head_is_refused(string targets, int code)
    {
        using var user = new Peftalign();
        var manifest = user.Write("heads.yaml", $$"""
            peftalign: 1
            name: heads
            models: { tiny: { path: {{Path.Combine(Root, "base-model")}} } }
            datasets: { pairs: { reader: jsonl, path: {{Rows}} } }
            adapters: { small: { type: lora, targets: {{targets}} } }
            methods: { prefer: { type: reward, adapter: small, max_steps: 1 } }
            train: [{ models: tiny, datasets: pairs, methods: prefer }]
            """);
        var outcome = Peftalign.Call("run", manifest, "--dry-run", "--out", user.Run);
        Assert.That(outcome.Code, Is.EqualTo(code), outcome.All);
        if (code != 0) Assert.That(outcome.Err, Does.Contain("train/tiny/pairs/prefer").And.Contain("score is trained whole in a reward model").And.Contain("leave it out of targets"));
    }

    // A language model with a new head, not moved.
    private static string Start(Peftalign user)
    {
        Train(user, "start", Path.Combine(Root, "base-model"), ["--max-steps", "1", "--learning-rate", "0", "--seed", "7"]);
        return Path.Combine(user.File("start"), "model");
    }

    [Test]
    public void A_model_that_is_gone_is_made_again_though_its_adapter_is_there()
    {
        using var user = new Peftalign();
        var start = Start(user);
        string[] options = ["--max-steps", "2", "--batch-size", "4", "--adapter", "lora"];
        Train(user, "lora", start, options);
        var (weights, result) = (Path.Combine(user.File("lora"), "model", "model.safetensors"), Path.Combine(user.File("lora"), "result.json"));
        var (before, noted) = (File.ReadAllBytes(weights), File.ReadAllText(result));
        Directory.Delete(Path.GetDirectoryName(weights)!, recursive: true);
        Train(user, "lora", start, options);
        Assert.That((File.ReadAllBytes(weights), File.ReadAllText(result)), Is.EqualTo((before, noted)));
        Assert.That(Directory.Exists(Path.Combine(user.File("lora"), "adapter")));
    }

    private static void Train(Peftalign user, string name, string model, string[] options)
    {
        var outcome = Peftalign.Call(["train", "reward", "--model", model, "--data", Rows, "--out", user.File(name), "--threads", "1", .. options]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
    }

    private static List<JsonNode> Metrics(Peftalign user, string name) => [.. File.ReadLines(Path.Combine(user.File(name), "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)];

    private static string Ids(Peftalign user)
    {
        var rows = File.ReadLines(Rows).Select(line => JsonNode.Parse(line)!);
        return user.Write("ids.jsonl", string.Concat(rows.SelectMany(row => (string[])["chosen_ids", "rejected_ids"], (row, side) =>
            $"{{\"input_ids\": [{string.Join(',', row["prompt_ids"]!.AsArray().Concat(row[side]!.AsArray()).Select(id => (int)id!))}]}}\n")));
    }

    private static List<double> Judge(string model, string ids)
    {
        var outcome = Peftalign.Call("judge", "--model", model, "--in", ids, "--threads", "1");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return [.. outcome.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (double)JsonNode.Parse(line)!["scores"]![0]!)];
    }

    private static IEnumerable<List<double>> Peers(string python, string script, params string[] arguments)
    {
        var info = new ProcessStartInfo(python, ["-c", script, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        info.Environment["HF_HUB_OFFLINE"] = "1";
        using var process = Process.Start(info)!;
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, err.Result);
        return JsonNode.Parse(text)!.AsArray().Select(list => list!.AsArray().Select(v => (double)v!).ToList());
    }
}
