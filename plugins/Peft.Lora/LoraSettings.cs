// What LoRA does to each module, from options or from an adapter_config.json, and back into one.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Peft.Lora;

internal sealed record LoraSettings
{
    internal required int Rank { get; init; }
    internal required double Alpha { get; init; }
    internal double Dropout { get; init; }
    internal required ModuleTargets Targets { get; init; }
    internal IReadOnlyList<KeyValuePair<string, double>> Ranks { get; init; } = [];
    internal IReadOnlyList<KeyValuePair<string, double>> Alphas { get; init; } = [];

    // A manifest's plan sorts the keys of mappings; a configuration's order is PEFT's.
    private bool IsOrdered { get; init; } = true;

    internal string Bias { get; init; } = "none";
    internal bool UseRslora { get; init; }
    internal bool UseDora { get; init; }
    internal string Init { get; init; } = LoraStart.Default;

    /// <summary>Trained tokens by the embedding's name; an empty name stands for the token embedding.</summary>
    internal IReadOnlyList<KeyValuePair<string, long[]>> Tokens { get; init; } = [];

    internal IReadOnlyList<string> Saved => Targets.Saved;

    internal static LoraSettings Of(LoraOptions options, ModelOutline model)
    {
        LoraStart.Check(options.Init);
        LoraStart.CheckIterations(options.LoftqIter);
        if (options.UseDora && (LoraStart.MovesTheBase(options.Init) || options.Init == LoraStart.Loftq))
            throw new UserErrorException($"init {options.Init} and use_dora do not go together: both say where the weights' rows begin. Leave one out.");
        if (options.LayersPattern.Count > 0 && options.LayersToTransform.Count == 0)
            throw new UserErrorException($"layers_pattern [{string.Join(", ", options.LayersPattern)}] says where a block's number stands, and layers_to_transform names no block; give the numbers, or leave layers_pattern out.");
        return new LoraSettings
        {
            Rank = options.Rank,
            Alpha = options.Alpha,
            Dropout = options.Dropout,
            Targets = new ModuleTargets(options.Targets.Count > 0 ? options.Targets : LoraDefaults.Targets(model.Architecture))
            {
                Exclude = options.ExcludeModules,
                Layers = options.LayersToTransform,
                LayersPattern = options.LayersPattern,
                Saved = options.ModulesToSave,
            },
            Ranks = [.. options.RankPattern.Select(p => KeyValuePair.Create(p.Key, (double)p.Value))],
            Alphas = [.. options.AlphaPattern],
            IsOrdered = false,
            Bias = options.Bias,
            UseRslora = options.UseRslora,
            UseDora = options.UseDora,
            Init = options.Init,
            Tokens = options.TrainableTokens.Count > 0 ? [KeyValuePair.Create("", options.TrainableTokens.Distinct().ToArray())] : [],
        };
    }

    /// <param name="config">adapter_config.json.</param>
    /// <param name="model">Whose usual targets count where the configuration names none; null where no module is to be chosen.</param>
    internal static LoraSettings Of(JsonObject config, ModelOutline? model)
    {
        foreach (var key in AdapterFolder.UnreadLoraKeys)
            if (config[key] is { } value and not JsonArray { Count: 0 } && !JsonNode.DeepEquals(value, JsonValue.Create(false))) throw AdapterConfig.Wrong(key, value, "absent or null: this part of PEFT's LoRA is not computed here");
        var targets = config.Texts("target_modules");
        return new LoraSettings
        {
            Rank = config.Size("r", 8),
            Alpha = config.Number("lora_alpha", 8),
            Dropout = config.Number("lora_dropout", 0),
            Targets = new ModuleTargets(targets.Count > 0 || model is null ? targets : LoraDefaults.Targets(model.Architecture))
            {
                Exclude = config.Texts("exclude_modules"),
                Layers = [.. config.LongWholes("layers_to_transform").Select(layer => (int)Math.Clamp(layer, int.MinValue, int.MaxValue))], // no model has a block of these
                LayersPattern = PatternOf(config),
                Saved = WholeModules.Saved(config, model),
                IsRead = true,
                Source = "adapter_config.json, target_modules",
            },
            Ranks = config.Numbers("rank_pattern"),
            Alphas = config.Numbers("alpha_pattern"),
            Bias = config.Text("bias") is { } bias ? bias is "none" or "all" or "lora_only" ? bias : throw AdapterConfig.Wrong("bias", config["bias"], "none, all or lora_only") : "none",
            UseRslora = config.Flag("use_rslora"),
            UseDora = config.Flag("use_dora"),
            Init = LoraStart.OfConfig(config),
            Tokens = TokensOf(config),
        };
    }

    internal int RankOf(string module) => (int)(Match(Ranks, module, "rank_pattern") ?? Rank);

    internal int LargestRank => (int)Ranks.Select(r => r.Value).Append(Rank).Max();

