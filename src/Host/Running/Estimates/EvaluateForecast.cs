// What an evaluation will take: passes over what is scored, steps for what is written, and what judges read of it. Answers count as
// long as they may be; judges that are services take time and no memory.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Generation;

namespace PeftAlign.Host.Running.Estimates;

internal static class EvaluateForecast
{
    private const int SampleBytes = 1_100; // a line of samples and one of records, with their texts
    private const int TokenBytes = 4; // of text

    /// <summary>Null where the model or the benchmark cannot be known yet.</summary>
    internal static JobForecast? Of(JsonObject spec, Shapes shapes, int threads)
    {
        if (shapes.Model(spec["policy"]!) is not { } model || shapes.Benchmark(spec) is not { } asked) return null;
        var arithmetic = shapes.Asked(spec["policy"]!);
        var scored = Scoring(model, asked, threads, arithmetic);
        List<JobForecast?> parts = [scored];
        if (asked.Writes is { } writes) parts.Add(Of(model, writes, threads, arithmetic));
        foreach (var (definition, writing) in asked.Others) parts.Add(Another(definition, new Questions(0, 0, 0) { Writes = writing }, shapes, threads));
        foreach (var judge in asked.Judges) parts.Add(Judging(judge, shapes, threads));
        if (parts.Contains(null)) return null;
        var bytes = Costs.Bytes(Costs.Parameters(model));
        // A chunk is scored, written and judged, one after the other; models that are loaded stay.
        return new JobForecast(
            Costs.Start / 2 + Costs.Moving(bytes) + parts.Sum(part => part!.Seconds),
            Costs.Process + Costs.Held(model, arithmetic.Type, shapes.IsQuantized(spec)) + parts.Skip(1).Sum(part => part!.Memory) + scored.Memory,
            JobForecast.FolderBytes + asked.Items * SampleBytes + parts.Sum(part => part!.Disk),
            parts.Sum(part => part!.Flops))
        { ToServices = parts.Sum(part => part!.ToServices), AssumesLongest = asked.Writes is not null || asked.Others.Count > 0 };
    }

    /// <summary>What a finished evaluation will take whose service was away: its questions that nobody answered, and no model.</summary>
    internal static JobForecast Again(int questions) => new(questions * Costs.ServiceSeconds, Costs.Process, 0) { ToServices = questions };

    private static JobForecast Scoring(DecoderSpec model, Questions asked, int threads, Arithmetic arithmetic)
    {
        var tokens = asked.Items * asked.Scored;
        if (tokens == 0) return new JobForecast(0, 0, 0);
        var atOnce = (long)Math.Ceiling(Math.Min(asked.Items, JobForecast.ItemsAtOnce) * asked.Scored);
        return new JobForecast(Costs.Passes(model, Math.Ceiling((double)asked.Items / JobForecast.ItemsAtOnce), tokens, 1, threads), Costs.Forward(model, atOnce, asked.Longest, arithmetic), 0, Costs.Flops(model, tokens, 1));
    }

    // Prompts in one pass, then a step for each new token, of so many texts together.
    private static JobForecast Of(DecoderSpec model, Writing writing, int threads, Arithmetic arithmetic)
    {
        var batches = Math.Ceiling(writing.Answers / DecoderGenerator.RowsAtOnce);
        var (rows, prompts) = (Math.Min(writing.Answers, DecoderGenerator.RowsAtOnce), writing.Answers * writing.Prompt);
        return new JobForecast(
            Costs.Passes(model, batches, prompts, 1, threads) + Costs.Steps(model, batches * writing.NewTokens, rows, threads),
            Costs.Forward(model, (long)(rows * writing.Prompt), writing.Longest, arithmetic) + Costs.Cache(model, (long)(rows * writing.Longest), arithmetic),
            (long)(writing.Answers * writing.NewTokens * TokenBytes * 2),
            Costs.Flops(model, prompts + writing.Answers * writing.NewTokens, 1));
    }

    /// <summary>A model that is loaded beside the policy; null for one that is not known.</summary>
    internal static JobForecast? Another(JsonNode definition, Questions asked, Shapes shapes, int threads)
    {
        if (shapes.Model(definition) is not { } model) return null;
        var (arithmetic, bytes) = (shapes.Asked(definition), Costs.Bytes(Costs.Parameters(model)));
        var scored = Scoring(model, asked, threads, arithmetic);
        var written = asked.Writes is { } writes ? Of(model, writes, threads, arithmetic) : new JobForecast(0, 0, 0);
        return new JobForecast(Costs.Moving(bytes) + scored.Seconds + written.Seconds, Costs.Held(model, arithmetic.Type, shapes.IsQuantized(new JsonObject { ["policy"] = definition.DeepClone() })) + scored.Memory + written.Memory, written.Disk, scored.Flops + written.Flops);
    }

    /// <summary>What a judge reads; null for one that is not there yet.</summary>
    internal static JobForecast? Judging(Judged judge, Shapes shapes, int threads)
    {
        if (shapes.IsService(judge.Definition)) return new JobForecast(judge.Questions * Costs.ServiceSeconds, 0, 0) { ToServices = (long)Math.Ceiling(judge.Questions) };
        if (shapes.JudgeParameters(judge.Definition) is not { } parameters) return null;
        var tokens = judge.Questions * judge.Tokens;
        return new JobForecast(Costs.Moving(Costs.Bytes(parameters)) + 2.0 * parameters * tokens / (Costs.FlopsPerThread * threads), Costs.Bytes(parameters), 0, 2.0 * parameters * tokens);
    }
}
