// Where the tests' files are, the product's plugins by their own registration, and small runs.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

internal static class Fixtures
{
    /// <summary>A path in tests/fixtures.</summary>
    internal static string Path(params string[] parts) => Checkout.Fixture(parts);

    /// <summary>A path in shared/golden; the test is skipped, visibly, where that is absent.</summary>
    internal static string Golden(params string[] parts) => Checkout.Reference(["golden", .. parts]);

    internal static JsonObject Json(string path) => JsonNode.Parse(File.ReadAllText(path))!.AsObject();

    /// <summary>Rows of a golden data file.</summary>
    internal static IReadOnlyList<DataRecord> Records(string path) =>
        Json(path)["rows"]!.AsArray().Select((row, k) => new DataRecord(row!.DeepClone().AsObject(), path, k + 1)).ToList();

    internal static AdapterFiles Adapter(string folder)
    {
        using var file = SafetensorsFile.Open(System.IO.Path.Combine(folder, "adapter_model.safetensors"));
        return new AdapterFiles(Json(System.IO.Path.Combine(folder, "adapter_config.json")), file.Tensors.ToDictionary(t => t.Name, t => file.Tensor(t.Name)));
    }

    /// <summary>The product's LoRA with the options of a PEFT config.</summary>
    internal static IPeftAdapter Lora(JsonObject config, double dropout = 0)
    {
        var options = new Peft.Lora.LoraOptions
        {
            Rank = (int)config["r"]!,
            Alpha = (double)config["lora_alpha"]!,
            Dropout = dropout,
            Targets = config["target_modules"]!.AsArray().Select(t => (string)t!).ToList(),
            UseRslora = (bool)config["use_rslora"]!,
        };
        return PluginParts.Make<IPeftAdapter, Peft.Lora.LoraOptions>(new Peft.Lora.LoraPlugin(), "lora", options);
    }

    internal static IAlignmentMethod Sft(Methods.Sft.SftOptions? options = null) => PluginParts.Make<IAlignmentMethod, Methods.Sft.SftOptions>(new Methods.Sft.SftPlugin(), "sft", options ?? new Methods.Sft.SftOptions());

    internal static IAlignmentMethod Dpo(Methods.Dpo.DpoOptions options) => PluginParts.Make<IAlignmentMethod, Methods.Dpo.DpoOptions>(new Methods.Dpo.DpoPlugin(), "dpo", options);

    /// <summary>A method by its plugin's registration.</summary>
    internal static IAlignmentMethod Method<TPlugin, TOptions>(string name, TOptions options)
        where TPlugin : IPlugin, new()
        where TOptions : class, new() => PluginParts.Make<IAlignmentMethod, TOptions>(new TPlugin(), name, options);

    /// <summary>An adapter by its plugin's registration.</summary>
    internal static IPeftAdapter Adapter<TPlugin, TOptions>(string name, TOptions options)
        where TPlugin : IPlugin, new()
        where TOptions : class, new() => PluginParts.Make<IPeftAdapter, TOptions>(new TPlugin(), name, options);

    /// <summary>A run of the golden base model on its golden rows with a new LoRA; options of the caller.</summary>
    internal static TrainingRun SmallRun(string folder, TrainingOptions options, bool adapter = true, double dropout = 0.2)
    {
        var model = ModelFolder.Load(Path("trajectories", "base-model"), device: TestDevice.Here);
        var config = Json(Path("trajectories", "sft-lora", "adapter_init", "adapter_config.json"));
        return new TrainingRun
        {
            Model = model,
            Records = Records(Path("trajectories", "data", "prompt-completion.json")),
            Method = Sft(),
            Adapter = adapter ? Lora(config, dropout).Attach(model.Outline("base-model"), 5) : null,
            Options = options,
            Folder = folder,
        };
    }

    /// <summary>The base model and the adapter of the golden tables on a real batch, its tensors as leaves by module.</summary>
    internal static (DecoderModel Model, Dictionary<string, Delta> Deltas) RealBatch()
    {
        var model = ModelFolder.Load(Golden("trajectories", "base-model"), device: TestDevice.Here);
        var files = Adapter(Golden("losses", "real", "adapter"));
        var sites = Lora(files.Config).Load(model.Outline("base-model"), files);
        return (model, sites.ToDictionary(s => s.Module, s => s.Delta.With(role => s.Delta.Parameters[role].detach().clone().requires_grad_())));
    }

    /// <summary>The norm of all gradients of these deltas.</summary>
    internal static double GradientNorm(Dictionary<string, Delta> deltas) => Math.Sqrt(deltas.Values.SelectMany(d => d.Parameters.Values).Sum(p => Math.Pow(p.grad!.norm().item<double>(), 2)));
}

/// <summary>Each test runs in a dispose scope and has a folder of its own, removed afterwards.</summary>
public abstract class TrainingTest
{
    private DisposeScope? scope;

    protected string Folder { get; private set; } = "";

    [SetUp]
    public void Open()
    {
        scope = torch.NewDisposeScope();
        Folder = Directory.CreateTempSubdirectory("peftalign-training-").FullName;
    }

    [TearDown]
    public void Close()
    {
        scope?.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    protected static void Copy(string from, string to)
    {
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
