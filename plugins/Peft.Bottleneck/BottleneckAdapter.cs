// Bottleneck adapters, new and to and from folders laid out as PEFT's, with adapter_down and adapter_up beside each module's name. PEFT
// itself has no such adapter; the keys of the configuration are LLM-Adapters' (Hu et al. 2023).

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Bottleneck;

internal sealed class BottleneckAdapter(BottleneckOptions options) : IPeftAdapter, IChecksModules
{
    private const string Prefix = "base_model.model.";
    private const double Deviation = 0.01;

    private static readonly Dictionary<string, Activation> Activations = new()
    {
        ["gelu"] = Activation.Gelu,
        ["gelu_tanh"] = Activation.GeluTanh,
        ["relu"] = Activation.Relu,
        ["silu"] = Activation.Silu,
        ["swish"] = Activation.Silu,
    };

    private Choice? choice;

    public string PeftType => "BOTTLENECK";

    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed)
    {
        choice = Asked(model);
        Tensor Part(ModuleOutline module, string role, long[] shape)
        {
            if (role.EndsWith(".bias", StringComparison.Ordinal) || (role == "up.weight" && options.Init == "zero")) return torch.zeros(shape, device: module.Device);
            return Cut(seed, role, module.Name, shape).to(module.Device);
        }
        return choice.Sites(model, Part, (module, part) => module.Tensor(part)?.detach().to(torch.float32).clone());
    }

    public void Check(ModelOutline model) => _ = Asked(model).Modules(model);

    private Choice Asked(ModelOutline model)
    {
        if (options.Targets is not [] && options.Placement != new BottleneckOptions().Placement)
            throw new UserErrorException($"placement {options.Placement} says where the networks are, and so do the targets [{string.Join(", ", options.Targets)}], which stand in its place; leave one of them out.");
        IReadOnlyList<string> saved = [.. options.ModulesToSave, .. options.TrainNorms ? NormsOf(model) : []];
        return new Choice(new ModuleTargets(options.Targets is [] ? Placed(model) : options.Targets) { Exclude = options.ExcludeModules, Saved = saved }, options.BottleneckSize, options.NonLinearity);
    }

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        var config = files.Config;
        if (config.Texts("target_modules") is []) throw AdapterConfig.Wrong("target_modules", config["target_modules"], "the modules whose outputs are changed");
        choice = new Choice(
            new ModuleTargets(config.Texts("target_modules")) { Exclude = config.Texts("exclude_modules"), Saved = config.Texts("modules_to_save"), IsRead = true, Source = "adapter_config.json, target_modules" },
            config.Size("bottleneck_size", 64), config.Text("non_linearity") ?? "gelu");
        var tensors = new AdapterTensors(files.Tensors);
        var sites = choice.Sites(model,
            (module, role, shape) => tensors.Take(NameOf(module.Name, role), shape, module.Device),
            (module, part) => module.Tensor(part) is { } own ? tensors.Take($"{Prefix}{module.Name}.{part}", own.shape, module.Device) : null);
        tensors.RefuseRest("target_modules and modules_to_save");
        return sites;
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        var written = choice ?? throw new InvalidOperationException("Save follows Attach or Load");
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (module, delta) in sites)
            foreach (var (role, tensor) in delta.Parameters) tensors[delta is Wrap ? NameOf(module, role) : $"{Prefix}{module}.{role}"] = tensor;
        var wrapped = sites.Where(s => s.Delta is Wrap).Select(s => s.Module);
        var targets = written.Targets.Targets is ["all-linear"] ? written.Targets.ByName(wrapped) : written.Targets.Written(wrapped);
        return new AdapterFiles((written with { Targets = targets }).ToConfig(model, PeftType), tensors);
    }

    private static string NameOf(string module, string role) => $"{Prefix}{module}.adapter_{role}";

    private IReadOnlyList<string> Placed(ModelOutline model)
    {
        var block = model.Spec?.Block ?? throw new UserErrorException($"{model.Path} ({model.Architecture}) is no decoder; name the modules in targets.");
        return options.Placement == "houlsby" ? [block.AttentionOutput.Name, block.FeedForwardOutput.Name] : [block.FeedForwardOutput.Name];
    }

    private static IEnumerable<string> NormsOf(ModelOutline model) => model.Modules.Where(m => m.Kind == ModuleKind.Norm).Select(m => m.Name);

    // Normal, drawn again where it is beyond two deviations.
    private static Tensor Cut(ulong seed, string role, string module, long[] shape)
    {
        using var scope = torch.NewDisposeScope();
        var values = new CounterStream(seed, role, module).Normal(shape);
        for (var again = 1; values.abs().max().item<float>() > 2; again++)
            values = torch.where(values.abs().gt(2), new CounterStream(seed, role, module, again).Normal(shape), values);
        return (values * Deviation).MoveToOuterDisposeScope();
    }

    private sealed record Choice(ModuleTargets Targets, int Size, string NonLinearity)
    {
        internal IReadOnlyList<AdapterSite> Sites(ModelOutline model, Func<ModuleOutline, string, long[], Tensor> part, Func<ModuleOutline, string, Tensor?> whole)
        {
            if (!Activations.TryGetValue(NonLinearity, out var activation)) throw AdapterConfig.Wrong("non_linearity", NonLinearity, $"one of {string.Join(", ", Activations.Keys)}");
            var (chosen, saved) = Modules(model);
            var wraps = chosen.Select(m => new AdapterSite(m.Name, new Wrap(
                part(m, "down.weight", [Size, m.Outputs]), part(m, "down.bias", [Size]), part(m, "up.weight", [m.Outputs, Size]), part(m, "up.bias", [m.Outputs]), activation)));
            return [.. wraps, .. saved.Select(m => new AdapterSite(m.Name, new Whole(whole(m, "weight"), whole(m, "bias"))))];
        }

        internal (IReadOnlyList<ModuleOutline> Wrapped, IReadOnlyList<ModuleOutline> Saved) Modules(ModelOutline model) =>
            (Targets.Choose(model, ModuleKind.Linear), WholeModules.Choose(model, Targets.Saved));

        internal JsonObject ToConfig(ModelOutline model, string type) => new()
        {
            ["peft_type"] = type,
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = model.Path,
            ["inference_mode"] = true,
            ["bottleneck_size"] = Size,
            ["non_linearity"] = NonLinearity,
            ["target_modules"] = ModuleTargets.Node(Targets.Targets),
            ["exclude_modules"] = ModuleTargets.Node(Targets.Exclude),
            ["modules_to_save"] = Targets.Saved is [] ? null : Texts(Targets.Saved),
        };

        private static JsonArray Texts(IEnumerable<string> texts) => [.. texts.Select(t => (JsonNode)t)];
    }
}
