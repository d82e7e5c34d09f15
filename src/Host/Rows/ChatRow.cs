// A row with a conversation: the arguments of transformers' apply_chat_template by their names; every other field is a variable
// of the template.

using System.Globalization;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Rows;

/// <summary>What a row asks a chat template for.</summary>
/// <param name="Messages">The conversation.</param>
/// <param name="Arguments">What else the template sees.</param>
/// <param name="MaxLength">Ids that are kept where the row has truncation; else null.</param>
internal sealed record ChatRow(IReadOnlyList<ChatMessage> Messages, ChatTemplateArguments Arguments, int? MaxLength)
{
    private static readonly string[] Names =
        ["messages", "add_generation_prompt", "continue_final_message", "tools", "documents", "now", "truncation", "max_length"];

    /// <summary>Reads a row's conversation.</summary>
    /// <param name="row">Must stay alive as long as the result.</param>
    /// <param name="addGenerationPrompt">What holds for a row that does not say.</param>
    /// <exception cref="UserError">A field is missing or of another type.</exception>
    public static ChatRow Of(Row row, bool addGenerationPrompt)
    {
        var messages = row.List("messages") ?? throw row.Fault("has no \"messages\"", "give a list of objects with role and content");
        var arguments = new ChatTemplateArguments
        {
            AddGenerationPrompt = row.Flag("add_generation_prompt") ?? addGenerationPrompt,
            ContinueFinalMessage = row.Flag("continue_final_message") ?? false,
            Tools = row.List("tools"),
            Documents = row.List("documents"),
            Now = Time(row),
            Variables = row.Fields.EnumerateObject().Where(field => !Names.Contains(field.Name)).ToDictionary(field => field.Name, field => field.Value),
        };
        return new ChatRow([.. messages.EnumerateArray().Select(message => new ChatMessage(message))], arguments, Length(row));
    }

    /// <summary>A time as it is written (ISO 8601), whatever its zone: what a clock on the wall shows.</summary>
    private static DateTime? Time(Row row)
    {
        if (row.Text("now") is not { } text) return null;
        if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)) return time.DateTime;
        throw row.Fault($"\"now\" is '{text}'", "give a time like 2024-07-26T09:05:03");
    }

    private static int? Length(Row row)
    {
        var (cut, length) = (row.Flag("truncation") ?? false, row.Number("max_length", least: 1));
        if (cut && length is null) throw row.Fault("\"truncation\" needs \"max_length\"", "give the number of ids to keep");
        if (!cut && length is not null) throw row.Fault("\"max_length\" alone cuts nothing", "add \"truncation\": true, or leave it out");
        return length;
    }
}
