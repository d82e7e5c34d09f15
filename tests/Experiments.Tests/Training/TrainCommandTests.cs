// peftalign train as a user types it: what it writes and forecasts, and that it says when all is done. What it refuses: TrainRefusalTests.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class TrainCommandTests : OnTrainRows
{
    [Test]
    public void It_writes_what_it_promises_and_then_says_that_all_is_done()
    {
        var first = Peftalign.Call([.. Lora, "--json"]);
        Assert.That(first.Code, Is.Zero, first.All);
        var said = JsonNode.Parse(first.Out)!;
        Assert.That(((int)said["steps"]!, (string?)said["written"]), Is.EqualTo((12, Path.Combine(User.Run, "adapter"))));
        Assert.That(File.ReadLines(Path.Combine(User.Run, "metrics.jsonl")).Count(), Is.EqualTo(12));
        Assert.That(Directory.GetDirectories(Path.Combine(User.Run, "checkpoints")).Select(Path.GetFileName), Does.Contain("10"));
        var config = Peftalign.Json(Path.Combine(User.Run, "adapter", "adapter_config.json"));
        Assert.That(((int)config["r"]!, (double)config["lora_alpha"]!), Is.EqualTo((4, 8.0)));
        var run = Peftalign.Json(Path.Combine(User.Run, "run.json"));
        Assert.That(run["inputs"]!.AsArray().Select(i => ((string?)i!["place"], ((string)i["sha256"]!).Length)), Is.SupersetOf(((string?, int)[])[("policy.weights", 64)]));
        Assert.That((int)run["options"]!["training"]!["batch_size"]!, Is.EqualTo(4));
        var ledger = Peftalign.Json(Path.Combine(User.Run, "ledger.json"));
        Assert.That(((int)ledger["rows"]!, (int)ledger["answers_with_trained_end"]!), Is.EqualTo((TrainRows.Count, TrainRows.Count)));

        var bytes = File.ReadAllBytes(Path.Combine(User.Run, "adapter", "adapter_model.safetensors"));
        var again = Peftalign.Call(Lora);
        again.Told(0, "nothing to do");
        Assert.That(File.ReadAllBytes(Path.Combine(User.Run, "adapter", "adapter_model.safetensors")), Is.EqualTo(bytes));
    }

    [Test]
    public void Other_options_in_the_same_folder_are_refused_with_the_difference_and_options_that_change_nothing_are_not()
    {
        Assert.That(Peftalign.Call(Lora).Code, Is.Zero);
        var other = Peftalign.Call([.. Lora[..^6], "--learning_rate", "2e-3", "--save_steps", "5"]);
        Assert.That(other.Code, Is.EqualTo(2), other.All);
        Assert.That(other.Err, Does.Contain("training.learning_rate: 0.001 before, 0.002 now").And.Not.Contain("batch_size"));
        var rarer = Peftalign.Call([.. Lora[..^4], "--save_steps", "7"]);
        Assert.That((rarer.Code, rarer.Err.Contains("nothing to do")), Is.EqualTo((0, true)), rarer.All);
        File.AppendAllText(TrainRows.Path(User), """{"prompt": "more ", "completion": "rows."}""" + "\n");
        var data = Peftalign.Call(Lora);
        data.Told(2, "other content");
    }

    [Test]
    public void Other_threads_or_another_device_are_refused_where_a_training_goes_on()
    {
        var whole = Peftalign.Call(Lora);
        Assert.That(whole.Code, Is.Zero, whole.All);
        var (result, spec) = (Path.Combine(User.Run, "result.json"), Path.Combine(User.Run, "job.json"));
        File.Delete(result); // as if it had been killed
        Peftalign.Call([.. Lora[..^1], "2"]).Told(2, $"--threads 2: the training in {User.Run} was begun with 1 thread(s), and other numbers of threads round differently; leave --threads out");
        Assert.That((int)Peftalign.Json(spec)["threads"]!, Is.EqualTo(1));
        File.WriteAllText(spec, File.ReadAllText(spec).Replace("\"cpu\"", "\"cuda:0\""));
        Peftalign.Call([.. Lora, "--device", "cpu"]).Told(2, $"--device cpu: the training in {User.Run} was begun on cuda:0, and another device may round differently; leave --device out");
        File.WriteAllText(spec, File.ReadAllText(spec).Replace("\"cuda:0\"", "\"cpu\""));
        var resumed = Peftalign.Call([.. Lora, "--device", "cpu"]);
        Assert.That((resumed.Code, File.Exists(result)), Is.EqualTo((0, true)), resumed.All);
    }

    [TestCase("question", true)]
    [TestCase("prompt", false)]
    public void Pairs_whose_prompt_has_another_name_are_a_warning(string column, bool told)
    {
        var rows = User.Write("pairs.jsonl", $$"""{"{{column}}": "Once", "chosen": " upon", "rejected": "x", "id": 7}""" + "\n");
        var trained = Peftalign.Call("train", "dpo", "--model", Model, "--data", rows, "--out", User.File("pairs"), "--max-steps", "1", "--threads", "1");
        Assert.That(trained.Code, Is.Zero, trained.All);
        Assert.That(trained.Err.Contains("1 of 1 pairs have no prompt: chosen and rejected begin with nothing in common, and question of the rows is not read"), Is.EqualTo(told), trained.All);
    }

    // What these rows are trained on has nothing to do with the texts of the pair.
    [TestCase("sft", """ "text": "Once upon" """)]
    [TestCase("dpo", """ "prompt_ids": [5, 6], "chosen_ids": [7], "rejected_ids": [8], "question": "Once" """)]
    public void Pairs_that_are_not_read_have_no_warning(string method, string read)
    {
        var rows = User.Write("beside.jsonl", $$"""{{{read}}, "chosen": " upon", "rejected": "x"}""" + "\n");
        var trained = Peftalign.Call("train", method, "--model", Model, "--data", rows, "--out", User.File("beside"), "--max-steps", "1", "--threads", "1");
        Assert.That(trained.Code, Is.Zero, trained.All);
        Assert.That(trained.Err, Does.Not.Contain("have no prompt"));
    }

    // While reference log-probs are computed nothing else says that the folder is at work.
    [Test]
    public void Another_request_is_refused_while_reference_log_probs_are_computed()
    {
        var data = User.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 4000).Select(k => $$"""{"prompt": "Once upon a time, number {{k}}, ", "chosen": "the cat ran home.", "rejected": "no."}""" + "\n")));
        string[] Train(string beta) => ["train", "dpo", "--model", Model, "--data", data, "--out", User.Run, "--adapter", "lora", "--precompute-reference", "--beta", beta, "--max-steps", "1000", "--threads", "1"];
        using var first = Peftalign.Start(Train("0.1"));
        _ = (first.StandardError.ReadToEndAsync(), first.StandardOutput.ReadToEndAsync());
        try
        {
            Waiting.For(() => File.Exists(Path.Combine(User.Run, "reference", "lock")) ? 1 : first.HasExited ? throw new AssertionException("it ended") : 0, "no reference was begun");
            Peftalign.Call(Train("0.2")).Told(2, "holds a training with other options");
            Peftalign.Call(Train("0.1")).Told(2, "another training works in this folder");
            Assert.That((double)Peftalign.Json(Path.Combine(User.Run, "job.json"))["options"]!["method"]!["options"]!["beta"]!, Is.EqualTo(0.1));
        }
        finally
        {
            first.Kill(entireProcessTree: true);
            first.WaitForExit();
        }
    }

    [Test]
    public void A_run_that_never_took_a_step_leaves_the_folder_to_the_corrected_command()
    {
        Directory.CreateDirectory(User.Run);
        var rows = File.ReadAllText(TrainRows.Path(User));
        File.WriteAllText(TrainRows.Path(User), """{"nothing": "known"}""" + "\n");
        Peftalign.Call(Lora).Told(2, "nothing");
        Assert.That(Directory.EnumerateFileSystemEntries(User.Run), Is.Empty, "a mistake takes back what it began");
        File.WriteAllText(TrainRows.Path(User), rows);
        // What a run leaves that was killed before its first step.
        foreach (var name in (string[])["request.json", "timing.json"]) File.WriteAllText(Path.Combine(User.Run, name + ".99999999-1.part"), "{");
        File.WriteAllText(Path.Combine(User.Run, "request.json"), """{"id": "another", "identity": {"data": "content:1"}}""");
        using (new FileStream(Path.Combine(User.Run, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
            Peftalign.Call(Lora).Told(2, "holds a training with other options");
        var corrected = Peftalign.Call(Lora);
        Assert.That(corrected.Code, Is.Zero, corrected.All);
        Assert.That(Directory.GetFiles(User.Run, "*.part"), Is.Empty);
        Peftalign.Call(Lora).Told(0, "nothing to do");
    }

    [Test]
    public void A_dry_run_says_what_would_be_done_and_writes_nothing()
    {
        var told = Peftalign.Call([.. Lora, "--dry-run", "--json"]);
        Assert.That(told.Code, Is.Zero, told.All);
        var forecast = JsonNode.Parse(told.Out)!;
        // q and v of 5 layers, 64 wide, 32 for v: rank 4 has 4 (64 + 64) + 4 (64 + 32) numbers a layer.
        Assert.That(((int)forecast["rows"]!, (int)forecast["steps"]!, (int)forecast["trainable_parameters"]!), Is.EqualTo((TrainRows.Count, 12, 5 * 4 * (128 + 96))));
        Assert.That((long)forecast["predicted_bytes"]!, Is.GreaterThan(200_000_000));
        Assert.That(Directory.Exists(User.Run), Is.False);
    }

    // All rows stay in memory: 20,000 of them are more than this model.
    [Test]
    public void A_dry_run_counts_the_rows_that_a_training_holds()
    {
        long Said(int copies, string part)
        {
            var many = User.Write("many.jsonl", string.Concat(Enumerable.Repeat(File.ReadAllText(TrainRows.Path(User)), copies)));
            var told = Peftalign.Call([.. Lora.Select(word => word == TrainRows.Path(User) ? many : word), "--dry-run", "--json"]);
            Assert.That(told.Code, Is.Zero, told.All);
            return (long)JsonNode.Parse(told.Out)![part]!;
        }
        var bytes = new FileInfo(TrainRows.Path(User)).Length + (1000 * TrainRows.Count);
        Assert.That(Said(1, "row_bytes"), Is.InRange(0.8 * bytes, 1.6 * bytes));
        Assert.That(Said(400, "row_bytes"), Is.InRange(0.8 * 400 * bytes, 1.6 * 400 * bytes));
        // Of two copies and of 400 the largest batch need not be the same one.
        Assert.That(Said(400, "predicted_bytes") - Said(1, "predicted_bytes"), Is.EqualTo(Said(400, "row_bytes") - Said(1, "row_bytes") + Said(400, "activation_bytes") - Said(1, "activation_bytes")));
    }

    // Only learned positions end; TRL cuts at max_length and nowhere else. In the forecast as in the training.
    [TestCase("llama", 700, "max_length 700 is more than the 512 positions that the model was made for; they are not learned, so rows are cut at max_length only")]
    [TestCase("gpt2", 512, "max_length 700 is more than the 512 positions that the model has learned; rows are cut there")]
    public void Rows_are_cut_at_learned_positions_and_else_at_max_length_alone(string architecture, int longest, string warning)
    {
        string[] names = architecture is "gpt2" ? ["n_embd", "n_layer", "n_head", "n_positions"] : ["hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"];
        string[] sizes = [.. names.Zip((int[])[16, 1, 2, 512], (name, size) => $"{name}={size}"), "vocab_size=64"];
        var made = Peftalign.Call(["models", "init", architecture, "--out", User.File("model"), .. sizes.SelectMany(size => (string[])["--set", size])]);
        Assert.That(made.Code, Is.Zero, made.All);
        var data = User.Write("long.jsonl", $$"""{"prompt_ids": [1, 2], "completion_ids": [{{string.Join(", ", Enumerable.Range(0, 1000).Select(k => 3 + (k % 50)))}}]}""" + "\n");
        string[] train = ["train", "sft", "--model", User.File("model"), "--data", data, "--out", User.Run, "--adapter", "lora", "--max-length", "700", "--max-steps", "1", "--batch-size", "1", "--threads", "1"];
        var told = Peftalign.Call([.. train, "--dry-run", "--json"]);
        Assert.That(told.Code, Is.Zero, told.All);
        Assert.That((int)JsonNode.Parse(told.Out)!["longest"]!, Is.EqualTo(longest));
        var trained = Peftalign.Call(train);
        Assert.That(trained.Code, Is.Zero, trained.All);
        Assert.That(File.ReadAllText(Path.Combine(User.Run, "log.txt")), Does.Contain(warning));
        Assert.That((int)JsonNode.Parse(File.ReadAllText(Path.Combine(User.Run, "ledger.json")))!["tokens_kept"]!, Is.EqualTo(longest));
        Assert.That(Math.Exp((double)JsonNode.Parse(File.ReadLines(Path.Combine(User.Run, "metrics.jsonl")).First())!["loss"]!), Is.EqualTo(64).Within(8), "new weights guess, wherever a token stands");
    }

    [Test]
    public void A_chat_template_is_the_trainings_own()
    {
        var data = User.Write("chats.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}, {\"role\": \"assistant\", \"content\": \"Once upon a time\"}]}\n");
        var file = User.Write("short.jinja", "{% for m in messages %}{{ m.content }} {% endfor %}");
        string[] Train(string target, params string[] more) => ["train", "sft", "--model", Model, "--data", data, "--out", User.File(target), "--max-steps", "1", "--batch-size", "1", "--threads", "1", .. more];
        double Loss(string target, string template, params string[] more)
        {
            var outcome = Peftalign.Call([.. Train(target, "--chat-template", template), "--json", .. more]);
            Assert.That(outcome.Code, Is.Zero, outcome.All);
            return (double)JsonNode.Parse(outcome.Out)!["final_loss"]!;
        }
        var (vicuna, own) = (Loss("vicuna", "vicuna", "--adapter", "lora", "--rank", "2"), Loss("own", file));
        Assert.That(vicuna, Is.Not.EqualTo(own).Within(1e-3));
        Assert.That(File.ReadAllText(Path.Combine(User.File("own"), "model", "chat_template.jinja")), Is.EqualTo(File.ReadAllText(file)));
        // An adapter has its template and its tokenizer's print beside it, and is asked with that template whatever the base says.
        var adapter = Path.Combine(User.File("vicuna"), "adapter");
        Assert.That(File.ReadAllText(Path.Combine(adapter, "chat_template.jinja")), Does.Contain("ASSISTANT"));
        Assert.That((int)Peftalign.Json(Path.Combine(adapter, "trained_with.json"))["tokenizer"]!["tokens"]!, Is.EqualTo(512));
        var asked = Peftalign.Call("generate", "--model", Model, "--adapter", adapter, "--chat", "--prompt", "Hello", "--max-new-tokens", "1", "--threads", "1");
        Assert.That(asked.Code, Is.Zero, asked.All);
        Peftalign.Call(Train("none", "--chat-template", "vicuan")).Told(2, "--chat-template");
        Assert.That(Directory.Exists(User.File("none")), Is.False);
        Peftalign.Call(Train("none")).Told(2, "template");
        Assert.That(Peftalign.Json(Path.Combine(User.File("own"), "run.json"))["options"]!["policy"]!["chat_template"]!.ToString(), Is.EqualTo(file));
    }

    [Test]
    public void Help_lists_no_option_and_no_value_that_is_refused()
    {
        var help = Peftalign.Call("train", "dpo", "--adapter", "lora", "--help").Out;
        Assert.That(help, Does.Contain("--optimizer").And.Contain("rmsprop").And.Contain("--reference").And.Contain("--eval-data").And.Contain("--init-adapter"));
        Assert.That(help, Does.Contain("One of float32, bfloat16.").And.Not.Contain("float16,").And.Not.Contain(" float16."));
        var told = Peftalign.Call([.. Lora, "--dtype", "float16"]);
        told.Told(2, "take bfloat16 or float32");
        Assert.That(Directory.Exists(User.Run), Is.False);
    }

    [Test]
    public void Help_lists_the_options_of_the_method_the_loop_and_the_adapter()
    {
        var sft = Peftalign.Call("train", "sft", "--help").Out;
        Assert.That(sft, Does.Contain("--completion-only-loss").And.Contain("--learning-rate").And.Contain("per_device_train_batch_size").And.Not.Contain("--rank"));
        Assert.That(Peftalign.Call("train", "sft", "--adapter", "lora", "--help").Out, Does.Contain("--rank").And.Contain("lora_alpha"));
        Assert.That(Peftalign.Call("train", "--help").Out, Does.Contain("METHOD").And.Contain("sft").And.Contain("lora"));
    }
}
