// peftalign judge: raw scores of reward models and classifiers, row by row.

using System.CommandLine;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Judging;
using PeftAlign.Host.Rows;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class JudgeCommand
{
    private const string Summary = "scores of reward models and classifiers";
    private const int RowsAtOnce = 64;

    private const string Description = """
        Scores rows with a sequence classifier: RoBERTa, DeBERTa V3, or a causal language model with a score head.

        Rows are JSON objects, one per line; each gives one line {scores: [...]}, in order: the raw logits, one per label.
          {text}                one text
          {prompt, response}    a pair, joined as the tokenizer's post-processor joins pairs (an empty response: the prompt alone)
          {input_ids}           token ids, used as they are
        Texts that are too long lose tokens at the end, of a pair the longer text first; ids that are too long are refused.
        A row's scores do not depend on the rows beside it. --json changes nothing: results are JSON lines anyway.
        """;

    public static CommandEntry Entry { get; } = new("judge", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var model = new Option<string>("--model") { HelpName = "DIR", Required = true, Description = "A folder whose config.json names a sequence classifier." };
        var input = new Option<string>("--in") { HelpName = "F.jsonl", Required = true, Description = "Rows, plain or .gz; - is standard input." };
        var length = new Option<int?>("--max-length") { HelpName = "N", Description = "Most tokens of a text or pair (default: as many as the model was made for)." };
        var plugins = PluginFolders.Option();
        var command = new Command("judge", Description) { model, input, length, plugins };
        frame.OnRun(command, Uses.Device | Uses.Dtype | Uses.Threads, (parsed, session, cancel) =>
            RunAsync(parsed.GetValue(model)!, parsed.GetValue(input)!, parsed.GetValue(length), parsed.GetValue(plugins) ?? [], session, cancel));
        return command;
    }

    private static async Task<int> RunAsync(string model, string input, int? length, string[] plugins, Session session, CancellationToken cancel)
    {
        if (length is < 1) throw new UserError($"--max-length {length}", "is a whole number from 1", "leave it out for the model's own length");
        var device = ComputeDevice.Of(session);
        // On a processor libtorch lacks operators in float16.
        if (session.Global.Dtype == "float16" && device.type == DeviceType.CPU) throw new UserError("--dtype float16", "needs a CUDA device", "use bfloat16 or float32");
        using var rows = RowReader.Open(input);
        torch.set_num_threads(session.Threads);
        var dtype = ComputeType.Of(session, device, model);
        var judge = RowJudge.Load(model, length, dtype, device, plugins, session.Output.Warn);
        using var writer = session.Output.Rows();
        var waiting = new List<int[]>();
        await foreach (var row in rows.ReadAsync(cancel))
        {
            waiting.Add(judge.Encode(row));
            if (waiting.Count == RowsAtOnce) Answer();
        }
        if (waiting.Count > 0) Answer();
        return ExitCode.Done;

        void Answer()
        {
            cancel.ThrowIfCancellationRequested();
            foreach (var scores in judge.Score(waiting)) writer.Write(json => json.WriteScores(scores));
            waiting.Clear();
        }
    }

    private static void WriteScores(this System.Text.Json.Utf8JsonWriter json, double[] scores)
    {
        json.WriteStartArray("scores");
        foreach (var score in scores)
        {
            if (!double.IsFinite(score)) throw new InvalidDataException("the model gives a score that is not finite; its weights are damaged, or float16 is too narrow for it");
            json.WriteNumberValue((float)score);
        }
        json.WriteEndArray();
    }
}
