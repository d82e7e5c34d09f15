// Our side of a measurement: the command that `bench` starts as a process of its own (Side). The peers' side is peers.py.

using System.CommandLine;
using System.Diagnostics;
using System.Runtime;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Bench;

internal static class BenchWorker
{
    public static CommandEntry Entry { get; } = new("bench-worker", "one side of a measurement; bench starts it", Build) { IsHidden = true };

    private static Command Build(CommandFrame frame)
    {
        var (kind, folder, rows) = (new Argument<string>("KIND"), new Argument<string>("DIR"), new Argument<string>("ROWS"));
        var command = new Command("bench-worker", "Answers each line of standard input with one measured run.") { kind, folder, rows };
        frame.OnRun(command, Uses.Threads, (parsed, session, cancel) =>
        {
            torch.set_num_threads(session.Threads);
            var run = Make(parsed.GetValue(kind)!, parsed.GetValue(folder)!, parsed.GetValue(rows)!);
            Say(session, new JsonObject { ["libtorch"] = LibTorch.Version });
            while (Console.In.ReadLine() is not null)
            {
                cancel.ThrowIfCancellationRequested();
                var before = JitInfo.GetCompilationTime();
                var (seconds, answer) = run();
                Say(session, new JsonObject { ["seconds"] = seconds, ["compiling"] = (JitInfo.GetCompilationTime() - before).TotalSeconds, ["answer"] = answer });
            }
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static void Say(Session session, JsonObject line) => session.Output.Piece(line.ToJsonString() + "\n");

    private static Func<(double Seconds, JsonArray Answer)> Make(string kind, string folder, string file)
    {
        if (kind == "load") return Timed(() => Load(folder));
        var rows = JsonNode.Parse(File.ReadAllText(file))!;
        if (kind == "step") return Timed(TrainingStep.Of(folder, rows));
        if (kind == "train") return new TrainingWork(folder, rows).Run;
        if (kind == "products") return new ProductsWork(folder, rows).Run;
        var model = ModelFolder.Load(folder);
        return Timed(kind == "generate" ? Generate(model, rows) : Score(model, rows));
    }

    private static Func<(double, JsonArray)> Timed(Func<JsonArray> run) => () =>
    {
        var clock = Stopwatch.StartNew();
        var answer = run();
        return (clock.Elapsed.TotalSeconds, answer);
    };

    private static int[] Ids(JsonNode? list) => [.. list!.AsArray().Select(id => (int)id!)];

    private static Func<JsonArray> Generate(DecoderModel model, JsonNode rows)
    {
        var prompts = rows["prompts"]!.AsArray().Select((ids, k) => new GenerationPrompt(Ids(ids), k)).ToList();
        var generator = DecoderGenerator.Of(model, ForwardMode.Plain, null, prompts.Count);
        var options = new GenerationOptions { MaxNewTokens = (int)rows["new_tokens"]! };
        return () => [.. generator.Generate(prompts, options).SelectMany(made => made[0].Ids.Take(8)).Select(id => (JsonNode)id)];
    }

    private static Func<JsonArray> Score(DecoderModel model, JsonNode rows)
    {
        var engine = new LogProbEngine(model);
        var groups = rows["items"]!.AsArray().Select(i => new CompletionGroup(Ids(i!["context"]), [.. i["continuations"]!.AsArray().Select(c => Completion.Of(Ids(c)))])).ToList();
        return () => [.. engine.Score(groups, ForwardMode.Plain).Select(s => (JsonNode)s.LogProb)];
    }

    // From a folder to the log-prob of one token: what is measured is opening, mapping and paging in.
    private static JsonArray Load(string folder)
    {
        var scores = new LogProbEngine(ModelFolder.Load(folder)).Score([new CompletionGroup([1, 1, 1, 1, 1, 1, 1], [Completion.Of([1])])], ForwardMode.Plain);
        return [(JsonNode)scores[0].LogProb]; // as a double, it would bring all of JsonSerializer in
    }
}
