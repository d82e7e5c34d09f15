// What we write, PEFT loads: adapters of every kind with trained-like values go into a folder, PEFT puts them on the base in a
// process of its own, and the logits are ours. Needs a Python with peft: PEFTALIGN_PEERS_PYTHON names it.

using System.Diagnostics;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Peft.IA3;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Tests;

public sealed class PeftReadsTests : ScopedTest
{
    internal static readonly Dictionary<string, (string Base, Func<IPeftAdapter> Adapter)> Cases = new()
    {
        ["plain"] = ("base-llama", () => Registered.Lora(new() { Rank = 3, Dropout = 0.1, Targets = ["all-linear"] })),
        ["patterns"] = ("base-llama", () => Registered.Lora(new() { Targets = ["q_proj", "up_proj"], RankPattern = new() { ["q_proj"] = 2 }, AlphaPattern = new() { ["layers.1.mlp.up_proj"] = 3 }, UseRslora = true, ModulesToSave = ["lm_head"] })),
        ["pattern-expressions"] = ("base-llama", () => Registered.Lora(new() { Targets = ["q_proj", "up_proj", "down_proj"], RankPattern = new() { [".*q_proj"] = 2, [@"layers\.1\.mlp\.(up|down)_proj"] = 3 }, AlphaPattern = new() { [@"layers\.\d+\.mlp\..*"] = 3 } })),
        ["regex"] = ("base-llama", () => Registered.Lora(new() { Targets = [@".*\.1\..*(q_proj|gate_proj)"] })),
        ["expressions"] = ("base-llama", () => Registered.Lora(new() { Targets = [".*q_proj", ".*v_proj"] })),
        ["names-and-expressions"] = ("base-llama", () => Registered.Lora(new() { Targets = ["q_proj", @".*\.v_proj", "lm_head"], ExcludeModules = [@".*\.1\..*q_proj"] })),
        ["excluded"] = ("base-llama", () => Registered.Lora(new() { Targets = ["all-linear"], ExcludeModules = [@".*\.0\.mlp\..*", "o_proj"], LayersToTransform = [0, 1] })),
        ["excluded-by-one"] = ("base-llama", () => Registered.Lora(new() { Targets = ["q_proj", "v_proj"], ExcludeModules = [@".*\.0\..*v_proj"] })),
        ["dora"] = ("base-llama", () => Registered.Lora(new() { Targets = ["o_proj", "down_proj"], UseDora = true, LayersToTransform = [1] })),
        ["pissa"] = ("base-llama", () => Registered.Lora(new() { Rank = 4, Alpha = 6, Init = "pissa", UseRslora = true })),
        ["pissa-embedding"] = ("base-llama", () => Registered.Lora(new() { Rank = 4, Alpha = 6, Init = "pissa", Targets = ["q_proj", "embed_tokens"], AlphaPattern = new() { ["embed_tokens"] = 3 } })),
        ["olora-embedding"] = ("base-llama", () => Registered.Lora(new() { Rank = 4, Alpha = 6, Init = "olora", UseRslora = true, Targets = ["embed_tokens", "down_proj"], RankPattern = new() { [@"model\.embed_tokens"] = 3, ["down_proj"] = 2 } })),
        ["tokens"] = ("base-llama", () => Registered.Lora(new() { TrainableTokens = [5, 2, 40], ExcludeModules = ["layers.0.self_attn.v_proj"] })),
        ["embedding"] = ("base-llama", () => Registered.Lora(new() { Targets = ["embed_tokens", "lm_head", "k_proj"] })),
        ["saved-target"] = ("base-llama", () => Registered.Lora(new() { Targets = ["q_proj", "v_proj"], ModulesToSave = ["v_proj"] })),
        ["norms"] = ("base-llama", () => Registered.Lora(new() { Targets = ["q_proj"], ModulesToSave = ["norm", "head"] })),
        ["bias"] = ("base-gpt2", () => Registered.Lora(new() { Bias = "all", Targets = ["c_attn", "mlp.c_proj"] })),
        ["prompt"] = ("base-llama", () => Registered.Prompt(new() { NumVirtualTokens = 3, Init = "sample_vocab" })),
        ["prompt-gpt2"] = ("base-gpt2", () => Registered.Prompt(new() { NumVirtualTokens = 2 })),
        ["prefix"] = ("base-llama", () => Registered.Prefix(new() { NumVirtualTokens = 3 })),
        ["prefix-projection"] = ("base-gpt2", () => Registered.Prefix(new() { NumVirtualTokens = 2, PrefixProjection = true, EncoderHiddenSize = 7 })),
        ["ia3"] = ("base-gpt2", () => Registered.IA3(new IA3Options { ModulesToSave = ["ln_f"] })),
        ["ia3-expressions"] = ("base-llama", () => Registered.IA3(new() { Targets = [".*k_proj", "down_proj"], FeedforwardModules = [".*down_proj"] })),
        ["ia3-one-expression"] = ("base-llama", () => Registered.IA3(new() { Targets = ["k_proj", "down_proj"], FeedforwardModules = [@".*\.1\..*down_proj"], ExcludeModules = [@".*\.0\..*k_proj"] })),
        ["neox"] = (NeoX, () => Registered.Lora(new() { Rank = 3 })),
        ["neox-dora-head"] = (NeoX, () => Registered.Lora(new() { Targets = ["all-linear"], UseDora = true, ModulesToSave = ["lm_head"] })),
        ["neox-ia3"] = (NeoX, () => Registered.IA3(new())),
        ["neox-prefix"] = (NeoX, () => Registered.Prefix(new() { NumVirtualTokens = 3 })),
        ["opt"] = (Opt, () => Registered.Lora(new() { Rank = 3 })),
        ["opt-all-linear"] = (Opt, () => Registered.Lora(new() { Rank = 3, Targets = ["all-linear"] })),
        ["opt-ia3"] = (Opt, () => Registered.IA3(new())),
        ["opt-prompt"] = (Opt, () => Registered.Prompt(new() { NumVirtualTokens = 3 })),
        ["opt-prefix"] = (Opt, () => Registered.Prefix(new() { NumVirtualTokens = 3 })),
        ["phi"] = (Phi, () => Registered.Lora(new() { Rank = 3 })),
        ["phi-head"] = (Phi, () => Registered.Lora(new() { Targets = ["q_proj", "lm_head"], Bias = "all" })),
        ["phi-dora-head"] = (Phi, () => Registered.Lora(new() { Targets = ["dense", "lm_head"], UseDora = true, Bias = "lora_only" })),
        ["phi-saved-head"] = (Phi, () => Registered.Lora(new() { Targets = ["all-linear"], ModulesToSave = ["lm_head"] })),
        ["phi-ia3"] = (Phi, () => Registered.IA3(new())),
        ["phi-prefix"] = (Phi, () => Registered.Prefix(new() { NumVirtualTokens = 3 })),
        ["gptj"] = (GptJ, () => Registered.Lora(new() { Rank = 3 })),
        ["gptj-ia3"] = (GptJ, () => Registered.IA3(new())),
        ["gptj-prefix"] = (GptJ, () => Registered.Prefix(new() { NumVirtualTokens = 3 })),
        ["gptj-prompt"] = (GptJ, () => Registered.Prompt(new() { NumVirtualTokens = 3 })),
        ["falcon"] = (Falcon, () => Registered.Lora(new() { Rank = 3 })),
        ["falcon-ia3"] = (Falcon, () => Registered.IA3(new())),
        ["falcon-prompt"] = (Falcon, () => Registered.Prompt(new() { NumVirtualTokens = 3 })),
        ["gemma3-images"] = (Images, () => Registered.Lora(new() { Targets = ["q_proj", "down_proj"], Rank = 3 })),
        ["gemma3-images-dora"] = (Images, () => Registered.Lora(new() { Targets = ["all-linear"], UseDora = true })),
        ["gemma3-images-embedding"] = (Images, () => Registered.Lora(new() { Targets = ["v_proj", "embed_tokens"] })),
        ["gemma3-images-ia3"] = (Images, () => Registered.IA3(new() { Targets = ["k_proj", "v_proj", "down_proj"], FeedforwardModules = ["down_proj"] })),
        ["gemma3-images-prompt"] = (Images, () => Registered.Prompt(new() { NumVirtualTokens = 3 })),
        ["ia3-all-linear"] = ("base-llama", () => Registered.IA3(new() { Targets = ["all-linear"], FeedforwardModules = ["down_proj", "up_proj"] })),
    };

