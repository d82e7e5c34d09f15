// What stands between a prompt and its answers: the kinds p, n, pn and np with their markers, or templates of the user's own,
// "a good conversation is {pos}" or "a not so good summary is {neg}, a better one is {pos}"; and ranking questions of the published
// code's first release, "of {pos} and {neg}, which one is better? The answer is {1st}", of which the verdict alone is trained.

using PeftAlign.Abstractions;

namespace PeftAlign.Methods.Coh;

/// <param name="Before">The text before it, never trained.</param>
/// <param name="Field">The row's field that it says, chosen or rejected; null: it says the verdict.</param>
/// <param name="Verdict">What a ranking question is answered with.</param>
/// <param name="Trained">Whether the model learns to say it; a ranking question's two answers it only reads.</param>
internal sealed record CohPart(string Before, string? Field, string Verdict, bool Trained);

/// <param name="Parts">What is said behind the prompt, in order.</param>
internal sealed record CohTemplate(IReadOnlyList<CohPart> Parts)
{
    private const string Chosen = "chosen", Rejected = "rejected";

    private static readonly CohPart[] Holes =
    [
        new("{pos}", Chosen, "", true), new("{neg}", Rejected, "", true),
        new("{1st}", null, "the first one.", true), new("{2nd}", null, "the second one.", true),
    ];

    /// <exception cref="UserErrorException">A template names no answer, one twice, or says something behind the last one.</exception>
    internal static IReadOnlyList<CohTemplate> All(CohOptions options) => options.Templates.Count > 0
        ? [.. options.Templates.Select(Of)]
        : [.. options.RowKinds.Select(kind => new CohTemplate([.. kind.Select(letter => letter == 'p' ? new CohPart($"\n{options.GoodMarker} ", Chosen, "", true) : new CohPart($"\n{options.BadMarker} ", Rejected, "", true))]))];

    /// <summary>The texts behind a prompt that ask for a good and for a bad answer, from the first template that begins with one.</summary>
    internal static IReadOnlyDictionary<string, TextControl> Controls(CohOptions options)
    {
        // Rows of ids are marked by ids, which cannot be turned back into text.
        if (options.GoodMarkerIds.Count > 0) return new Dictionary<string, TextControl>();
        return All(options).Select(template => template.Parts[0]).Where(first => first.Trained).GroupBy(first => first.Field)
            .ToDictionary(first => first.Key == Chosen ? "good" : "bad", first => new TextControl("", first.First().Before.TrimEnd(' ')));
    }

    private static CohTemplate Of(string template)
    {
        var (parts, from) = (new List<CohPart>(), 0);
        while (Next(template, from) is { } hole)
        {
            var at = template.IndexOf(hole.Before, from, StringComparison.Ordinal);
            parts.Add(hole with { Before = (from == 0 ? "\n" : "") + template[from..at] });
            from = at + hole.Before.Length;
        }
        if (parts.Count == 0 || parts.DistinctBy(p => (p.Field, p.Verdict)).Count() < parts.Count)
            throw new UserErrorException($"coh: the template '{template}' must hold {{pos}}, {{neg}} or both, each once.");
        if (template[from..].Trim().Length > 0) throw new UserErrorException($"coh: the template '{template}' goes on behind its last answer, where nothing is trained; leave '{template[from..].Trim()}' out.");
        if (parts.All(p => p.Field is not null)) return new CohTemplate(parts);
        if (parts.Count != 3 || parts[^1].Field is not null)
            throw new UserErrorException($"coh: the template '{template}' asks which answer is meant: a ranking question holds {{pos}} and {{neg}} and ends with one of {{1st}} and {{2nd}}.");
        return new CohTemplate([parts[0] with { Trained = false }, parts[1] with { Trained = false }, parts[2]]);
    }

    private static CohPart? Next(string template, int from) => Holes
        .Select(hole => (hole, At: template.IndexOf(hole.Before, from, StringComparison.Ordinal)))
        .Where(found => found.At >= 0).OrderBy(found => found.At).Select(found => found.hole).FirstOrDefault();
}
