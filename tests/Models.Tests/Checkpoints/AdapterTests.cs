// PEFT's folders: reading, LoRA's checks, and writing in PEFT's spelling.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class AdapterTests
{
    private const string Q = "base_model.model.model.layers.0.self_attn.q_proj";

    private static string Adapter(Dictionary<string, object?> config, params (string Name, long[] Shape)[] tensors)
    {
        var folder = Shared.Scratch();
        AdapterFolder.Write(folder, config, tensors.Select(t => KeyValuePair.Create(t.Name, torch.ones(t.Shape))));
        return folder;
    }

    private static Dictionary<string, object?> Lora(params (string Key, object? Value)[] more)
    {
        var config = new Dictionary<string, object?> { ["peft_type"] = "LORA", ["r"] = 2, ["lora_alpha"] = 4, ["target_modules"] = (string[])["q_proj"] };
        foreach (var (key, value) in more) config[key] = value;
        return config;
    }

    [Test]
    public void AGoodAdapterIsRead()
    {
        using var adapter = AdapterFolder.Open(Shared.Fixture("badfiles", "good", "adapter"));
        Assert.That((adapter.PeftType, adapter.Rank, adapter.Int("lora_alpha"), adapter.BaseModel), Is.EqualTo(("LORA", 2, 4, "model")));
        Assert.That(adapter.LoraModules, Is.EquivalentTo((string[])["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj"]));
        Assert.That(adapter.Tensor(Q + ".lora_A.weight").shape, Is.EqualTo((long[])[2, 8]));
        Assert.That(adapter.Warnings, Is.Empty);
    }

    // The configuration of the reference adapter goes through our reader and writer: PEFT writes two blanks and sorted keys.
    [Test]
    public void TheConfigurationIsWrittenAsPeftWritesIt()
    {
        using var scope = torch.NewDisposeScope();
        var config = new Dictionary<string, object?> { ["peft_type"] = "LORA", ["r"] = 8, ["lora_dropout"] = 0.05, ["alpha_pattern"] = new Dictionary<string, object?>(), ["target_modules"] = (string[])["v_proj", "é\""], ["bias"] = "none", ["eva_config"] = null, ["rate"] = 1e-5, ["lora_alpha"] = 16.0, ["layers_to_transform"] = Array.Empty<int>() };
        var text = File.ReadAllText(Path.Combine(Adapter(config), "adapter_config.json"));
        Assert.That(text, Is.EqualTo("""
            {
              "alpha_pattern": {},
              "bias": "none",
              "eva_config": null,
              "inference_mode": true,
              "layers_to_transform": [],
              "lora_alpha": 16.0,
              "lora_dropout": 0.05,
              "peft_type": "LORA",
              "r": 8,
              "rate": 1e-05,
              "target_modules": [
                "v_proj",
                "\u00e9\""
              ]
            }
            """.ReplaceLineEndings("\n")));
    }

    // Python: json.dumps of each number.
    [TestCase(0.0, "0.0")]
    [TestCase(-0.0, "-0.0")]
    [TestCase(1.0, "1.0")]
    [TestCase(0.1, "0.1")]
    [TestCase(1e-4, "0.0001")]
    [TestCase(1.5e-5, "1.5e-05")]
    [TestCase(123456.789, "123456.789")]
    [TestCase(1e15, "1000000000000000.0")]
    [TestCase(1e16, "1e+16")]
    [TestCase(-2.5e300, "-2.5e+300")]
    [TestCase(5e-324, "5e-324")]
    [TestCase(9007199254740993.0, "9007199254740992.0")]
    public void NumbersAreSpeltAsPythonSpellsThem(double number, string text) => Assert.That(SortedJson.Text(number), Is.EqualTo(text));

    [Test]
    public void WhatIsWrittenIsReadBack()
    {
        using var scope = torch.NewDisposeScope();
        var folder = Adapter(Lora(), (Q + ".lora_A.weight", [2, 8]), (Q + ".lora_B.weight", [8, 2]));
        using var adapter = AdapterFolder.Open(folder);
        Assert.That(adapter.Bool("inference_mode"), Is.True);
        Assert.That(adapter.Names, Has.Count.EqualTo(2));
        using var file = SafetensorsFile.Open(Path.Combine(folder, "adapter_model.safetensors"));
        Assert.That(file.Metadata, Is.EqualTo(new Dictionary<string, string> { ["format"] = "pt" }));
    }

    [Test]
    public void RankPatternsSpeakForTheirModules()
    {
        using var scope = torch.NewDisposeScope();
        var tensors = ((string, long[])[])[(Q + ".lora_A.weight", [3, 8]), (Q + ".lora_B.weight", [8, 3])];
        var pattern = new Dictionary<string, object?> { ["layers.[0-9].self_attn.q_proj"] = 3 };
        using (var adapter = AdapterFolder.Open(Adapter(Lora(("rank_pattern", pattern)), tensors))) Assert.That(adapter.RankOf("model.layers.0.self_attn.q_proj"), Is.EqualTo(3));
        Assert.That(Assert.Throws<UserErrorException>(() => AdapterFolder.Open(Adapter(Lora(), tensors)).Dispose())!.Message, Does.Contain("r = 2").And.Contain("[3, 8]"));
        var broken = Lora(("rank_pattern", new Dictionary<string, object?> { ["(q"] = 3 }));
        Assert.That(Assert.Throws<UserErrorException>(() => AdapterFolder.Open(Adapter(broken, tensors)).Dispose())!.Message, Does.Contain("'(q'").And.Contain("regular expression"));
    }

    [Test]
    public void AnExpressionFromAFileCannotStopUs()
    {
        using var scope = torch.NewDisposeScope();
        // Looks ahead, so it cannot be matched in linear time, and backtracks exponentially on a run of a's.
        var folder = Adapter(Lora(("target_modules", "(?!x)(a|a|aa)+(a|a|aa)+b")), (Q + ".lora_A.weight", [2, 8]), (Q + ".lora_B.weight", [8, 2]));
        using var adapter = AdapterFolder.Open(folder);
        var modules = new Dictionary<string, long[]> { [new string('a', 60)] = [8, 8] };
        var clock = ThreadTime.Start();
        Assert.That(Assert.Throws<UserErrorException>(() => adapter.CheckAgainst(modules))!.Message, Does.Contain("takes longer than"));
        Assert.That(clock.Elapsed.TotalSeconds, Is.LessThan(5));
    }

    [Test]
    public void PicklesAndMissingWeightsAreSeen()
    {
        var folder = Shared.Scratch();
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), """{"peft_type":"PROMPT_TUNING"}""");
        Assert.That(Assert.Throws<UserErrorException>(() => AdapterFolder.Open(folder).Dispose())!.Message, Does.Contain("adapter_model.safetensors").And.Contain("adapter_model.bin"));
        File.Copy(Shared.Fixture("pickles", "module.bin"), Path.Combine(folder, "adapter_model.bin"));
        using (var adapter = AdapterFolder.Open(folder)) Assert.That(adapter.Names, Has.Count.EqualTo(4));
        Assert.That(Assert.Throws<UserErrorException>(() => AdapterFolder.Open(folder, ["BOTTLENECK"]).Dispose())!.Message, Does.Contain("'PROMPT_TUNING'").And.Contain("BOTTLENECK"));
        File.Copy(Shared.Fixture("pickles", "evil.bin"), Path.Combine(folder, "adapter_model.bin"), overwrite: true);
        Assert.That(Assert.Throws<UserErrorException>(() => AdapterFolder.Open(folder).Dispose())!.Message, Does.Contain("posix.system"));
    }

    [Test]
    public void EveryReferenceAdapterIsRead()
    {
        var folders = Directory.EnumerateFiles(Shared.Golden("peft"), "adapter_config.json", SearchOption.AllDirectories).Select(f => Path.GetDirectoryName(f)!).ToList();
        Assert.That(folders, Is.Not.Empty);
        foreach (var folder in folders)
        {
            var type = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "adapter_config.json"))).RootElement.GetProperty("peft_type").GetString()!;
            using var adapter = AdapterFolder.Open(folder, [type]);
            Assert.That(adapter.Warnings, Is.Empty, folder);
            if (type == "LORA") Assert.That(adapter.LoraModules, Is.Not.Empty, folder);
            Assert.That(SortedJson.Text(adapter.Config), Is.EqualTo(File.ReadAllText(Path.Combine(folder, "adapter_config.json")).TrimEnd()), folder);
        }
    }
}
