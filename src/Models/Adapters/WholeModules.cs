// Modules that are trained whole beside an adapter's own changes: PEFT's modules_to_save. PEFT takes every module whose name ends like an
// entry, whether a dot stands before the entry or not: norm means input_layernorm too.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Adapters;

/// <summary>PEFT's modules_to_save.</summary>
public static class WholeModules
{
    // PEFT names both heads of classifiers, whichever the model has.
    private static readonly string[] Heads = ["classifier", "score"];

    /// <summary>modules_to_save of a folder: of classifiers without the heads that the model does not have.</summary>
    /// <param name="config">adapter_config.json.</param>
    /// <param name="model">The model; null = the names as they stand.</param>
    public static IReadOnlyList<string> Saved(JsonObject config, ModelOutline? model)
    {
        var names = config.Texts("modules_to_save");
        if (model is null || config.Text("task_type") is not ("SEQ_CLS" or "TOKEN_CLS")) return names;
        return [.. names.Where(name => !Heads.Contains(name) || model.Modules.Any(m => Means(name, m.Name)))];
    }

    /// <summary>The modules that the names mean, in the model's order.</summary>
    /// <param name="model">The model.</param>
    /// <param name="names">Names, or what they end with.</param>
    /// <exception cref="UserErrorException">A name matches nothing.</exception>
    public static IReadOnlyList<ModuleOutline> Choose(ModelOutline model, IReadOnlyList<string> names)
    {
        foreach (var name in names)
            if (!model.Modules.Any(m => Means(name, m.Name)))
                throw new UserErrorException($"modules_to_save: '{name}' matches no module with weights of its own; this {model.Architecture} model has {string.Join(", ", model.Modules.Select(m => m.Name.Split('.')[^1]).Distinct())}.");
        return model.Modules.Where(m => names.Any(name => Means(name, m.Name))).ToList();
    }

    /// <summary>Whether an entry of modules_to_save means a module.</summary>
    /// <param name="entry">The entry.</param>
    /// <param name="module">The module's full name.</param>
    public static bool Means(string entry, string module) => module.EndsWith(entry, StringComparison.Ordinal);
}
