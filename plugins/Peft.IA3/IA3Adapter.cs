// IA3's deltas, new (all factors one: training starts at the base) and to and from PEFT's files. A factor of outputs is stored
// (out, 1), one of inputs (1, in).

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Peft.IA3;

internal sealed class IA3Adapter(IA3Options options) : IPeftAdapter, IChecksModules
{
    private const string Prefix = "base_model.model.";

    // What PEFT takes where nothing is named; for the architectures that the engine knows.
    private static readonly Dictionary<string, (string[] Targets, string[] FeedForward)> Usual = new()
    {
        ["llama"] = (["k_proj", "v_proj", "down_proj"], ["down_proj"]),
        ["mistral"] = (["k_proj", "v_proj", "down_proj"], ["down_proj"]),
        ["gemma"] = (["q_proj", "v_proj", "down_proj"], ["down_proj"]),
        ["gemma2"] = (["q_proj", "v_proj", "down_proj"], ["down_proj"]),
        ["gemma3_text"] = (["q_proj", "v_proj", "down_proj"], ["down_proj"]),
        ["qwen2"] = (["q_proj", "v_proj", "down_proj"], ["down_proj"]),
        ["qwen3"] = (["q_proj", "v_proj", "down_proj"], ["down_proj"]),
        ["gpt2"] = (["c_attn", "mlp.c_proj"], ["mlp.c_proj"]),
        ["gpt_neo"] = (["q_proj", "v_proj", "c_proj"], ["c_proj"]),
        ["gpt_neox"] = (["query_key_value", "dense_4h_to_h"], ["dense_4h_to_h"]),
        ["opt"] = (["q_proj", "k_proj", "fc2"], ["fc2"]),
        ["phi"] = (["q_proj", "v_proj", "fc2"], ["fc2"]),
        ["falcon"] = (["query_key_value", "dense_4h_to_h"], ["dense_4h_to_h"]),
        ["gptj"] = (["q_proj", "v_proj", "fc_out"], ["fc_out"]),
        ["roberta"] = (["key", "value", "output.dense"], ["output.dense"]),
        ["deberta-v2"] = (["key_proj", "value_proj", "output.dense"], ["output.dense"]),
    };

    private Choice? choice;