    private const string NeoX = "../families/gpt-neox/base-model", Opt = "../families/opt-after/base-model", Phi = "../families/phi/base-model", GptJ = "../families/gptj/base-model", Falcon = "../families/falcon/base-model", Images = "../families/gemma3-images/base-model";

    private const string Script = """
        import sys, os, torch
        from safetensors.torch import load_file, save_file
        from transformers import AutoModelForCausalLM
        from peft import PeftModel
        torch.set_num_threads(1)
        root = sys.argv[1]
        for name in sorted(os.listdir(root)):
            folder = os.path.join(root, name)
            base, inputs = open(os.path.join(folder, "base")).read(), load_file(os.path.join(folder, "inputs.safetensors"))
            model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
            model = PeftModel.from_pretrained(model, folder).eval()
            with torch.no_grad():
                logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            logits = logits[:, logits.shape[1] - inputs["input_ids"].shape[1]:]
            save_file({"logits": logits.contiguous()}, os.path.join(folder, "logits.safetensors"))
        """;

    [Test]
    public void Peft_computes_the_same_logits_from_our_folders()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python) { Assert.Ignore("PEFTALIGN_PEERS_PYTHON names no Python with peft"); return; }
        var root = Directory.CreateTempSubdirectory("peftalign-peers-").FullName;
        try
        {
            var ours = Cases.ToDictionary(c => c.Key, c => Written(Path.Combine(root, c.Key), c.Value.Base, c.Value.Adapter()));
            Run(python, root);
            foreach (var (name, logits) in ours)
            {
                using var theirs = SafetensorsFile.Open(Path.Combine(root, name, "logits.safetensors"));
                Assert.That(Golden.Distance(logits, theirs.Tensor("logits")), Is.LessThan(1e-4), name);
            }
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    // Logits of the adapter in memory, whose folder is written.
    private static List<Tensor> Written(string folder, string baseName, IPeftAdapter adapter)
    {
        var model = ModelFolder.Load(Golden.Path(baseName), device: TestDevice.Here);
        var outline = model.Outline(baseName);
        var sites = adapter.Attach(outline, 1);
        using (torch.no_grad())
            foreach (var site in sites)
                foreach (var (role, tensor) in site.Delta.Parameters) tensor.add_(new CounterStream(9, role, site.Module).Normal(tensor.shape, 0, 0.1));
        var files = adapter.Save(outline, sites);
        AdapterFolder.Write(folder, files.Config.ToDictionary(c => c.Key, c => (object?)(c.Value is null ? null : System.Text.Json.JsonSerializer.SerializeToElement(c.Value))), files.Tensors);
        File.WriteAllText(Path.Combine(folder, "base"), Golden.Path(baseName));
        using (var inputs = SafetensorsFile.Open(Golden.Path("inputs.safetensors")))
            SafetensorsWriter.Write(Path.Combine(folder, "inputs.safetensors"), (KeyValuePair<string, Tensor>[])[new("input_ids", inputs.Tensor("input_ids").remainder(model.Spec.Vocabulary)), new("attention_mask", inputs.Tensor("attention_mask"))]);
        var logits = Golden.Logits(model, ModuleGoldenTests.Mode(sites));
        var off = Golden.Logits(model, Models.Decoders.ForwardMode.Plain);
        Assert.That(Golden.Worst(logits[0], off[0]), Is.GreaterThan(1e-2), $"{Path.GetFileName(folder)}: the adapter changes nothing, so the comparison would say nothing");
        return logits;
    }

    private static void Run(string python, string root)
    {
        var script = Path.Combine(Path.GetTempPath(), $"peftalign-peers-{Environment.ProcessId}.py");
        File.WriteAllText(script, Script);
        try
        {
            using var process = Process.Start(new ProcessStartInfo(python, [script, root]) { RedirectStandardError = true })!;
            var errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.That(process.ExitCode, Is.Zero, errors);
        }
        finally
        {
            File.Delete(script);
        }
    }
}
