// Where a run's claims come from: a built-in set by name or a file of the manifest's folder. Their text is kept beside the plan.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Claims;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Reports;

internal static class ClaimFile
{
    /// <summary>Bootstrap draws of each claim.</summary>
    internal const int Draws = 10_000;

    /// <summary>Level of the verdicts.</summary>
    internal const double Alpha = 0.05;

    /// <summary>The text that `report: { claims: NAME }` means; faults of it are found before anything runs. A file is about this plan's policies, a
    /// built-in set also about other studies'.</summary>
    /// <param name="name">As the manifest or the command line writes it.</param>
    /// <param name="root">What a file's name is relative to.</param>
    /// <param name="policies">Axes of the plan's jobs.</param>
    /// <exception cref="UserErrorException">There is no such set or file, or it has faults.</exception>
    internal static string Read(string name, string root, IEnumerable<IReadOnlyDictionary<string, string>> policies)
    {
        var isFile = name.Contains('/') || name.EndsWith(".yaml", StringComparison.Ordinal);
        var text = isFile ? FromFile(Path.GetFullPath(name, root), name) : ClaimSets.TextOf(name)
            ?? throw new UserErrorException($"report.claims: there is no built-in set '{name}'. Known: {string.Join(", ", ClaimSets.BuiltIn)}; a file's name holds a '/' or ends in .yaml.");
        Set(isFile ? ClaimSets.Read(text, [.. policies]) : ClaimSets.Read(text), name);
        return text;
    }

    private static string FromFile(string path, string name) =>
        File.Exists(path) ? YamlFile.Read(path, "") : throw new UserErrorException(NotThere(name));

    /// <summary>What is said where the file is not there.</summary>
    internal static string NotThere(string name) => $"report.claims: the file '{name}' does not exist; correct the path, which is relative to the manifest.";

    /// <summary>The claims of a text.</summary>
    /// <exception cref="UserErrorException">All of its faults, one in each line.</exception>
    internal static ClaimSet Parse(string text, string name) => Set(ClaimSets.Read(text), name);

    private static ClaimSet Set(ClaimSetResult read, string name) => read.Set ?? throw new UserErrorException(string.Join(Environment.NewLine, read.Faults.Select(f => $"{name}:{f}")));
}

/// <summary>The claims of a run. Name: as the manifest writes it. Text: null where it names none.</summary>
internal sealed record RunClaims(string Name, string? Text)
{
    private const string Mark = "# claims: ";

    /// <summary>Those that the plan's report tests.</summary>
    /// <exception cref="UserErrorException">They cannot be read.</exception>
    internal static RunClaims Of(Core.Plan plan, string root)
    {
        return NameIn(plan) is { } name ? new RunClaims(name, ClaimFile.Read(name, root, plan.Jobs.SelectMany(job => job.Places.Append(job.Axes)))) : new RunClaims("", null);
    }

    /// <summary>What the plan's report calls them; null where it tests none.</summary>
    internal static string? NameIn(Core.Plan plan) =>
        plan.Jobs.FirstOrDefault(job => job.Kind == "report") is { } report ? (string?)JsonNode.Parse(report.Options)!["claims"] : null;

    /// <summary>Those of a run that was begun before.</summary>
    /// <exception cref="UserError">The file was damaged.</exception>
    internal static RunClaims Of(RunFolder run)
    {
        if (!File.Exists(run.Claims)) return new RunClaims("", null);
        var text = File.ReadAllText(run.Claims);
        if (!text.StartsWith(Mark, StringComparison.Ordinal)) throw new UserError(run.Claims, $"is damaged: its first line is not '{Mark}NAME'", "run the manifest again, which writes it anew, or name the claims with --claims");
        return new RunClaims(text.Split('\n')[0][Mark.Length..], text);
    }

    internal void Write(RunFolder run)
    {
        if (Text is not null) RunFolder.Write(run.Claims, $"{Mark}{Name}\n{Text}");
        else File.Delete(run.Claims);
    }
}
