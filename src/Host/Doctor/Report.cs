// What doctor found: facts in sections, then problems (exit code 1, or 2 where all are the user's mistakes) and advice, each with its remedy.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Doctor;

/// <summary>Something to mend: what was seen, and what to do about it.</summary>
/// <param name="What">What was seen.</param>
/// <param name="Remedy">What mends it.</param>
/// <param name="IsMistake">True where the user set it so.</param>
internal sealed record Finding(string What, string Remedy, bool IsMistake = false);

internal sealed class Report
{
    private readonly List<(string Section, string Key, JsonNode? Value, string Shown)> facts = [];
    private readonly List<Finding> problems = [];
    private readonly List<Finding> advice = [];

    /// <summary>True where nothing is wrong; advice does not count.</summary>
    public bool Sound => problems.Count == 0;

    /// <summary>How doctor ends.</summary>
    public int Code => Sound ? ExitCode.Done : problems.All(problem => problem.IsMistake) ? ExitCode.UserError : ExitCode.Failed;

    /// <summary>Adds a fact; <paramref name="shown"/> is its text with units, by default the value's own.</summary>
    public void Fact(string section, string key, JsonNode? value, string? shown = null) => facts.Add((section, key, value, shown ?? value?.ToString() ?? "none"));

    /// <summary>Something is wrong: commands fail, or run far slower than this machine can.</summary>
    public void Problem(string what, string remedy) => problems.Add(new Finding(what, remedy));

    /// <summary>What the user set is wrong: commands end with exit code 2.</summary>
    public void Mistake(string what, string remedy) => problems.Add(new Finding(what, remedy, IsMistake: true));

    /// <summary>Nothing is wrong, but something could be better.</summary>
    public void Advice(string what, string remedy) => advice.Add(new Finding(what, remedy));

    public JsonNode Document()
    {
        var document = new JsonObject { ["ok"] = Sound };
        foreach (var section in facts.GroupBy(fact => fact.Section))
            document[section.Key] = new JsonObject(section.Select(fact => KeyValuePair.Create(fact.Key, fact.Value?.DeepClone())));
        document["problems"] = List(problems);
        document["advice"] = List(advice);
        return document;
    }

    /// <summary>The report for a reader; problems stand out in red and advice in yellow where <paramref name="paint"/> allows it.</summary>
    public IEnumerable<string> Lines(Func<string, Colour, string> paint)
    {
        var width = facts.Max(fact => fact.Key.Length);
        foreach (var section in facts.GroupBy(fact => fact.Section))
        {
            yield return section.Key;
            foreach (var (_, key, _, shown) in section) yield return $"  {key.Replace('_', ' ').PadRight(width)}  {shown}";
        }
        yield return "";
        foreach (var (what, remedy, _) in problems) yield return paint($"problem: {what}; {remedy}", Colour.Red);
        foreach (var (what, remedy, _) in advice) yield return paint($"advice: {what}; {remedy}", Colour.Yellow);
        if (Sound) yield return paint("everything works", Colour.Green);
    }

    private static JsonArray List(IEnumerable<Finding> findings) =>
        [.. findings.Select(finding => (JsonNode)new JsonObject { ["what"] = finding.What, ["remedy"] = finding.Remedy })];
}
