// Which modules an adapter changes, by PEFT's rules: target_modules (names and dotted suffixes, one regular expression, or
// all-linear), exclude_modules, layers_to_transform with layers_pattern; modules_to_save are never targets.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Adapters;

/// <summary>A choice of modules.</summary>
/// <param name="Targets">Names, dotted suffixes, all-linear, or a regular expression for whole names.</param>
public sealed record ModuleTargets(IReadOnlyList<string> Targets)
{
    private const string AllLinear = "all-linear";
    private static readonly char[] OfExpressions = ['*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '\\', '^', '$'];

    /// <summary>Modules that are left out; written as Targets.</summary>
    public IReadOnlyList<string> Exclude { get; init; } = [];

    /// <summary>Numbers of the blocks; empty = all.</summary>
    public IReadOnlyList<int> Layers { get; init; } = [];

    /// <summary>What stands before a block's number; empty = the first number of the name.</summary>
    public IReadOnlyList<string> LayersPattern { get; init; } = [];

    /// <summary>Modules that are trained whole.</summary>
    public IReadOnlyList<string> Saved { get; init; } = [];

    /// <summary>Where the choice was written: named in errors.</summary>
    public string Source { get; init; } = "targets";

    /// <summary>Whether they are a saved folder's, of which some may match nothing, as in PEFT; of new ones each must match.</summary>
    public bool IsRead { get; init; }

    /// <summary>Whether the targets are one regular expression.</summary>
    public bool IsExpression => Targets is [var only] && IsRegex(only);

    /// <summary>The chosen modules, in the model's order.</summary>
    /// <param name="model">The model.</param>
    /// <param name="kinds">Kinds of module that the adapter can change.</param>
    /// <exception cref="UserErrorException">A target matches nothing (the model's names are told), or a module that cannot be changed.</exception>
    public IReadOnlyList<ModuleOutline> Choose(ModelOutline model, params ReadOnlySpan<ModuleKind> kinds)
    {
        var modules = model.Modules.Where(m => m.Kind != ModuleKind.Norm).ToList();
        if (!IsRead && model.Spec is { TiedHead: true, Names.Head: var head } && Takes(head)) throw OfTiedHead(model, Source, head);
        var named = modules.Where(Named(model)).ToList();
        if (named.Count == 0) throw NothingLeft(model, "match no module");
        var inLayers = InLayers();
        var excluded = Matcher(Exclude, "exclude_modules");
        var saved = Matcher(Saved, "modules_to_save");
        var chosen = named.Where(m => !excluded(m.Name) && !saved(m.Name) && inLayers(m.Name)).ToList();
        if (chosen.Count == 0) throw NothingLeft(model, $"match {named.Count} modules, of which exclude_modules, layers_to_transform, layers_pattern and modules_to_save leave none");
        foreach (var module in chosen)
            if (Saved.FirstOrDefault(entry => WholeModules.Means(entry, module.Name)) is { } entry)
                throw new UserErrorException($"modules_to_save: {module.Name} ends like '{entry}' and is one of {Source} too; it is trained whole or changed, not both. Write more of the name that is meant, or name it in exclude_modules.");
            else if (!kinds.Contains(module.Kind)) throw new UserErrorException($"{Source}: {module.Name} is of the kind {module.Kind.ToString().ToLowerInvariant()}, which this adapter cannot change; leave it out of the targets or name it in exclude_modules.");
        return chosen;
    }

    /// <summary>Whether a head or an embedding of that name would be chosen, which all-linear leaves out; asked without a model.</summary>
    /// <param name="module">A module's name, of no block.</param>
    /// <exception cref="UserErrorException">A regular expression is none.</exception>
    public bool Takes(string module) =>
        Targets is not [AllLinear] && Matcher(Targets, Source)(module) && !Matcher(Exclude, "exclude_modules")(module) && !Matcher(Saved, "modules_to_save")(module) && (Layers.Count == 0 || Targets.Contains(module));

    /// <summary>Whether an entry is a regular expression for whole names: it has a character that no module's name has.</summary>
    /// <param name="text">An entry.</param>
    public static bool IsRegex(string text) => text.IndexOfAny(OfExpressions) >= 0;

    /// <summary>Whether a list has an expression beside other entries. PEFT reads expressions only where they stand alone: in its lists each entry is a name.</summary>
    /// <param name="entries">Entries.</param>
    public static bool IsMixed(IReadOnlyList<string> entries) => entries.Count > 1 && entries.Any(IsRegex);

    /// <summary>The choice in words that PEFT reads alike: where a list is mixed, by the names of what was chosen.</summary>
    /// <param name="chosen">Names of the chosen modules.</param>
    public ModuleTargets Written(IEnumerable<string> chosen) => IsMixed(Targets) || IsMixed(Exclude) ? ByName(chosen) : this;

    /// <summary>A choice of these modules by their whole names, which leave nothing to exclude.</summary>
    /// <param name="chosen">Names of the chosen modules.</param>
    public ModuleTargets ByName(IEnumerable<string> chosen) => this with { Targets = [.. chosen.Order(StringComparer.Ordinal)], Exclude = [], Layers = [], LayersPattern = [] };

    /// <summary>Entries as adapter_config.json has them: one expression as a text, names as a list; null for none.</summary>
    /// <param name="entries">Entries of a choice that is <see cref="Written"/>.</param>
    public static JsonNode? Node(IReadOnlyList<string> entries) => entries switch
    {
        [] => null,
        [var only] when IsRegex(only) => only,
        _ => new JsonArray([.. entries.Select(entry => (JsonNode)entry)]),
    };

    private Func<ModuleOutline, bool> Named(ModelOutline model)
    {
        if (Targets is [AllLinear]) return module => module.Kind == ModuleKind.Linear;
        if (!IsRead && Idle(model, Targets) is [var idle, ..]) throw NothingLeft(model, $"'{idle}' matches no module");
        var any = Matcher(Targets, Source);
        return module => any(module.Name);
    }

    /// <summary>The entries of target_modules that match no module of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="entries">The list.</param>
    public static IReadOnlyList<string> Idle(ModelOutline model, IReadOnlyList<string> entries) => Idle(model, entries, "target_modules");

    /// <summary>The entries of a list of modules that match no module of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="entries">The list.</param>
    /// <param name="source">Where it stands: named in errors.</param>
    public static IReadOnlyList<string> Idle(ModelOutline model, IReadOnlyList<string> entries, string source) =>
        entries is [AllLinear] ? [] : [.. entries.Where(entry => Matcher([entry], source) is var match && !model.Modules.Any(m => match(m.Name)))];

    private static Func<string, bool> Matcher(IReadOnlyList<string> entries, string source)
    {
        var parts = entries.Select(entry => IsRegex(entry) ? ModulePattern.Whole(entry, source) : module => ModulePattern.IsTarget(module, entry)).ToList();
        return module => parts.Exists(part => part(module));
    }

    // A target that is a whole name counts in every block, as in PEFT.
    private Func<string, bool> InLayers()
    {
        if (Layers.Count == 0) return _ => true;
        if (IsExpression) throw new UserErrorException($"layers_to_transform goes with a list of names; {Source} is the regular expression '{Targets[0]}'. Put the blocks' numbers into the expression.");
        var blocks = (LayersPattern.Count == 0 ? [BlockOf(null)] : LayersPattern.Select(BlockOf)).ToList();
        return module => Targets.Contains(module) || (blocks.Select(block => block(module)).FirstOrDefault(found => found.Matches).Number is { } number && Layers.Any(layer => layer == number));
    }

    private static Func<string, (bool Matches, long? Number)> BlockOf(string? pattern)
    {
        var block = ModulePattern.Block(pattern, "layers_pattern");
        return module => block(module) is var found && found is { Matches: true, Number: null } && pattern?.Contains('|', StringComparison.Ordinal) == true
            ? throw new UserErrorException($"layers_pattern '{pattern}' matches {module} without a block's number: its alternatives are the whole expression's, as in PEFT. Write ({pattern}).")
            : found;
    }

    /// <summary>The error for a change of an output head that is the embedding too, which has no module of its own here.</summary>
    /// <param name="model">The model.</param>
    /// <param name="source">Where the head was named.</param>
    /// <param name="head">Its name.</param>
    public static UserErrorException OfTiedHead(ModelOutline model, string source, string head) =>
        new($"{source}: {head} of this {model.Architecture} model shares the embedding's weight (tie_word_embeddings), and a change of the head's product alone is not computed here. Leave {head} out, by name or in exclude_modules.");

    private UserErrorException NothingLeft(ModelOutline model, string what)
    {
        var known = model.Modules.Where(m => m.Kind == ModuleKind.Linear).Select(m => m.Name.Split('.')[^1]).Distinct().ToList();
        var near = Targets.SelectMany(t => known.Where(k => Distance(t.Split('.')[^1], k) <= 2)).Distinct().ToList();
        var hint = near.Count > 0 ? $" Did you mean {string.Join(", ", near)}?" : "";
        return new UserErrorException($"{Source}: [{string.Join(", ", Targets)}] {what} of this {model.Architecture} model.{hint} Its linear modules are {string.Join(", ", known)}, or use all-linear.");
    }

    // Levenshtein.
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            (var diagonal, row[0]) = (row[0], i);
            for (var j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}
