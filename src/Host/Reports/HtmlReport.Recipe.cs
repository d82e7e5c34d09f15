// The settings, data, versions and machines behind the numbers.

namespace PeftAlign.Host.Reports;

internal sealed partial class HtmlReport
{
    private void WhatWasRun()
    {
        var recipe = model.Recipe;
        if (recipe.Parts.Count == 0) return;
        Section("What was run", "Settings of the finished jobs after all defaults, from the jobs' own files: first those that all have alike, then what differs. What is not listed is empty. job.json of each job has every one with its inputs.");
        foreach (var part in recipe.Parts)
        {
            page.Append($"<h3>{T(part.Kind)}</h3>");
            if (part.Shared.Count > 0) page.Append($"<p class=\"note\">All: {T(Settings(part.Shared))}</p>");
            var counted = part.Counted;
            var seeded = part.Rows.Any(row => row.Seeds.Count > 0);
            page.Append($"<div class=\"wide\"><table class=\"dense\"><thead><tr><th>{(part.Kind == "evaluate" ? "Benchmark" : "Policy")}</th>{(seeded ? "<th>Seeds</th>" : "")}<th>Settings</th>{string.Concat(counted.Select(name => $"<th class=\"r\">{T(name)}</th>"))}</tr></thead><tbody>");
            foreach (var row in part.Rows)
                page.Append($"<tr><td>{T(row.Name)}</td>{(seeded ? $"<td>{T(string.Join(", ", row.Seeds))}</td>" : "")}<td class=\"text\">{T(Settings(row.Settings))}</td>{string.Concat(counted.Select(name => $"<td class=\"r\">{T(row.Counts.GetValueOrDefault(name, "–"))}</td>"))}</tr>");
            page.Append("</tbody></table></div>");
        }
        Named("Read from", "SHA-256", recipe.Inputs);
        Named("Made with", "Version, or hash of the files", recipe.Versions);
        if (recipe.MadeOn.Length > 0) page.Append($"<p>{T(recipe.MadeOn)}</p>");
    }

    private void Named(string first, string second, IReadOnlyList<(string Name, string Value)> rows)
    {
        if (rows.Count == 0) return;
        page.Append($"<div class=\"wide\"><table class=\"dense\"><thead><tr><th>{T(first)}</th><th>{T(second)}</th></tr></thead><tbody>{string.Concat(rows.Select(row => $"<tr><td class=\"text\">{T(row.Name)}</td><td class=\"text\">{T(row.Value)}</td></tr>"))}</tbody></table></div>");
    }

    private static string Settings(IReadOnlyDictionary<string, string> settings) => settings.Count == 0 ? "–" : string.Join("; ", settings.Select(s => $"{s.Key} {s.Value}"));
}
