// What a judge was asked and what that took, from the judging.json of evaluations.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Reports;

/// <summary>Annotator: Who judged. Questions, Failures: Asked, and without an answer. Requests, FromCache, Retries: Of a service; null for
/// judges of our own. Seconds: Spent waiting for it. Price: In the currency of the judge's options. Transcript: Where its replies are kept;
/// empty for nowhere else than the samples.</summary>
internal sealed record JudgeBill(string Annotator, long Questions, long Failures, long? Requests, long? FromCache, long? Retries, long PromptTokens, long CompletionTokens, double Seconds, double Price, string Transcript)
{
    internal static IEnumerable<JudgeBill> Read(JobFolder folder)
    {
        var file = folder.File("judging.json");
        if (!File.Exists(file)) return [];
        try
        {
            return [.. JsonNode.Parse(File.ReadAllText(file))!.AsArray().Select(e => Of(e!))];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            return []; // what cannot be read is not in the report
        }
    }

    internal static JudgeBill Sum(IEnumerable<JudgeBill> bills)
    {
        var all = bills.ToList();
        long? Total(Func<JudgeBill, long?> of) => all.All(b => of(b) is null) ? null : all.Sum(b => of(b) ?? 0);
        return new JudgeBill(
            all[0].Annotator, all.Sum(b => b.Questions), all.Sum(b => b.Failures), Total(b => b.Requests), Total(b => b.FromCache), Total(b => b.Retries),
            all.Sum(b => b.PromptTokens), all.Sum(b => b.CompletionTokens), all.Sum(b => b.Seconds), all.Sum(b => b.Price), all.Select(b => b.Transcript).FirstOrDefault(t => t.Length > 0) ?? "");
    }

    private static JudgeBill Of(JsonNode e) => new(
        (string)e["annotator"]!, (long)e["questions"]!, (long)e["failures"]!, (long?)e["requests"], (long?)e["from_cache"], (long?)e["retries"],
        (long?)e["prompt_tokens"] ?? 0, (long?)e["completion_tokens"] ?? 0, (double)e["seconds"]!, (double?)e["price"] ?? 0, (string?)e["transcript"] ?? "");
}
