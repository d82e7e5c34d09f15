// What `tokenize` was asked: which of its three works, on which rows; faults of the options are found before a file is opened.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Host.Rows;

namespace PeftAlign.Host.Tokenizing;

/// <summary>What becomes what.</summary>
internal enum TokenizeWork
{
    Encode,
    Decode,
    Chat,
}

/// <summary>The options of tokenize as given.</summary>
internal sealed record TokenizeRequest
{
    public required string Model { get; init; }
    public string? Text { get; init; }
    public string? Input { get; init; }
    public bool NoSpecial { get; init; }
    public bool Decode { get; init; }
    public bool Chat { get; init; }
    public bool AddGenerationPrompt { get; init; }
    public string? ChatTemplate { get; init; }

    public TokenizeWork Work => Chat ? TokenizeWork.Chat : Decode ? TokenizeWork.Decode : TokenizeWork.Encode;

    /// <summary>Refuses options that do not fit each other.</summary>
    /// <exception cref="UserError">What is missing or contradicts.</exception>
    public void Check()
    {
        if (Text is null && Input is null) throw new UserError("tokenize", "needs --text or --in", "give a text, or a file of rows (- for standard input)");
        if (Text is not null && Input is not null) throw new UserError("--text --in", "one row or a file of rows", "give one of them");
        if (Decode && Chat) throw new UserError("--decode --chat", "one makes text of ids and the other ids of messages", "give one of them");
        if (!Chat && AddGenerationPrompt) throw new UserError("--add-generation-prompt", "means something with --chat only", "add --chat, or leave it out");
        if (!Chat && ChatTemplate is not null) throw new UserError($"--chat-template {ChatTemplate}", "means something with --chat only", "add --chat, or leave it out");
    }

    /// <summary>The one row that --text stands for: a text, ids, or a message of the user's.</summary>
    /// <exception cref="UserError">Under --decode, a text that is no list of ids.</exception>
    public Row TextRow() => Row.Of("--text", Work switch
    {
        TokenizeWork.Decode => new JsonObject { ["ids"] = new JsonArray([.. Ids(Text!).Select(id => (JsonNode)id)]) },
        TokenizeWork.Chat => new JsonObject { ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = Text }) },
        _ => new JsonObject { ["text"] = Text },
    });

    private static IEnumerable<int> Ids(string text)
    {
        foreach (var part in text.Trim().TrimStart('[').TrimEnd(']').Split([' ', ',', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries))
            yield return int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
                ? id
                : throw new UserError($"--text {text}", $"'{part}' is no token id; under --decode the text is a list of whole numbers", "give for instance --text \"1 15043\"");
    }
}
