// judging.json of an evaluation: for each judge how many questions were asked and failed, how long it took and what it cost. Written after
// every batch, so that a job that is stopped and continued has the sum; failures are those that are left in the end.

using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Jobs;

internal sealed class JudgeLedger
{
    private readonly string file;
    private readonly Dictionary<string, JsonObject> entries = [];

    /// <param name="file">judging.json; read if it is there.</param>
    internal JudgeLedger(string file)
    {
        this.file = file;
        if (!File.Exists(file)) return;
        try
        {
            foreach (var entry in JsonNode.Parse(File.ReadAllText(file))?.AsArray() ?? []) entries[(string)entry!["definition"]!] = entry.AsObject();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or ArgumentNullException)
        {
            entries.Clear(); // counts that cannot be read are no reason to stop
        }
    }

    /// <summary>The judge, whose answers are counted from now on.</summary>
    /// <param name="definition">What identifies it.</param>
    /// <param name="name">What tables call it; null = as it says itself.</param>
    /// <param name="judge">It.</param>
    internal IJudge Counted(string definition, string? name, IJudge judge) => new Counting(this, definition, name, judge);

    /// <summary>Once all is answered: a question that failed and was answered by a later try is no failure.</summary>
    /// <param name="failures">By what identifies a judge, how many of the final answers failed.</param>
    internal void Settle(IReadOnlyDictionary<string, long> failures)
    {
        foreach (var (definition, count) in failures)
        {
            if (entries.GetValueOrDefault(definition) is not { } entry || (long?)entry["failures"] == count) continue;
            entry["failures"] = count;
            Save(definition, entry);
        }
    }

    private void Save(string definition, JsonObject entry)
    {
        entries[definition] = entry;
        RunFolder.Write(file, new JsonArray([.. entries.Values.Select(e => e.DeepClone())]).ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
    }

    private sealed class Counting(JudgeLedger ledger, string definition, string? name, IJudge judge) : IJudge
    {
        private readonly JsonObject before = ledger.entries.GetValueOrDefault(definition)?.DeepClone().AsObject() ?? [];
        private long questions, failures;
        private double seconds;

        public JudgeInfo Info => name is null ? judge.Info : judge.Info with { Annotator = name };

        public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> asked, CancellationToken cancel = default)
        {
            var clock = Stopwatch.StartNew();
            try
            {
                var answers = JudgeAnswers.Checked(judge, asked, judge.Answer(asked, cancel));
                (questions, failures) = (questions + answers.Count, failures + answers.Count(a => a.Failure is not null));
                return answers;
            }
            finally
            {
                // What a service was paid counts also where the batch was broken off.
                seconds += clock.Elapsed.TotalSeconds;
                ledger.Save(definition, Entry());
            }
        }

        private JsonObject Entry()
        {
            var entry = new JsonObject { ["annotator"] = Info.Annotator, ["questions"] = Sum("questions", questions), ["failures"] = Sum("failures", failures), ["seconds"] = Math.Round(((double?)before["seconds"] ?? 0) + seconds, 3) };
            if (judge is ICountsCost { Cost: var cost })
            {
                (entry["requests"], entry["from_cache"], entry["retries"]) = (Sum("requests", cost.Requests), Sum("from_cache", cost.FromCache), Sum("retries", cost.Retries));
                (entry["prompt_tokens"], entry["completion_tokens"]) = (Sum("prompt_tokens", cost.PromptTokens), Sum("completion_tokens", cost.CompletionTokens));
                entry["price"] = ((double?)before["price"] ?? 0) + cost.Price;
            }
            if (judge.Info.Transcript is { } transcript) entry["transcript"] = transcript;
            entry["definition"] = definition;
            return entry;
        }

        private long Sum(string name, long now) => ((long?)before[name] ?? 0) + now;
    }
}