    public string PeftType => "IA3";

    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed)
    {
        choice = Asked(model);
        return choice.Sites(model, (module, width, _) => torch.ones([width], device: module.Device), (module, part) => module.Tensor(part)?.detach().to(torch.float32).clone());
    }

    public void Check(ModelOutline model) => _ = Asked(model).Modules(model);

    private Choice Asked(ModelOutline model)
    {
        var targets = new ModuleTargets(options.Targets.Count == 0 ? UsualOf(model).Targets : options.Targets) { Exclude = options.ExcludeModules, Saved = options.ModulesToSave };
        return new Choice(targets, options.FeedforwardModules ?? UsualOf(model, targets));
    }

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        var named = files.Config.Texts("target_modules");
        var targets = new ModuleTargets(named.Count == 0 ? UsualOf(model).Targets : named) { Exclude = files.Config.Texts("exclude_modules"), Saved = WholeModules.Saved(files.Config, model), IsRead = true, Source = "adapter_config.json, target_modules" };
        choice = new Choice(targets, files.Config["feedforward_modules"] is null ? UsualOf(model, targets) : files.Config.Texts("feedforward_modules"));
        SavedBase.ThrowIfResized(model, files.Tensors);
        var tensors = new AdapterTensors(files.Tensors);
        var sites = choice.Sites(model,
            (module, width, ofInputs) => tensors.Take(Factor(module.Name), ofInputs ? [1, width] : [width, 1], module.Device).view(width),
            (module, part) => module.Tensor(part) is { } own ? tensors.Take($"{Prefix}{module.Name}.{part}", own.shape, module.Device) : null);
        sites = SavedBase.Under(model, sites, tensors);
        tensors.RefuseRest("target_modules and modules_to_save");
        return sites;
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        var written = choice ?? throw new InvalidOperationException("Save follows Attach or Load");
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (module, delta) in sites)
        {
            if (delta is Scale scale) tensors[Factor(module)] = scale.OfInputs ? scale.Values.view(1, -1) : scale.Values.view(-1, 1);
            else if (delta is Whole { IsFrozen: true } own)
            {
                if (own.Weight is { } table) tensors[$"{Prefix}{module}.weight"] = table;
                if (own.Bias is { } bias) tensors[$"{Prefix}{module}.bias"] = bias;
            }
            else foreach (var (part, tensor) in delta.Parameters) tensors[$"{Prefix}{module}.{part}"] = tensor;
        }
        var scaled = sites.Where(s => s.Delta is Scale).Select(s => s.Module).ToHashSet();
        return new AdapterFiles(written.InPeftsWords(sites).ToConfig(model, PeftType, model.Modules.Any(m => m.Transposed && scaled.Contains(m.Name))), tensors);
    }

    private static string Factor(string module) => $"{Prefix}{module}.ia3_l";

    private static (IReadOnlyList<string> Targets, IReadOnlyList<string> FeedForward) UsualOf(ModelOutline model) =>
        Usual.TryGetValue(model.Architecture, out var usual) ? usual : throw new UserErrorException($"There are no usual targets of ia3 for the architecture {model.Architecture}; name modules in targets and feedforward_modules.");

    // Of PEFT's usual ones those that are among the targets: the others change nothing, and PEFT reads no folder that names them. Where it knows none it
    // asks for them; here there are none.
    private static IReadOnlyList<string> UsualOf(ModelOutline model, ModuleTargets targets)
    {
        if (!Usual.TryGetValue(model.Architecture, out var usual)) return [];
        var chosen = targets.Choose(model, ModuleKind.Linear);
        return [.. usual.FeedForward.Where(name => chosen.Any(m => Choice.Matches(name, m.Name)))];
    }

    private sealed record Choice(ModuleTargets Targets, IReadOnlyList<string> FeedForward)
    {
        internal IReadOnlyList<AdapterSite> Sites(ModelOutline model, Func<ModuleOutline, long, bool, Tensor> factor, Func<ModuleOutline, string, Tensor?> whole)
        {
            var (chosen, saved) = Modules(model);
            var ofInputs = chosen.Where(IsFeedForward).ToHashSet();
            var sites = chosen.Select(m => new AdapterSite(m.Name, new Scale(factor(m, ofInputs.Contains(m) ? m.Inputs : m.Outputs, ofInputs.Contains(m)), ofInputs.Contains(m))));
            return [.. sites, .. saved.Select(m => new AdapterSite(m.Name, new Whole(whole(m, "weight"), whole(m, "bias"))))];
        }

        internal (IReadOnlyList<ModuleOutline> Scaled, IReadOnlyList<ModuleOutline> Saved) Modules(ModelOutline model)
        {
            var chosen = Targets.Choose(model, ModuleKind.Linear);
            foreach (var name in FeedForward)
                if (!Targets.IsRead && !chosen.Any(m => Matches(name, m.Name))) throw new UserErrorException($"feedforward_modules: '{name}' is none of the targets ({string.Join(", ", Targets.Targets)}); name it there too, or leave it out.");
            return (chosen, WholeModules.Choose(model, Targets.Saved));
        }

        // PEFT takes two lists only where feedforward_modules are entries of target_modules.
        internal Choice InPeftsWords(IReadOnlyList<AdapterSite> sites)
        {
            var isExpression = FeedForward is [var only] && ModuleTargets.IsRegex(only);
            var apart = !Targets.IsExpression && !isExpression && FeedForward.Except(Targets.Targets).Any();
            if (!apart && Targets.Targets is not ["all-linear"] && !new[] { Targets.Targets, Targets.Exclude, FeedForward }.Any(ModuleTargets.IsMixed)) return this;
            var scales = sites.Where(s => s.Delta is Scale).ToList();
            return new Choice(Targets.ByName(scales.Select(s => s.Module)), [.. scales.Where(s => s.Delta is Scale { OfInputs: true }).Select(s => s.Module)]);
        }

        internal JsonObject ToConfig(ModelOutline model, string type, bool transposed) => new()
        {
            ["peft_type"] = type,
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = model.Path,
            ["inference_mode"] = true,
            ["target_modules"] = ModuleTargets.Node(Targets.Targets),
            ["feedforward_modules"] = ModuleTargets.Node(FeedForward) ?? new JsonArray(), // null means the architecture's usual ones
            ["exclude_modules"] = ModuleTargets.Node(Targets.Exclude),
            ["fan_in_fan_out"] = transposed,
            ["init_ia3_weights"] = true,
            ["modules_to_save"] = Targets.Saved is [] ? null : Texts(Targets.Saved),
        };

        private bool IsFeedForward(ModuleOutline module) => FeedForward.Any(name => Matches(name, module.Name));

        internal static bool Matches(string name, string module) => ModuleTargets.IsRegex(name) ? ModulePattern.Whole(name, "feedforward_modules")(module) : ModulePattern.IsTarget(module, name);

        private static JsonArray Texts(IEnumerable<string> texts) => [.. texts.Select(t => (JsonNode)t)];
    }
}
