// With bias all PEFT writes every name with a bias in it: of a module that is trained whole (modules_to_save) its own, its wrapper's and
// that of the module that it was. The wrapper's is what was trained, and PEFT writes it under the module's name.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Tests;

public sealed class WrappedBiasTests : ScopedTest
{
    private const string LastNorm = "base_model.model.transformer.ln_f";

    private const string Script = """
        import sys, os, torch
        from safetensors.torch import load_file, save_file
        from transformers import AutoModelForCausalLM
        from peft import LoraConfig, get_peft_model
        torch.set_num_threads(1)
        torch.manual_seed(3)
        root = sys.argv[1]
        base, inputs = open(os.path.join(root, "base")).read(), load_file(open(os.path.join(root, "inputs")).read())
        for bias, saved in (("all", "ln_f"), ("all", "mlp.c_fc"), ("lora_only", "ln_f")):
            folder = os.path.join(root, bias + "-" + saved)
            model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
            adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["c_attn"], fan_in_fan_out=True, bias=bias, modules_to_save=[saved])).eval()
            with torch.no_grad():
                for parameter in adapted.parameters():
                    if parameter.requires_grad: parameter.add_(torch.randn_like(parameter) * 0.1)
                logits = adapted(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            adapted.save_pretrained(folder)
            save_file({"logits": logits.contiguous()}, os.path.join(folder, "logits.safetensors"))
        """;

    private static AdapterFiles Files(ModelOutline outline)
    {
        var adapter = Registered.Lora(new() { Bias = "all", Targets = ["c_attn"], ModulesToSave = ["ln_f"] });
        var sites = adapter.Attach(outline, 1);
        using (torch.no_grad())
            foreach (var site in sites)
                foreach (var (role, tensor) in site.Delta.Parameters) tensor.add_(new CounterStream(9, role, site.Module).Normal(tensor.shape, 0, 0.1));
        return adapter.Save(outline, sites);
    }

    private static AdapterFiles With(AdapterFiles files, Tensor wrapper, Tensor before)
    {
        var tensors = files.Tensors.ToDictionary();
        (tensors[LastNorm + ".modules_to_save.bias"], tensors[LastNorm + ".original_module.bias"]) = (wrapper, before);
        return files with { Tensors = tensors };
    }

    [Test]
    public void A_wrapped_modules_biases_are_read_and_the_trained_one_counts()
    {
        var model = ModelFolder.Load(Golden.Path("base-gpt2"), device: TestDevice.Here);
        var outline = model.Outline("base-gpt2");
        var plain = Files(outline);
        var trained = plain.Tensors[LastNorm + ".bias"];
        var before = model.Weights["transformer.ln_f.bias"].clone();
        var read = Registered.Lora().Load(outline, With(plain, trained.clone(), before));
        Assert.That(Registered.Lora().Load(outline, plain).Count, Is.EqualTo(read.Count));
        Assert.That(((Whole)read.Single(site => site.Module == "transformer.ln_f").Delta).Bias!.equal(trained), Is.True);
        // What is not the module's own is no copy of it.
        Assert.That(() => Registered.Lora().Load(outline, With(plain, trained + 1, before)), Throws.TypeOf<UserErrorException>().With.Message.Contains("ln_f.modules_to_save.bias"));
    }

    [Test]
    public void Folders_that_peft_writes_give_its_logits()
    {
        var root = Directory.CreateTempSubdirectory("peftalign-peers-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(root, "base"), Golden.Path("base-gpt2"));
            File.WriteAllText(Path.Combine(root, "inputs"), Golden.Path("inputs.safetensors"));
            PeersPython.Run(Script, root);
            foreach (var folder in Directory.GetDirectories(root))
            {
                var model = ModelFolder.Load(Golden.Path("base-gpt2"), device: TestDevice.Here);
                var files = Golden.Adapter(folder);
                if (folder.Contains("all-", StringComparison.Ordinal)) Assert.That(files.Tensors.Keys, Has.Some.EndsWith(".original_module.bias").And.Some.EndsWith(".modules_to_save.bias"), folder);
                using var theirs = SafetensorsFile.Open(Path.Combine(folder, "logits.safetensors"));
                var ours = Golden.Logits(model, ModuleGoldenTests.Mode(Registered.ReaderOf(files).Load(model.Outline("base-gpt2"), files)));
                Assert.That(Golden.Distance(ours, theirs.Tensor("logits")), Is.LessThan(1e-4), Path.GetFileName(folder));
            }
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }
}
