// What ends a training, through the real command: each message says what happened and what to do, no stack trace is shown, and the last
// checkpoint is whole: a mended run goes on from it.

using System.Globalization;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class TrainFaultTests
{
    private static string Model => Peftalign.Stories;

    private static string Tokens(int prompt, int completion) => $$"""{"prompt_ids": [{{string.Join(",", Enumerable.Repeat("5", prompt))}}], "completion_ids": [{{string.Join(",", Enumerable.Repeat("7", completion))}}]}""";

    private static string[] Call(string model, string data, string folder, params string[] more) =>
        ["train", "sft", "--model", model, "--data", data, "--out", folder, "--batch-size", "1", "--shuffle", "false", "--save-every", "2", "--threads", "1", .. more];

    private static void AssertPlain(Outcome outcome, int code, params string[] parts)
    {
        Assert.That(outcome.Code, Is.EqualTo(code), outcome.All);
        foreach (var part in parts) Assert.That(outcome.Err, Does.Contain(part), outcome.All);
        Assert.That(outcome.All, Does.Not.Contain("   at ").And.Not.Contain("Unhandled"), "no stack trace");
    }

    // A row whose feed-forward activations would need hundreds of gigabytes, more than any machine lends, after four that need 40 MB each.
    [Test]
    public void Memory_that_runs_out_says_what_to_lower_and_keeps_the_checkpoint()
    {
        using var user = new Peftalign();
        var model = user.File("model");
        string[] sizes = ["vocab_size=64", "hidden_size=8", "intermediate_size=2000000", "num_hidden_layers=1", "num_attention_heads=1", "max_position_embeddings=40000"];
        Assert.That(Peftalign.Call(["models", "init", "llama", "--out", model, .. sizes.SelectMany(size => (string[])["--set", size])]).Code, Is.Zero);
        string[] rows = [.. Enumerable.Repeat(Tokens(2, 3), 4), Tokens(2, 39_000), Tokens(2, 3)];
        var data = user.Write("rows.jsonl", string.Join('\n', rows) + "\n");
        string[] asked = Call(model, data, user.Run, "--adapter", "lora", "--max-steps", "6", "--max-length", "40000");
        AssertPlain(Peftalign.Call(asked), 1, "Memory ran out", "gradient_checkpointing", "lower batch_size (now 1", "max_length (now 40000)", "The checkpoint of step 4 is kept");
        Assert.That(File.Exists(Path.Combine(user.Run, "checkpoints", "4", "state.json")));
        AssertPlain(Peftalign.Call([.. asked, "--gradient-checkpointing"]), 1, "Memory ran out. Lower batch_size", "The checkpoint of step 4 is kept");
    }

    [Test]
    public void A_loss_that_is_not_finite_stops_before_the_update_and_keeps_the_checkpoint()
    {
        using var user = new Peftalign();
        var data = user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 8).Select(k => Tokens(2 + (k % 3), 3) + "\n")));
        var outcome = Peftalign.Call(Call(Model, data, user.Run, "--max-steps", "8", "--learning-rate", "1e30", "--warmup-steps", "3", "--max-grad-norm", "0", "--optimizer", "sgd"));
        AssertPlain(outcome, 2, "Step ", "Lower learning_rate", "the latest checkpoint is intact");
        Assert.That(Directory.GetFiles(user.Run, "*.safetensors"), Is.Empty);
        Assert.That(Directory.Exists(Path.Combine(user.Run, "model")), Is.False, "no result");
        foreach (var line in File.ReadLines(Path.Combine(user.Run, "metrics.jsonl")))
            Assert.That(double.IsFinite((double)JsonNode.Parse(line)!["loss"]!), line);
    }

    // PEFT refuses it too; it would train what leaving the option out trains.
    [TestCase("lora")]
    [TestCase("qlora")]
    [TestCase("ia3")]
    [TestCase("bottleneck")]
    public void No_target_at_all_is_refused(string adapter)
    {
        using var user = new Peftalign();
        var data = user.Write("rows.jsonl", Tokens(2, 3) + "\n");
        foreach (var none in (string[])["", "[]"])
        {
            AssertPlain(Peftalign.Call(Call(Model, data, user.Run, "--max-steps", "1", "--adapter", adapter, "--targets", none)), 2, "targets", "is empty; name at least one, or leave it out");
            Assert.That(Directory.Exists(user.Run), Is.False);
        }
    }

    [TestCase("", "holds no rows|are empty|no training rows")]
    [TestCase("\n\n", "holds no rows|are empty|no training rows")]
    public void Empty_data_are_refused(string text, string said)
    {
        using var user = new Peftalign();
        var outcome = Peftalign.Call(Call(Model, user.Write("rows.jsonl", text), user.Run, "--max-steps", "2"));
        AssertPlain(outcome, 2);
        Assert.That(said.Split('|').Any(part => outcome.Err.Contains(part, StringComparison.Ordinal)), outcome.All);
        Assert.That(Directory.Exists(Path.Combine(user.Run, "model")), Is.False);
    }

    [TestCase("q_porj", "Did you mean q_proj")]
    [TestCase("c_attn", "all-linear")]
    [TestCase("model\\.layers\\.9\\..*", "Its linear modules are q_proj")]
    public void Targets_that_match_nothing_come_with_the_models_names(string target, string said)
    {
        using var user = new Peftalign();
        var outcome = Peftalign.Call(Call(Model, user.Write("rows.jsonl", Tokens(2, 3) + "\n"), user.Run, "--max-steps", "1", "--adapter", "lora", "--targets", target));
        AssertPlain(outcome, 2, target, said);
        Assert.That(Directory.Exists(user.Run), Is.False, "nothing is left of a training that never began");
    }

    [Test]
    public void An_error_names_the_line_of_the_row()
    {
        using var user = new Peftalign();
        var data = user.Write("rows.jsonl", string.Create(CultureInfo.InvariantCulture, $"{Tokens(2, 3)}\n\n{{\"prompt_ids\": [1, 99999], \"completion_ids\": [3]}}\n"));
        AssertPlain(Peftalign.Call(Call(Model, data, user.Run, "--max-steps", "1")), 2, "rows.jsonl, line 3", "99999");
    }
}
