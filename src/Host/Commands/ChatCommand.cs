// peftalign chat: a conversation at the terminal, or through a pipe, with the model's chat template.

using System.CommandLine;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Rows;
using PeftAlign.Models.Generation;

namespace PeftAlign.Host.Commands;

internal static class ChatCommand
{
    private const string Summary = "talk with a model at the terminal";

    private const string Description = $$"""
        A conversation: each line of standard input is what the user says, each answer is written as it comes. The whole
        conversation goes through the model's chat template each time.

        A line /reset begins anew, /exit or the end of the input ends. From a pipe it works alike, without the prompt sign.
        With --json each answer is a line {text, ids, finish} at its end.

        {{GenerationFlags.Rules}}
        """;

    public static CommandEntry Entry { get; } = new("chat", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var system = new Option<string?>("--system") { HelpName = "T", Description = "The system message." };
        var template = new Option<string?>("--chat-template") { HelpName = "NAME_OR_FILE", Description = "Another chat template than the adapter's or the model's: one of the folder's or the product's names, or a .jinja file." };
        var (models, flags) = (new ModelOptions(), new GenerationFlags());
        var command = new Command("chat", Description);
        models.AddTo(command);
        command.Add(system);
        command.Add(template);
        flags.AddTo(command);
        frame.OnRun(command, Uses.Device | Uses.Dtype | Uses.Threads | Uses.Seed, async (parsed, session, cancel) =>
        {
            var choice = models.Read(parsed);
            var options = flags.Read(parsed, choice.Model, session.Global.Seed) with { NumBeams = 1, NumReturnSequences = 1 };
            var model = InferenceModel.Load(choice, session);
            var encoder = new PromptEncoder(model, parsed.GetValue(template), session.Output.Remark);
            _ = encoder.Template; // a model without one is found before the user has typed
            var talk = new Conversation(model, encoder, options, session.Output, parsed.GetValue(system));
            using var input = new StreamReader(Console.OpenStandardInput());
            while (true)
            {
                if (!Console.IsInputRedirected && !session.Output.Json) session.Output.Piece("> ");
                // Reading standard input cannot be cancelled: it waits on a thread of its own, which an interrupt leaves behind.
                if (await Task.Run(input.ReadLine, CancellationToken.None).WaitAsync(cancel) is not { } line || line == "/exit") return ExitCode.Done;
                if (line == "/reset") talk.Reset();
                else if (line.Trim().Length > 0) talk.Answer(line, cancel);
            }
        });
        return command;
    }

    private sealed class Conversation
    {
        private readonly InferenceModel model;
        private readonly PromptEncoder encoder;
        private readonly GenerationOptions options;
        private readonly Output output;
        private readonly ChatMessage? system;
        private readonly IGenerator generator;
        private readonly List<ChatMessage> messages = [];
        private long turn;

        internal Conversation(InferenceModel model, PromptEncoder encoder, GenerationOptions options, Output output, string? system)
        {
            (this.model, this.encoder, this.options, this.output) = (model, encoder, options, output);
            this.system = system is null ? null : ChatMessage.Of("system", system);
            generator = DecoderGenerator.Conversation(model.Decoder, model.Mode, model.Tokenizer);
            Reset();
        }

        internal void Reset()
        {
            messages.Clear();
            if (system is not null) messages.Add(system);
        }

        internal void Answer(string said, CancellationToken cancel)
        {
            messages.Add(ChatMessage.Of("user", said));
            var ids = encoder.Chat(new ChatRow(messages, new ChatTemplateArguments { AddGenerationPrompt = true }, null));
            var text = new TextStream(model.TextTokenizer, piece => { if (!output.Json) output.Piece(piece); });
            var made = generator.Generate([new GenerationPrompt(ids, turn++)], options, token => text.Add(token.Id), cancel)[0][0];
            text.End();
            messages.Add(ChatMessage.Of("assistant", text.Text.Trim()));
            if (!output.Json)
            {
                output.Piece("\n");
                return;
            }
            using var writer = output.Rows();
            writer.Write(json =>
            {
                json.WriteString("text", text.Text);
                json.WriteNumbers("ids", made.Ids);
                json.WriteString("finish", made.Finish.Word());
            });
        }
    }
}
