// peftalign generate: continues prompts with a model and its adapter.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Rows;
using PeftAlign.Models.Generation;

namespace PeftAlign.Host.Commands;

internal static class GenerateCommand
{
    private const string Summary = "continue prompts with a model";

    private const string Description = $$"""
        Continues prompts: greedy, sampled, or by beam search.

        Rows are JSON objects, one per line: {prompt}, {prompt_ids} or {messages} (through the chat template, as is a prompt
        under --chat); each gives one line, in the same order:
          -> {text, ids, finish}     finish is eos (an end token, which ids includes), stop (a stop string) or length
        With --n above 1 each continuation is a line, with row and sample, both from 0; beams have a score, the sum of
        log-probs / length^length-penalty. --json changes nothing: results are JSON lines anyway; --stream writes the text of
        one prompt as it comes instead. text is without special tokens.

        {{GenerationFlags.Rules}}
        What a row gets depends on --seed, its number in the input and its sample, not on the rows beside it.
        """;

    public static CommandEntry Entry { get; } = new("generate", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var prompt = new Option<string?>("--prompt") { HelpName = "T", Description = "One prompt." };
        var input = new Option<string?>("--in") { HelpName = "F.jsonl", Description = "Rows, plain or .gz; - is standard input." };
        var chat = new Option<bool>("--chat") { Description = "A prompt is what a user says: it goes through the chat template." };
        var stream = new Option<bool>("--stream") { Description = "Write the text of --prompt as it comes, in place of a row." };
        var batch = new Option<int>("--batch-size") { HelpName = "N", DefaultValueFactory = _ => DecoderGenerator.RowsAtOnce, Description = "Most sequences that are continued together: changes speed and memory, not results." };
        var template = new Option<string?>("--chat-template") { HelpName = "NAME_OR_FILE", Description = "Another chat template than the adapter's or the model's: one of the folder's or the product's names, or a .jinja file." };
        var (models, flags, search) = (new ModelOptions(), new GenerationFlags(), new SearchFlags());
        var command = new Command("generate", Description);
        models.AddTo(command);
        foreach (var option in (Option[])[prompt, input, chat, template]) command.Add(option);
        flags.AddTo(command);
        search.AddTo(command);
        command.Add(stream);
        command.Add(batch);
        frame.OnRun(command, Uses.Device | Uses.Dtype | Uses.Threads | Uses.Seed, async (parsed, session, cancel) =>
        {
            var asked = new Request(parsed.GetValue(prompt), parsed.GetValue(input), parsed.GetValue(chat), parsed.GetValue(stream), parsed.GetValue(batch));
            asked.Check(session.Output.Json);
            using var rows = asked.Input is { } path ? RowReader.Open(path) : null;
            var choice = models.Read(parsed);
            var options = search.Read(parsed, flags.Read(parsed, choice.Model, session.Global.Seed));
            if (asked.Stream && (options.NumBeams > 1 || options.NumReturnSequences > 1)) throw new UserError("--stream", "writes one continuation as it comes", "leave out --num-beams and --n, or --stream");
            var model = InferenceModel.Load(choice, session);
            var work = new Work(asked, options, model, new PromptEncoder(model, parsed.GetValue(template), session.Output.Remark), DecoderGenerator.Of(model.Decoder, model.Mode, model.Tokenizer, asked.BatchSize));
            if (asked.Stream) work.Stream(session.Output, cancel);
            else await work.RowsAsync(rows, session.Output, cancel);
            return ExitCode.Done;
        });
        return command;
    }

    private sealed record Request(string? Prompt, string? Input, bool Chat, bool Stream, int BatchSize)
    {
        internal void Check(bool json)
        {
            if (Prompt is null == Input is null) throw new UserError("generate", "continues --prompt or the rows of --in", "give one of the two");
            if (Stream && Prompt is null) throw new UserError("--stream", "writes the text of one prompt", "give --prompt");
            if (Stream && json) throw new UserError("--stream --json", "one writes text and the other JSON", "give one of them");
            if (BatchSize < 1) throw new UserError($"--batch-size {BatchSize}", "is a whole number from 1", "leave it out for the default");
        }

        /// <summary>The row that --prompt stands for.</summary>
        internal Row Row() => Rows.Row.Of("--prompt", new JsonObject { ["prompt"] = Prompt });
    }

    private sealed class Work(Request asked, GenerationOptions options, InferenceModel model, PromptEncoder encoder, IGenerator generator)
    {
        internal async Task RowsAsync(RowReader? rows, Output output, CancellationToken cancel)
        {
            using var writer = output.Rows();
            using var ticker = new Ticker(output, "rows continued");
            var generation = new RowGeneration(model, generator, options, writer);
            var waiting = new List<(GenerationPrompt, string)>();
            void Answer()
            {
                generation.Answer(waiting, cancel);
                ticker.Add(waiting.Count);
                waiting.Clear();
            }
            if (rows is null)
            {
                using var row = asked.Row();
                waiting.Add((new GenerationPrompt(encoder.Prompt(row, asked.Chat), 0), row.Place));
                Answer();
                return;
            }
            var number = 0L;
            await foreach (var row in rows.ReadAsync(cancel))
            {
                waiting.Add((new GenerationPrompt(encoder.Prompt(row, asked.Chat), number++), row.Place));
                if (waiting.Count * Math.Max(options.NumBeams, options.NumReturnSequences) >= asked.BatchSize) Answer();
            }
            Answer();
        }

        internal void Stream(Output output, CancellationToken cancel)
        {
            using var row = asked.Row();
            var text = new TextStream(model.TextTokenizer, output.Piece);
            generator.Generate([new GenerationPrompt(encoder.Prompt(row, asked.Chat), 0)], options, token => text.Add(token.Id), cancel);
            text.End();
            output.Piece("\n");
        }
    }
}
