// peftalign tokenize: text to ids, ids to text, chats to ids with the assistant's tokens marked. No tensor is made.

using System.CommandLine;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Rows;
using PeftAlign.Host.Tokenizing;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Commands;

internal static class TokenizeCommand
{
    private const string Summary = "text to token ids and back, chats through the model's template";

    private const string Description = """
        Turns text into token ids and back, and chats into ids through the model's template.

        Rows are JSON objects, one per line; each gives one line, in order, as soon as it is read:
          {text}                -> {ids, tokens}
          {ids}                 -> {text}                        with --decode
          {messages, ...}       -> {text, ids, assistant_mask}   with --chat
        A chat's row may have add_generation_prompt, continue_final_message, tools, documents, now (the time that the
        template sees), truncation with max_length (keeps the first ids), and variables of the template. Its ids are
        those of the rendered text without further special tokens. assistant_mask is 1 for what the template's
        generation blocks rendered. Other fields of {text} and {ids} rows are left out. Ids without a token give no text.
        --text is one such row; its result is the same JSON line. --json changes nothing: results are JSON lines anyway.
        """;

    public static CommandEntry Entry { get; } = new("tokenize", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var model = new Option<string>("--model") { HelpName = "DIR_OR_FILE", Required = true, Description = "A model folder, tokenizer.json, tokenizer.model, or a GPT-2 vocab.json or encoder.json with its merges beside it." };
        var text = new Option<string?>("--text") { HelpName = "T", Description = "One text; with --decode ids like \"1 15043\"; with --chat a message of the user's." };
        var input = new Option<string?>("--in") { HelpName = "F.jsonl", Description = "Rows, plain or .gz; - is standard input." };
        var noSpecial = new Option<bool>("--no-special") { Description = "Add no special tokens around a text; with --decode leave special tokens out of it." };
        var decode = new Option<bool>("--decode") { Description = "Ids to text." };
        var chat = new Option<bool>("--chat") { Description = "Messages to text and ids." };
        var prompt = new Option<bool>("--add-generation-prompt") { Description = "End chats with the header of the assistant's answer, where a row does not say." };
        var template = new Option<string?>("--chat-template") { HelpName = "NAME_OR_FILE", Description = "Another template than the model's: one of the folder's or the product's names, or a .jinja file." };
        var command = new Command("tokenize", Description) { model, text, input, noSpecial, decode, chat, prompt, template };
        frame.OnRun(command, Uses.Threads, (parsed, session, cancel) => Task.FromResult(Run(new TokenizeRequest
        {
            Model = parsed.GetValue(model)!,
            Text = parsed.GetValue(text),
            Input = parsed.GetValue(input),
            NoSpecial = parsed.GetValue(noSpecial),
            Decode = parsed.GetValue(decode),
            Chat = parsed.GetValue(chat),
            AddGenerationPrompt = parsed.GetValue(prompt),
            ChatTemplate = parsed.GetValue(template),
        }, session, cancel)));
        return command;
    }

    private static int Run(TokenizeRequest request, Session session, CancellationToken cancel)
    {
        request.Check();
        using var rows = request.Input is { } path ? RowReader.Open(path) : null;
        var tokenizer = RowTokenizer.Load(request);
        using var writer = session.Output.Rows();
        if (rows is null) One(request, tokenizer, writer);
        else
        {
            foreach (var (results, fault) in OrderedWork.Map(rows.Batches(cancel), session.Threads, tokenizer.Answers))
            {
                using (results) writer.Write(results);
                fault?.Throw();
            }
        }
        if (tokenizer.MasksNothing) session.Output.Remark("the chat template has no {% generation %} block: assistant_mask is 0 everywhere");
        return ExitCode.Done;
    }

    private static void One(TokenizeRequest request, RowTokenizer tokenizer, RowWriter writer)
    {
        using var row = request.TextRow();
        using var result = new RowBuffer();
        tokenizer.Answer(row, result);
        writer.Write(result);
    }
}
