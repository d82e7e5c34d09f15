// Speed of decoding, scoring and loading, as one JSON line with the fields of the peers' benchmarks. Usage:
//   generate --model DIR --data prompts.jsonl [--batch N] [--new-tokens N] [--runs N] [--threads N]   rows {prompt_ids}
//   score    --model DIR --data mc.jsonl [--items N] [--warmup N] [--threads N]   rows {context_ids, continuations}
//   load     --model DIR [--threads N]
using System.Diagnostics;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

if (args.Length == 0 || args[0] is not ("generate" or "score" or "load"))
{
    Console.Error.WriteLine("usage: Inference.Bench generate|score|load --model DIR [--data F.jsonl] [--batch N] [--new-tokens N] [--runs N] [--items N] [--warmup N] [--threads N]");
    return 2;
}
using var memory = new AnonymousMemory();
var threads = Number("--threads", Environment.ProcessorCount);
var opening = Stopwatch.StartNew();
torch.set_num_threads(threads);
var opened = opening.Elapsed.TotalSeconds;
var loading = Stopwatch.StartNew();
var model = ModelFolder.Load(Text("--model"));
var loaded = loading.Elapsed.TotalSeconds;
var (figures, details) = args[0] switch
{
    "generate" => Generate(),
    "score" => Score(),
    _ => Load(),
};
Console.WriteLine(JsonSerializer.Serialize(new
{
    tool = "peftalign",
    benchmark = args[0],
    figures,
    peak_anon_mb = Math.Round(memory.PeakMegabytes, 1),
    threads,
    details,
    libtorch = LibTorch.Version,
}));
return 0;

string Text(string name) => Array.IndexOf(args, name) is > 0 and var at && at + 1 < args.Length ? args[at + 1] : throw new ArgumentException($"{name} is missing");
int Number(string name, int otherwise) => Array.IndexOf(args, name) is > 0 and var at ? int.Parse(args[at + 1], System.Globalization.CultureInfo.InvariantCulture) : otherwise;
IEnumerable<JsonElement> Rows(int count) => File.ReadLines(Text("--data")).Take(count).Select(line => JsonDocument.Parse(line).RootElement);
static int[] Ids(JsonElement list) => [.. list.EnumerateArray().Select(i => i.GetInt32())];

(Dictionary<string, double>, object) Generate()
{
    var (batch, tokens, runs) = (Number("--batch", 1), Number("--new-tokens", 64), Number("--runs", 3));
    var prompts = Rows(batch).Select((r, k) => new GenerationPrompt(Ids(r.GetProperty("prompt_ids")), k)).ToList();
    var generator = DecoderGenerator.Of(model, ForwardMode.Plain, null, batch);
    IReadOnlyList<IReadOnlyList<GeneratedSequence>> made = [];
    double Time(int count)
    {
        var clock = Stopwatch.StartNew();
        made = generator.Generate(prompts, new GenerationOptions { MaxNewTokens = count });
        return clock.Elapsed.TotalSeconds;
    }
    Time(tokens);
    var prefill = Enumerable.Range(0, runs).Select(_ => Time(1)).Order().ElementAt(runs / 2);
    var before = Process.GetCurrentProcess().TotalProcessorTime;
    var seconds = Enumerable.Range(0, runs).Select(_ => Time(tokens)).Order().ToList();
    var cpu = (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds / runs;
    var median = seconds[runs / 2];
    return (new()
    {
        ["median_s"] = Math.Round(median, 4),
        ["min_s"] = Math.Round(seconds[0], 4),
        ["new_tokens_per_s"] = Math.Round(batch * tokens / median, 2),
        ["prefill_s"] = Math.Round(prefill, 4),
        ["cpu_s_per_run"] = Math.Round(cpu, 3),
        ["decode_tokens_per_s"] = Math.Round(batch * (tokens - 1) / (median - prefill), 2),
    }, new { first_tokens = made[0][0].Ids.Take(8) });
}

(Dictionary<string, double>, object) Score()
{
    var (items, warmup) = (Number("--items", 16), Number("--warmup", 2));
    var engine = new LogProbEngine(model);
    var groups = Rows(warmup + items).Select(r => new CompletionGroup(Ids(r.GetProperty("context_ids")), [.. r.GetProperty("continuations").EnumerateArray().Select(c => Completion.Of(Ids(c)))])).ToList();
    engine.Score(groups[..warmup], ForwardMode.Plain);
    var clock = Stopwatch.StartNew();
    var scores = engine.Score(groups[warmup..], ForwardMode.Plain);
    var seconds = clock.Elapsed.TotalSeconds;
    return (new() { ["seconds"] = Math.Round(seconds, 3), ["items_per_s"] = Math.Round(items / seconds, 3) }, new { first_loglikelihoods = scores.Take(8).Select(s => Math.Round(s.LogProb, 5)) });
}

(Dictionary<string, double>, object) Load()
{
    var clock = Stopwatch.StartNew();
    new LogProbEngine(model).Score([new CompletionGroup([1, 1, 1, 1, 1, 1, 1], [Completion.Of([1])])], ForwardMode.Plain);
    return (new() { ["open_libtorch_s"] = Math.Round(opened, 3), ["load_s"] = Math.Round(loaded, 3), ["first_forward_s"] = Math.Round(clock.Elapsed.TotalSeconds, 3) }, new { });
}

/// <summary>The peak of this process' anonymous memory (heap, not mapped files), sampled every 20 ms as the peers do.</summary>
internal sealed class AnonymousMemory : IDisposable
{
    private readonly Timer timer;

    public AnonymousMemory() => timer = new Timer(_ => Sample(), null, 0, 20);

    public double PeakMegabytes { get; private set; }

    public void Dispose() => timer.Dispose();

    private void Sample()
    {
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon", StringComparison.Ordinal));
        PeakMegabytes = Math.Max(PeakMegabytes, long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) / 1024.0);
    }
}
