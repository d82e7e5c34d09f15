// Options of adapters and of what quantises their base that mean nothing where they are given: told, never ignored. And a folder that
// says what of it is trained.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class AdapterOptionTests : OnTrainRows
{
    private Outcome Train(string name, string model, params string[] more) =>
        Peftalign.Call(["train", "sft", "--model", model, "--data", TrainRows.Path(User), "--out", User.File(name), "--max-steps", "1", "--batch-size", "2", "--threads", "1", .. more]);

    private string Log(string name) => File.ReadAllText(Path.Combine(User.File(name), "log.txt"));

    [TestCase("lora --quantization nf4 --skip zzz", "skip zzz", "is no linear layer of this model")]
    [TestCase("lora --layers-pattern layers", "layers_pattern [layers]", "layers_to_transform names no block")]
    [TestCase("bottleneck --placement pfeiffer --targets q_proj", "placement pfeiffer", "[q_proj]")]
    public void Over_a_full_model_they_are_refused(string adapter, params string[] said)
    {
        var outcome = Train("out", Model, ["--adapter", .. adapter.Split(' ')]);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        foreach (var part in said) Assert.That(outcome.Err, Does.Contain(part));
    }

    [Test]
    public void Over_a_folder_in_four_bits_its_own_values_hold()
    {
        var four = User.File("four");
        Assert.That(Peftalign.Call("quantize", "--model", Model, "--out", four, "--double-quant", "--threads", "1").Code, Is.Zero);
        foreach (var (name, options, said) in (ReadOnlySpan<(string, string, string[])>)[("a", "--blocksize 128", ["blocks of 64", "blocksize 128"]), ("b", "--skip down_proj", ["in 4 bits", "skip [down_proj]"]), ("c", "--no-double-quant", ["double_quant true", "double_quant false"])])
        {
            var refused = Train(name, four, ["--adapter", "qlora", .. options == "--no-double-quant" ? (string[])["--double-quant", "false"] : options.Split(' ')]);
            Assert.That(refused.Code, Is.EqualTo(2), refused.All);
            foreach (var part in said) Assert.That(refused.Err, Does.Contain(part));
        }
        var taken = Train("d", four, "--adapter", "qlora", "--blocksize", "64");
        Assert.That(taken.Code, Is.Zero, taken.All);
        // A merge's own defaults ask for nothing either: it is not double by default, and the folder is.
        string[] merge = ["adapter", "merge", "--model", four, "--adapter", Path.Combine(User.File("d"), "adapter"), "--threads", "1", "--out"];
        foreach (var (name, quantization) in (ReadOnlySpan<(string, string[])>)[("plain", []), ("named", ["--quantization", "nf4"]), ("asked", ["--quantization", "nf4", "--double-quant"])])
        {
            var merged = Peftalign.Call([.. merge, User.File(name), .. quantization]);
            Assert.That(merged.Code, Is.Zero, merged.All);
            Assert.That(File.ReadAllBytes(Path.Combine(User.File(name), "model.safetensors")).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(User.File("plain"), "model.safetensors"))), name);
        }
        var other = Peftalign.Call([.. merge, User.File("other"), "--quantization", "nf4", "--blocksize", "128"]);
        Assert.That((other.Code, Directory.Exists(User.File("other"))), Is.EqualTo((2, false)), other.All);
        Assert.That(other.Err, Does.Contain("blocks of 64").And.Contain("blocksize 128"));
    }

    [Test]
    public void A_list_that_leaves_nothing_out_is_told()
    {
        var told = Train("told", Model, "--adapter", "lora", "--exclude-modules", "zzz");
        Assert.That(told.Code, Is.Zero, told.All);
        Assert.That(Log("told"), Does.Contain("exclude_modules names zzz").And.Contain("nothing is left out"));
        var folder = Path.Combine(User.File("told"), "adapter");
        Assert.That(Peftalign.Call("adapter", "merge", "--model", Model, "--adapter", folder, "--out", User.File("merged"), "--threads", "1").Err, Does.Contain($"{folder}: exclude_modules names zzz"));
        Assert.That(Train("silent", Model, "--adapter", "lora", "--exclude-modules", "zzz,v_proj").Code, Is.Zero);
        Assert.That(Log("silent"), Does.Not.Contain("exclude_modules names"));
    }

    [Test]
    public void A_mica_folder_goes_on_with_its_b()
    {
        Assert.That(Train("first", Model, "--adapter", "lora", "--rank", "2").Code, Is.Zero);
        var adapter = Path.Combine(User.File("first"), "adapter");
        var config = Path.Combine(adapter, "adapter_config.json");
        var json = JsonNode.Parse(File.ReadAllText(config))!;
        json["init_lora_weights"] = "mica";
        File.WriteAllText(config, json.ToJsonString());
        var outcome = Train("second", Model, "--adapter", "lora", "--init-adapter", adapter);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var after = Path.Combine(User.File("second"), "adapter");
        var (before, now) = (RawTensors.Read(Path.Combine(adapter, "adapter_model.safetensors")), RawTensors.Read(Path.Combine(after, "adapter_model.safetensors")));
        foreach (var (name, tensor) in before)
            Assert.That(now[name].Bytes, name.Contains("lora_B", StringComparison.Ordinal) ? Is.EqualTo(tensor.Bytes) : Is.Not.EqualTo(tensor.Bytes), name);
        Assert.That((string?)JsonNode.Parse(File.ReadAllText(Path.Combine(after, "adapter_config.json")))!["init_lora_weights"], Is.EqualTo("mica"));
    }

    [Test]
    public void The_help_says_which_limits_belong_to_the_values() =>
        Assert.That(Peftalign.Call("train", "sft", "--adapter", "lora", "--help").Out, Does.Contain("AdamW's first beta. At least 0 and less than 1.").And.Not.Contain("beta. At least 0 and at most 1"));

    // One line each, and nothing of a library's beside it.
    [Test]
    public void Adapters_that_cannot_be_combined_are_told_in_one_line()
    {
        Assert.That(Train("one", Model, "--adapter", "lora", "--rank", "2").Code, Is.Zero);
        Assert.That(Train("two", Model, "--adapter", "lora", "--rank", "2").Code, Is.Zero);
        var (one, two) = (Path.Combine(User.File("one"), "adapter"), Path.Combine(User.File("two"), "adapter"));
        var refused = Peftalign.Call("adapter", "combine", "--adapter", one, "--adapter", two, "--weights", "1e60,1", "--type", "svd", "--out", User.File("mixed"), "--threads", "1");
        Assert.That((refused.Code, refused.Out), Is.EqualTo((2, "")), refused.All);
        Assert.That(refused.Err.TrimEnd().Split('\n'), Has.Length.EqualTo(1));
        Assert.That(refused.Err, Does.Contain("weights 1E+60, 1"));
    }
}
