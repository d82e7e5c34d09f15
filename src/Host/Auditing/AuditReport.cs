// An audit's result, as JSON and as lines.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Core.Statistics;

namespace PeftAlign.Host.Auditing;

internal sealed class AuditReport(AuditRequest request, DataAudit audit)
{
    private static readonly JsonSerializerOptions Format = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private Finding[] Findings => [audit.Duplicates, audit.Contradictions, audit.BothWays, audit.Shifts];

    internal JsonObject Document()
    {
        var json = new JsonObject
        {
            ["file"] = request.File,
            ["model"] = request.Model,
            ["max_length"] = request.MaxLength,
            ["rows"] = audit.Rows,
            ["shapes"] = new JsonObject(audit.Shapes.Select(s => KeyValuePair.Create(s.Key, (JsonNode?)s.Value))),
            ["prompts"] = audit.Prompts,
        };
        foreach (var finding in Findings) json[finding.Name] = finding.Document();
        if (audit.Against is { } against) json["against"] = against.Document();
        json["length_bias"] = Bias();
        json["ledger"] = JsonSerializer.SerializeToNode(audit.Ledger, Format);
        return json;
    }

    internal IEnumerable<string> Lines()
    {
        yield return $"{(request.File == "-" ? "standard input" : request.File)}: {audit.Rows} rows ({string.Join(", ", audit.Shapes.Select(s => $"{s.Value} {s.Key}"))}), {audit.Prompts} prompts";
        string[] said =
        [
            "rows that stand in the file before", "pairs that prefer what an earlier one rejects, to the same prompt",
            "pairs with an answer that is chosen in one row and rejected in another", "rows whose prompt ends in other tokens once an answer follows",
        ];
        foreach (var (finding, text) in Findings.Zip(said)) yield return $"{finding.Count,8} {text}{finding.Some}";
        foreach (var line in audit.Against?.Lines() ?? []) yield return line;
        if (Bias() is { } bias)
            yield return FormattableString.Invariant($"chosen answers have {audit.Lengths.MeanChosen:0.0} tokens on average, rejected ones {audit.Lengths.MeanRejected:0.0}; where they differ the chosen one is the longer in {100 * (double)bias["chosen_longer"]!:0.0} % (95 % interval {100 * (double)bias["low"]!:0.0} to {100 * (double)bias["high"]!:0.0})");
        var ledger = audit.Ledger;
        yield return $"tokens under max_length {request.MaxLength}: {ledger.TokensKept} kept, {ledger.TokensTrained} of them trained; {ledger.TokensCut} cut off {ledger.RowsTruncated} rows; {ledger.TokensRefused} of refused rows";
        yield return $"{ledger.AnswersWithTrainedEnd} answers end in a trained end token; rows without a token to train: {ledger.RowsWithoutTrainedToken}, with two equal answers: {ledger.RowsWithEqualAnswers}, with an empty one: {ledger.RowsWithEmptyAnswer}";
    }

    // Null where no pair has answers of two lengths.
    private JsonObject? Bias()
    {
        var (lengths, decided) = (audit.Lengths, audit.Lengths.Longer + audit.Lengths.Shorter);
        if (decided == 0) return null;
        var interval = Proportions.Wilson95(lengths.Longer, decided);
        return new JsonObject
        {
            ["mean_tokens_chosen"] = lengths.MeanChosen,
            ["mean_tokens_rejected"] = lengths.MeanRejected,
            ["equal_lengths"] = lengths.Pairs - decided,
            ["chosen_longer"] = (double)lengths.Longer / decided,
            ["low"] = interval.Lower,
            ["high"] = interval.Upper,
        };
    }
}
