// What stands between a prompt and its answers: the kinds p, n, pn and np with their markers, or templates of the user's own,
// "a good conversation is {pos}" or "a not so good summary is {neg}, a better one is {pos}".

using PeftAlign.Abstractions;

namespace PeftAlign.Methods.Coh;

/// <param name="Parts">Of each answer in order, the text before it and whether it is the good one.</param>
internal sealed record CohTemplate(IReadOnlyList<(string Text, bool Good)> Parts)
{
    private const string Good = "{pos}", Bad = "{neg}";

    /// <exception cref="UserErrorException">A template names no answer, one twice, or says something behind the last one.</exception>
    internal static IReadOnlyList<CohTemplate> All(CohOptions options) => options.Templates.Count > 0
        ? [.. options.Templates.Select(Of)]
        : [.. options.RowKinds.Select(kind => new CohTemplate([.. kind.Select(letter => ($"\n{(letter == 'p' ? options.GoodMarker : options.BadMarker)} ", letter == 'p'))]))];

    /// <summary>The texts behind a prompt that ask for a good and for a bad answer, from the first template that begins with one.</summary>
    internal static IReadOnlyDictionary<string, TextControl> Controls(CohOptions options)
    {
        // Rows of ids were marked by ids, which no text gives back.
        if (options.GoodMarkerIds.Count > 0) return new Dictionary<string, TextControl>();
        return All(options).Select(template => template.Parts[0]).GroupBy(first => first.Good)
            .ToDictionary(first => first.Key ? "good" : "bad", first => new TextControl("", first.First().Text.TrimEnd(' ')));
    }

    private static CohTemplate Of(string template)
    {
        var (parts, from) = (new List<(string, bool)>(), 0);
        while (Next(template, from) is var (at, good))
        {
            parts.Add(((from == 0 ? "\n" : "") + template[from..at], good));
            from = at + Good.Length;
        }
        if (parts.Count == 0 || parts.DistinctBy(p => p.Item2).Count() < parts.Count)
            throw new UserErrorException($"coh: the template '{template}' must hold {Good}, {Bad} or both, each once.");
        if (template[from..].Trim().Length > 0) throw new UserErrorException($"coh: the template '{template}' goes on behind its last answer, where nothing is trained; leave '{template[from..].Trim()}' out.");
        return new CohTemplate(parts);
    }

    private static (int At, bool Good)? Next(string template, int from)
    {
        var (good, bad) = (template.IndexOf(Good, from, StringComparison.Ordinal), template.IndexOf(Bad, from, StringComparison.Ordinal));
        return good < 0 && bad < 0 ? null : bad < 0 || (good >= 0 && good < bad) ? (good, true) : (bad, false);
    }
}
