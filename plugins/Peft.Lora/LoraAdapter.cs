// New LoRA deltas, and deltas to and from PEFT's adapter_config.json and adapter_model.safetensors.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Lora;

internal sealed class LoraAdapter(LoraOptions options) : IPeftAdapter
{
    private const string Prefix = "base_model.model.";

    private double Scale => options.Alpha / (options.UseRslora ? Math.Sqrt(options.Rank) : options.Rank);

    // PEFT's start: A uniform within 1 / sqrt(in) (kaiming with a = sqrt 5), B zero, so that training starts at the base.
    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed) => Chosen(model).Select(module =>
    {
        var bound = 1 / Math.Sqrt(module.Inputs);
        var a = new CounterStream(seed, "lora_A", module.Name).Uniform([options.Rank, module.Inputs], -bound, bound);
        return new AdapterSite(module.Name, new LowRank(a.to(module.Device), torch.zeros([module.Outputs, options.Rank], device: module.Device), Scale, options.Dropout));
    }).ToList();

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        var sites = Chosen(model).Select(module => new AdapterSite(module.Name, new LowRank(
            Taken(files, module.Name, "lora_A", [options.Rank, module.Inputs], module.Device),
            Taken(files, module.Name, "lora_B", [module.Outputs, options.Rank], module.Device), Scale, options.Dropout))).ToList();
        var known = sites.SelectMany(s => new[] { Name(s.Module, "lora_A"), Name(s.Module, "lora_B") }).ToHashSet();
        if (files.Tensors.Keys.FirstOrDefault(name => !known.Contains(name)) is { } extra)
            throw new UserErrorException($"The adapter has a tensor '{extra}' that its target_modules ({string.Join(", ", options.Targets)}) do not explain.");
        return sites;
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        var config = new JsonObject
        {
            ["peft_type"] = "LORA",
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = model.Path,
            ["inference_mode"] = true,
            ["r"] = options.Rank,
            ["lora_alpha"] = options.Alpha == Math.Truncate(options.Alpha) ? (JsonNode)(long)options.Alpha : options.Alpha,
            ["lora_dropout"] = options.Dropout,
            ["target_modules"] = new JsonArray([.. Suffixes(sites).Select(s => (JsonNode)s)]),
            ["bias"] = "none",
            ["fan_in_fan_out"] = false,
            ["init_lora_weights"] = true,
            ["use_rslora"] = options.UseRslora,
            ["modules_to_save"] = null,
        };
        return new AdapterFiles(config, sites.SelectMany(s => s.Delta.Parameters.Select(p => (Name(s.Module, p.Key), p.Value))).ToDictionary(p => p.Item1, p => p.Value));
    }

    // all-linear is written as the names that it stood for, so that the folder says what was trained.
    private IEnumerable<string> Suffixes(IReadOnlyList<AdapterSite> sites) =>
        options.Targets is ["all-linear"] ? sites.Select(s => s.Module.Split('.')[^1]).Distinct() : options.Targets;

    private List<ModuleOutline> Chosen(ModelOutline model)
    {
        if (options.Targets is ["all-linear"]) return model.Modules.Where(m => m.Kind == ModuleKind.Linear).ToList();
        var unmatched = options.Targets.Where(t => !model.Modules.Any(m => Matches(m.Name, t))).ToList();
        if (unmatched.Count > 0 || options.Targets.Count == 0)
        {
            var known = model.Modules.Where(m => m.Kind == ModuleKind.Linear).Select(m => m.Name.Split('.')[^1]).Distinct();
            throw new UserErrorException($"targets: [{string.Join(", ", unmatched)}] match no module of this {model.Architecture} model; its linear modules are {string.Join(", ", known)}, or use all-linear.");
        }
        var chosen = model.Modules.Where(m => options.Targets.Any(t => Matches(m.Name, t))).ToList();
        if (chosen.FirstOrDefault(m => m.Kind != ModuleKind.Linear) is { } other)
            throw new UserErrorException($"targets: {other.Name} is no linear layer inside a block; LoRA on embeddings and the output head is not built yet.");
        return chosen;
    }

    private static bool Matches(string module, string target) => module == target || module.EndsWith("." + target, StringComparison.Ordinal);

    private static string Name(string module, string role) => $"{Prefix}{module}.{role}.weight";

    private static Tensor Taken(AdapterFiles files, string module, string role, long[] shape, torch.Device device)
    {
        var name = Name(module, role);
        if (!files.Tensors.TryGetValue(name, out var tensor)) throw new UserErrorException($"The adapter lacks the tensor '{name}'.");
        if (!tensor.shape.SequenceEqual(shape))
            throw new UserErrorException($"The adapter's tensor '{name}' has the shape [{string.Join(", ", tensor.shape)}]; this model and rank need [{string.Join(", ", shape)}].");
        return tensor.to(torch.float32).to(device);
    }
}
