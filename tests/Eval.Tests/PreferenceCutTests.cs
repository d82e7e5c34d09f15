// The benchmark `preference` on pairs longer than the model's context: a prompt is cut on its left, an answer that alone is longer keeps
// its beginning, and both are counted.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Eval.Tests;

public sealed class PreferenceCutTests
{
    private const int Context = 512;

    private sealed class Lent(params (int[] Prompt, int[] Chosen, int[] Rejected)[] rows) : IPluginContext, IDatasets
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => type == typeof(IDatasets) ? this : null;

        public IEnumerable<DataRecord> Open(DatasetReference dataset) => rows.Select((row, k) =>
            new DataRecord(new JsonObject { ["prompt_ids"] = Ids(row.Prompt), ["chosen_ids"] = Ids(row.Chosen), ["rejected_ids"] = Ids(row.Rejected) }, "rows", k + 1));

        private static JsonArray Ids(int[] ids) => [.. ids.Select(id => (JsonNode)id)];
    }

    private static int[] Some(int count, int from) => [.. Enumerable.Range(0, count).Select(k => 5 + ((from + (7 * k)) % 400))];

    [Test]
    public void What_does_not_fit_is_cut_and_counted()
    {
        Assert.That(Models.Stories.MaxLength, Is.EqualTo(Context));
        var (prompt, answer, other) = (Some(Context + 90, 1), Some(Context + 40, 3), Some(20, 9));
        var folder = Directory.CreateTempSubdirectory("peftalign-cut-").FullName;
        try
        {
            // Fits to the last token (which is never fed); a prompt that is too long; an answer that alone is.
            var (evaluated, results) = Run(folder, (Some(Context + 1 - 20, 1), Some(20, 5), other), (prompt, Some(20, 5), other), (Some(4, 2), answer, other));
            Assert.That(evaluated.Items.Select(item => item.Responses.Select(r => r.TokensCut)), Is.EqualTo(new int[][] { [0, 0], [90 - 1 + 20, 90 - 1 + 20], [40 + 4 - 1, 0] }));
            Assert.That(results["n-samples"]!["preference"]!.ToJsonString(), Is.EqualTo("""{"original":3,"effective":3,"cut":2}"""));
            Assert.That(evaluated.Items[2].Responses[0].Tokens, Is.EqualTo(Context), "as many tokens of the answer as the model takes");
            // The same rows, cut by hand, have the same log-probs and nothing cut.
            var (byHand, _) = Run(folder + "/by-hand", (prompt[(90 - 1 + 20)..], Some(20, 5), other), ([Some(4, 2)[^1]], answer[..Context], other));
            Assert.That(byHand.Items.Select(item => item.Responses.Sum(r => r.TokensCut)), Is.All.Zero);
            Assert.That(byHand.Items[0].Responses.Select(r => r.LogProb), Is.EqualTo(evaluated.Items[1].Responses.Select(r => r.LogProb)).Within(1e-3));
            Assert.That(byHand.Items[1].Responses[0].LogProb, Is.EqualTo(evaluated.Items[2].Responses[0].LogProb).Within(1e-3));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (Evaluated Evaluated, JsonObject Results) Run(string folder, params (int[] Prompt, int[] Chosen, int[] Rejected)[] rows)
    {
        Directory.CreateDirectory(folder);
        using var records = new ItemRecords(Path.Combine(folder, "records.jsonl"), "m", _ => { });
        var evaluated = new Evaluator(() => Models.Stories, null, records, (_, _) => { }, CancellationToken.None).Run(new PreferenceBenchmark(new PreferenceOptions { Dataset = new DatasetReference([]) }, new Lent(rows)));
        return (evaluated, ResultFiles.Write(folder, [evaluated], []));
    }
}
