// The report as JSON: the finished jobs with their numbers, and what follows from them. report.json and what `report` prints are one.

using System.Text.Json.Nodes;
using PeftAlign.Core.Claims;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Reports;

internal static class JsonReport
{
    /// <summary>The whole report.</summary>
    internal static JsonObject Of(ReportModel model) => new()
    {
        ["peftalign_report"] = 1,
        ["name"] = model.Data.Name,
        ["jobs"] = List(model.Data.Jobs.Where(job => job.Outcome is not null).Select(Job)),
        ["failed"] = List(model.Data.Failed.Select(f => new JsonObject { ["label"] = f.Job.Label, ["error"] = f.Error })),
        ["results"] = List(model.Estimates.Select(Result)),
        ["claims"] = List(model.Claims.Select(Claim)),
        ["merges"] = List(model.Merges.Select(Merge)),
        ["selections"] = List(model.Selections.Select(Selection)),
        ["judges"] = List(model.Data.Judges.Select(Bill)),
        ["factors"] = List(model.FactorRows.Select(Factors)),
        ["recipe"] = RecipeOf(model.Recipe),
    };

    private static JsonObject Job(RunJob job) => new()
    {
        ["id"] = job.Id,
        ["kind"] = job.Kind,
        ["label"] = job.Label,
        ["labels"] = new JsonArray([.. job.Placed.Select(place => (JsonNode)place.Label)]),
        ["axes"] = new JsonObject(job.Axes.Select(a => new KeyValuePair<string, JsonNode?>(a.Key, a.Value))),
        ["result"] = job.Outcome!.DeepClone(),
    };

    private static JsonObject Result(Estimate e) => new()
    {
        ["policy"] = e.Policy,
        ["kind"] = e.Kind,
        ["benchmark"] = e.Benchmark,
        ["metric"] = e.Metric,
        ["checkpoint"] = e.Checkpoint,
        ["value"] = Number(e.Value),
        ["interval"] = Interval(e.Interval.Lower, e.Interval.Upper),
        ["method"] = e.Method,
        ["seeds"] = e.Seeds,
        ["seeds_planned"] = e.Planned,
        ["n"] = e.Count,
        ["n_most"] = e.Most,
        ["cut"] = e.Cut,
        ["drawings"] = e.Drawings,
        ["annotator"] = e.Annotator.Length > 0 ? e.Annotator : null,
        ["baseline"] = e.Baseline.Length > 0 ? e.Baseline : null,
        ["higher_is_better"] = e.HigherIsBetter,
    };

    private static JsonObject Claim(ClaimResult c) => new()
    {
        ["id"] = c.Id,
        ["says"] = c.Says,
        ["statement"] = c.Statement,
        ["metric"] = c.Metric,
        ["verdict"] = c.Verdict,
        ["reason"] = c.Reason,
        ["estimate"] = Number(c.Estimate),
        ["interval"] = Interval(c.Lower, c.Upper),
        ["level"] = Number(c.Level),
        ["method"] = c.Method,
        ["than"] = Number(c.Than),
        ["p"] = Number(c.PValue),
        ["p_sign_flip"] = Number(c.SignFlipP),
        ["p_holm"] = Number(c.AdjustedP),
        ["units"] = List(c.Units.Select(u => new JsonObject { ["unit"] = u.Label, ["value"] = Number(u.Value) })),
        ["resampled"] = new JsonArray([.. c.Drawn.Select(d => (JsonNode)d)]),
    };

    private static JsonObject Merge(MergeRow m) => new()
    {
        ["merge"] = m.Merge,
        ["metric"] = m.Column,
        ["value"] = Number(m.Value),
        ["against_mean"] = Number(m.AgainstMean),
        ["against_best"] = Number(m.AgainstBest),
        ["parents"] = new JsonObject(m.Parents.Select(p => new KeyValuePair<string, JsonNode?>(p.Policy, Number(p.Value)))),
    };

    private static JsonObject Selection(SelectionRow s) => new()
    {
        ["policy"] = s.Policy,
        ["seed"] = s.Seed,
        ["by"] = s.By,
        ["mode"] = s.Largest ? "max" : "min",
        ["chosen"] = s.Chosen,
        ["tied"] = s.Tied,
        ["variants"] = List(s.Variants.Select(v => new JsonObject { ["variant"] = v.Variant, ["value"] = v.Value is { } value ? Number(value) : null })),
    };

    private static JsonObject Factors(FactorRow f) => new()
    {
        ["metric"] = f.Column,
        ["why_not"] = f.Why,
        ["policies"] = f.Policies,
        ["shares"] = new JsonObject(f.Shares.Select(s => new KeyValuePair<string, JsonNode?>(s.Factor, Number(s.Share)))),
        ["p"] = new JsonObject(f.Shares.Where(s => !double.IsNaN(s.P)).Select(s => new KeyValuePair<string, JsonNode?>(s.Factor, Number(s.P)))),
        ["inseparable"] = new JsonArray([.. f.Inseparable.Select(name => (JsonNode)name)]),
    };

    // Times, memory and machines stay out: two runs of one manifest give the same bytes. They are in the other two reports and in each job's timing.json.
    private static JsonObject RecipeOf(Recipe recipe) => new()
    {
        ["parts"] = List(recipe.Parts.Select(part => new JsonObject
        {
            ["kind"] = part.Kind,
            ["shared"] = Texts(part.Shared),
            ["rows"] = List(part.Rows.Select(row => new JsonObject { ["name"] = row.Name, ["seeds"] = new JsonArray([.. row.Seeds.Select(s => (JsonNode)s)]), ["settings"] = Texts(row.Settings), ["counts"] = Texts(row.Counts.Where(c => !Recipe.Measured.Contains(c.Key)).ToDictionary()) })),
        })),
        ["inputs"] = List(recipe.Inputs.Select(i => new JsonObject { ["path"] = i.Path, ["sha256"] = i.Sha256 })),
        ["versions"] = Texts(recipe.Versions.ToDictionary(v => v.Part, v => v.Version)),
    };

    private static JsonObject Texts(IReadOnlyDictionary<string, string> texts) => new(texts.Select(t => new KeyValuePair<string, JsonNode?>(t.Key, t.Value)));

    private static JsonObject Bill(JudgeBill b) => new()
    {
        ["annotator"] = b.Annotator,
        ["questions"] = b.Questions,
        ["failures"] = b.Failures,
        ["requests"] = b.Requests,
        ["from_cache"] = b.FromCache,
        ["retries"] = b.Retries,
        ["prompt_tokens"] = b.PromptTokens,
        ["completion_tokens"] = b.CompletionTokens,
        ["price"] = Number(b.Price),
        ["seconds"] = Number(b.Seconds),
        ["transcript"] = b.Transcript.Length > 0 ? b.Transcript : null,
    };

    private static JsonArray List(IEnumerable<JsonObject> rows) => new([.. rows]);

    private static JsonArray? Interval(double lower, double upper) => double.IsNaN(lower) ? null : new JsonArray(Number(lower), Number(upper));

    private static JsonNode? Number(double value) => double.IsFinite(value) ? JsonNumber.Of(value) : null;
}
