// What the product's documents plan and no version has yet. A call of it says so with exit code 2 (never "no such", never another
// meaning), and no help names it. Trackers by name are told where a manifest names them (Core, Language/Catalogue.fs).

namespace PeftAlign.Host.CommandLine;

internal static class PlannedParts
{
    internal const string NotBuilt = "not built yet in this version";

    /// <summary>Names that documents of the product use; a version that lacks one says so instead of guessing another.</summary>
    internal static IReadOnlyList<string> Commands { get; } =
    [
        "score", "generate", "chat", "judge", "tokenize", "quantize", "merge", "adapter", "train", "eval", "winrate",
        "run", "report", "runs", "serve", "plugins", "models", "data", "bench", "publish", "job",
    ];

    /// <summary>Tools whose configurations are not read.</summary>
    private static readonly string[] Importers = ["axolotl", "llama-factory", "llamafactory", "torchtune", "litgpt", "unsloth", "openrlhf"];

    /// <summary>Tools whose configurations need no importer, and what does instead.</summary>
    private static readonly Dictionary<string, string> ByHand = new()
    {
        ["mergekit"] = "peftalign merge reads mergekit's YAML as it is; docs/from-mergekit.md says what differs",
        ["lm-eval"] = "peftalign eval --task reads its task files as they are; docs/from-lm-eval.md has the options",
        ["lm-evaluation-harness"] = "peftalign eval --task reads its task files as they are; docs/from-lm-eval.md has the options",
    };

    /// <summary>The error for a name that is planned, or that another command does; null for others.</summary>
    /// <param name="path">The command that it stands behind; empty for the program itself.</param>
    /// <param name="name">What was asked for, a command or an option.</param>
    internal static UserError? Error(string path, string name) => path switch
    {
        "" when Commands.Contains(name) => new UserError(name, NotBuilt, "peftalign --help lists what is"),
        "import" when Importers.Contains(name) => new UserError($"import {name}", NotBuilt, "peftalign import --help lists what is; docs/manifest.md is the grammar to write one by hand"),
        "import" when ByHand.TryGetValue(name, out var page) => new UserError($"import {name}", "is no importer", page),
        "run" when name == "--slurm" => new UserError($"run {name}", NotBuilt, "leave it out: jobs run on this machine"),
        _ => null,
    };

    /// <summary>Refuses another place to run than this machine.</summary>
    /// <exception cref="UserError">It is another one.</exception>
    internal static void ThrowIfLauncher(string launcher)
    {
        if (launcher != "local") throw new UserError($"run --launcher {launcher}", NotBuilt, "leave it out: jobs run on this machine");
    }

    /// <summary>Refuses a database for a folder: a run is a folder here.</summary>
    /// <exception cref="UserError">It is a connection string.</exception>
    internal static void ThrowIfDatabase(string place, string? folder)
    {
        if (folder is not null && (folder.StartsWith("postgres://", StringComparison.Ordinal) || folder.StartsWith("postgresql://", StringComparison.Ordinal)))
            throw new UserError($"{place} {folder.Split("://")[0]}://...", $"PostgreSQL is {NotBuilt}", "name a folder: each run has an index of its own in it");
    }

    /// <summary>Refuses to be one of several processes that a launcher started for one training: each would do the whole of it.</summary>
    /// <exception cref="UserError">WORLD_SIZE is more than 1.</exception>
    internal static void ThrowIfOneOfMany()
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("WORLD_SIZE"), out var processes) && processes > 1)
            throw new UserError($"WORLD_SIZE={processes}", $"data parallel training is {NotBuilt}", "start one process without a launcher, or unset WORLD_SIZE");
    }
}
