// Images, sounds and films in conversations: templates write a mark for each, behind which a model would see nothing.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>What is no text.</summary>
public static class OtherMedia
{
    private static readonly string[] Types = ["image", "image_url", "input_image", "video", "video_url", "audio", "audio_url", "input_audio"];
    private static readonly string[] Columns = ["images", "image", "videos", "video", "audios", "audio"];

    /// <summary>What is wrong with messages of which a part is no text; null = nothing.</summary>
    /// <param name="messages">A conversation.</param>
    public static string? Fault(IEnumerable<ChatMessage> messages)
    {
        var kinds = messages.Where(m => m.Fields.ValueKind == JsonValueKind.Object && m.Fields.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.Array)
            .SelectMany(m => m.Fields.GetProperty("content").EnumerateArray().Where(part => part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String))
            .Select(part => part.GetProperty("type").GetString()!);
        return kinds.FirstOrDefault(Types.Contains) is { } kind ? $"a message has a part of the type {kind}, and texts alone are read: leave the part out, or the row" : null;
    }

    /// <summary>What is wrong with a row that has a column of such things; null = nothing.</summary>
    /// <param name="record">The row.</param>
    public static string? Fault(DataRecord record) => Columns.FirstOrDefault(column => record.Has(column) && record.Fields[column] is not JsonArray { Count: 0 }) is { } found
        ? $"'{found}' has a value, and texts alone are read: leave the column out, or the row" : null;
}
