// One row in, one row out: text to ids and tokens, ids to text, or messages to text, ids and the assistant's tokens.

using System.Runtime.ExceptionServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Host.Rows;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Tokenizing;

internal sealed partial class RowTokenizer
{
    private readonly TokenizeRequest request;
    private readonly ITokenizer tokenizer;
    private readonly ITokenizerDetails details;
    private readonly IChatTemplate? template;

    private RowTokenizer(TokenizeRequest request, ITokenizer tokenizer, IChatTemplate? template) =>
        (this.request, this.tokenizer, details, this.template) = (request, tokenizer, (ITokenizerDetails)tokenizer, template);

    /// <summary>Whether masks are all 0, since the template marks nothing as generated.</summary>
    public bool MasksNothing => template is not null && !GenerationBlock().IsMatch(template.Source);

    /// <summary>Loads what the request needs.</summary>
    /// <exception cref="UserErrorException">No usable tokenizer, or under --chat no usable template.</exception>
    public static RowTokenizer Load(TokenizeRequest request) =>
        new(request, TokenizerLoader.Load(request.Model), request.Work == TokenizeWork.Chat ? Template(request) : null);

    /// <summary>Works on rows, on any thread: the results up to the first row that is at fault, and what is wrong with that.</summary>
    public (RowBuffer Results, ExceptionDispatchInfo? Fault) Answers(IReadOnlyList<RowLine> lines)
    {
        var results = new RowBuffer();
        try
        {
            foreach (var (place, bytes) in lines)
            {
                using var row = Row.Parse(place, bytes);
                Answer(row, results);
            }
        }
        catch (Exception e)
        {
            return (results, ExceptionDispatchInfo.Capture(e));
        }
        return (results, null);
    }

    /// <summary>Works on a row and adds the result.</summary>
    /// <exception cref="UserErrorException">The row is at fault; the message names it.</exception>
    public void Answer(Row row, RowBuffer results)
    {
        try
        {
            results.Add(request.Work switch
            {
                TokenizeWork.Chat => Chat(row),
                TokenizeWork.Decode => Decode(row),
                _ => Encode(row),
            });
        }
        catch (UserErrorException e) when (e is not UserError)
        {
            throw row.Fault(e);
        }
    }

    // Of a single file the template is the one beside it.
    private static IChatTemplate Template(TokenizeRequest request)
    {
        var folder = Directory.Exists(request.Model) ? request.Model : Path.GetDirectoryName(Path.GetFullPath(request.Model))!;
        return ChatTemplateLoader.Load(folder, request.ChatTemplate) ?? throw new UserError(
            request.Model, "has no chat template", $"give --chat-template with a .jinja file or one of {string.Join(", ", BuiltInTemplates.Names)}");
    }

    private Action<Utf8JsonWriter> Encode(Row row)
    {
        var encoded = details.Encode(Needed(row.Text("text"), row, "text"), options: new EncodeOptions { AddSpecialTokens = !request.NoSpecial });
        return json => WriteTokens(json, encoded);
    }

    private Action<Utf8JsonWriter> Decode(Row row)
    {
        var text = tokenizer.Decode(Needed(row.Ids("ids"), row, "ids"), skipSpecialTokens: request.NoSpecial);
        return json => json.WriteString("text", text);
    }

    // The text holds its special tokens already; the file's own truncation and padding are for texts, not for chats.
    private Action<Utf8JsonWriter> Chat(Row row)
    {
        var chat = ChatRow.Of(row, request.AddGenerationPrompt);
        var rendered = template!.Render(chat.Messages, chat.Arguments);
        var encoded = details.Encode(rendered.Text, options: new EncodeOptions
        {
            AddSpecialTokens = false,
            Truncation = chat.MaxLength is { } length ? new TruncationOptions(length) : TruncationOptions.Off,
            Padding = PaddingOptions.Off,
        });
        var mask = AssistantMask.Compute(rendered.Generated, [.. encoded.Offsets.Select(offset => new CodePointSpan(offset.Start, offset.End))]);
        return json =>
        {
            json.WriteString("text", rendered.Text);
            json.WriteNumbers("ids", encoded.Ids);
            json.WriteNumbers("assistant_mask", mask);
        };
    }

    private static void WriteTokens(Utf8JsonWriter json, EncodedText encoded)
    {
        json.WriteNumbers("ids", encoded.Ids);
        json.WriteTexts("tokens", encoded.Tokens);
    }

    // A row of one of the other works says which option is missing.
    private T Needed<T>(T? value, Row row, string name) where T : class
    {
        if (value is not null) return value;
        var next = row.Find("messages") is not null ? "add --chat for rows with messages"
            : request.Work == TokenizeWork.Encode && row.Find("ids") is not null ? "add --decode for rows with ids"
            : request.Work == TokenizeWork.Decode && row.Find("text") is not null ? "leave --decode out for rows with text"
            : $"give rows like {{\"{name}\": ...}}";
        throw row.Fault($"has no \"{name}\"", next);
    }

    [GeneratedRegex(@"\{%[-+]?\s*generation\b")]
    private static partial Regex GenerationBlock();
}
