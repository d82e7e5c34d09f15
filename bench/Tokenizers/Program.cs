// Speed of the tokenizers on one thread, as JSON lines with the fields of a benchmark row: MB of UTF-8 text per second,
// encode and decode, the median of some runs. Usage: Tokenizers TEXT TOKENIZER... [--runs N] [--lines N] [--long MB]
//   TEXT        one text a line, or a JSON array of texts (*.json)
//   TOKENIZER   NAME=PATH, a folder or file that TokenizerLoader reads
//   --long MB   also one single line of so many MB, made of the texts
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Bench.Tokenizers;
using PeftAlign.Models.Text;

var arguments = BenchArguments.Parse(args);
if (arguments is null)
{
    Console.Error.WriteLine("usage: Tokenizers TEXT NAME=PATH... [--runs N] [--lines N] [--long MB]");
    return 2;
}
var texts = arguments.ReadTexts();
var bytes = texts.Sum(text => (long)Encoding.UTF8.GetByteCount(text));
foreach (var (name, path) in arguments.Tokenizers)
{
    var watch = Stopwatch.StartNew();
    var tokenizer = TokenizerLoader.Load(path);
    var load = watch.Elapsed.TotalSeconds;
    var figures = new Dictionary<string, double> { ["load_s"] = Math.Round(load, 3) };
    var tokens = 0L;
    Measure("encode", bytes, () => tokens = texts.Sum(text => (long)tokenizer.EncodeToIds(text, false).Count));
    var ids = texts.Select(text => tokenizer.EncodeToIds(text, false)).ToList();
    Measure("decode", bytes, () => ids.Sum(list => (long)tokenizer.Decode(list).Length));
    if (arguments.LongMegabytes > 0) MeasureLong(tokenizer);
    Console.WriteLine(JsonSerializer.Serialize(new
    {
        tool = "peftalign",
        benchmark = "tokenize",
        label = name,
        figures,
        threads = 1,
        settings = new { runs = arguments.Runs, lines = texts.Count },
        details = new { text_mb = Math.Round(bytes / 1e6, 2), tokens },
        runtime = RuntimeInformation.FrameworkDescription,
    }));

    void Measure(string what, long size, Func<long> work)
    {
        work();
        var seconds = Enumerable.Range(0, arguments.Runs).Select(_ =>
        {
            var run = Stopwatch.StartNew();
            work();
            return run.Elapsed.TotalSeconds;
        }).Order().ToList();
        figures[what + "_mb_per_s"] = Math.Round(size / seconds[seconds.Count / 2] / 1e6, 2);
    }

    void MeasureLong(ITokenizer longTokenizer)
    {
        var line = new StringBuilder();
        for (var i = 0; line.Length < arguments.LongMegabytes * 1_000_000; i++) line.Append(texts[i % texts.Count]);
        var text = line.ToString();
        Measure("encode_one_line", Encoding.UTF8.GetByteCount(text), () => longTokenizer.EncodeToIds(text, false).Count);
        var noSpaces = text.Replace(" ", "").Replace("\n", "");
        Measure("encode_one_line_without_spaces", Encoding.UTF8.GetByteCount(noSpaces), () =>
            longTokenizer.EncodeToIds(noSpaces, false).Count);
        var oneLetter = new string('a', arguments.LongMegabytes * 1_000_000);
        Measure("encode_one_letter", oneLetter.Length, () => longTokenizer.EncodeToIds(oneLetter, false).Count);
    }
}
return 0;