    internal double ScaleOf(string module)
    {
        var alpha = Match(Alphas, module, "alpha_pattern") ?? Alpha;
        return UseRslora ? alpha / Math.Sqrt(RankOf(module)) : alpha / RankOf(module);
    }

    /// <summary>Twice the rank at the same scales: a change with its start beside it.</summary>
    internal LoraSettings Doubled()
    {
        var factor = UseRslora ? Math.Sqrt(2) : 2;
        return this with
        {
            Rank = 2 * Rank,
            Alpha = factor * Alpha,
            Ranks = [.. Ranks.Select(p => KeyValuePair.Create(p.Key, 2 * p.Value))],
            Alphas = [.. Alphas.Select(p => KeyValuePair.Create(p.Key, factor * p.Value))],
            Init = LoraStart.Default,
        };
    }

    /// <param name="model">Names the base.</param>
    /// <param name="transposed">Whether weights are stored (inputs, outputs).</param>
    internal JsonObject ToConfig(ModelOutline model, bool transposed) => new()
    {
        ["peft_type"] = LoraAdapter.Type,
        ["task_type"] = "CAUSAL_LM",
        ["base_model_name_or_path"] = model.Path,
        ["inference_mode"] = true,
        ["r"] = Rank,
        ["lora_alpha"] = Plain(Alpha),
        ["lora_dropout"] = Dropout,
        ["target_modules"] = ModuleTargets.Node(Targets.Targets),
        ["exclude_modules"] = ModuleTargets.Node(Targets.Exclude),
        ["layers_to_transform"] = Targets.Layers is [] ? null : new JsonArray([.. Targets.Layers.Select(l => (JsonNode)l)]),
        ["layers_pattern"] = Targets.LayersPattern is [] ? null : Texts(Targets.LayersPattern),
        ["rank_pattern"] = new JsonObject(Ranks.Select(p => KeyValuePair.Create(p.Key, (JsonNode?)(long)p.Value))),
        ["alpha_pattern"] = new JsonObject(Alphas.Select(p => KeyValuePair.Create(p.Key, (JsonNode?)Plain(p.Value)))),
        ["bias"] = Bias,
        ["fan_in_fan_out"] = transposed,
        ["init_lora_weights"] = Init is LoraStart.Default or LoraStart.Loftq ? true : Init, // what LoftQ makes are plain pairs
        ["use_rslora"] = UseRslora,
        ["use_dora"] = UseDora,
        ["modules_to_save"] = Saved is [] ? null : Texts(Saved),
        ["trainable_token_indices"] = Tokens switch
        {
            [] => null,
            [{ Key: "" } one] => Ids(one.Value),
            _ => new JsonObject(Tokens.Select(t => KeyValuePair.Create(t.Key, (JsonNode?)Ids(t.Value)))),
        },
    };

    internal static JsonArray Texts(IEnumerable<string> texts) => [.. texts.Select(t => (JsonNode)t)];

    private static JsonArray Ids(long[] ids) => [.. ids.Select(id => (JsonNode)id)];

    private static JsonNode Plain(double number) => number == Math.Truncate(number) ? (long)number : number;

    // The first entry that matches counts, as in PEFT; where there is no first one, those that match must agree.
    private double? Match(IReadOnlyList<KeyValuePair<string, double>> patterns, string module, string source)
    {
        var found = patterns.Where(p => ModulePattern.Key(p.Key, source)(module));
        if (IsOrdered) return found.Select(p => (double?)p.Value).FirstOrDefault();
        var all = found.DistinctBy(p => p.Value).ToList();
        return all.Count < 2 ? all.Select(p => (double?)p.Value).FirstOrDefault()
            : throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"{source}: '{all[0].Key}' ({all[0].Value}) and '{all[1].Key}' ({all[1].Value}) both mean {module}, and no order says which counts. Write expressions of which one matches."));
    }

    // What PEFT makes of each: an empty text is no pattern, one beside an expression is refused. Without numbers of blocks it says
    // nothing (AdapterFolder warns): PEFT refuses such folders, but former versions wrote them.
    private static IReadOnlyList<string> PatternOf(JsonObject config)
    {
        const string key = "layers_pattern";
        if (config.Texts(key) is not { Count: > 0 } pattern || (pattern is [""] && config[key] is not JsonArray)) return [];
        if (config.LongWholes("layers_to_transform").Count == 0) return [];
        if (config["target_modules"] is JsonValue) throw AdapterConfig.Wrong(key, config[key], "absent or null, since target_modules is one regular expression; PEFT refuses this folder too");
        return pattern;
    }

    private static IReadOnlyList<KeyValuePair<string, long[]>> TokensOf(JsonObject config) => config["trainable_token_indices"] switch
    {
        null => [],
        JsonObject map => [.. map.Select(e => KeyValuePair.Create(e.Key, map.LongWholes(e.Key).ToArray()))],
        _ => [KeyValuePair.Create("", config.LongWholes("trainable_token_indices").ToArray())],
    };
}
