// The texts on which the merged model is compared with its parents.

using System.Security.Cryptography;
using System.Text;

namespace PeftAlign.Merging;

/// <summary>A text, or token ids where the models have no tokenizer.</summary>
internal sealed record ProbeRow(string? Text, int[]? Ids);

/// <param name="Name">The file, or "built-in".</param>
/// <param name="Rows">At least one.</param>
internal sealed record Probe(string Name, IReadOnlyList<ProbeRow> Rows)
{
    private static readonly string[] Texts =
    [
        "The harbour was quiet after the storm, and the fishermen went out to see what was left of their boats.",
        "Question: How many legs do three spiders have together? Answer: Each spider has eight legs, so three have twenty-four.",
        "To make the soup, cut two onions and four carrots, fry them in a little oil, add a litre of water and let it simmer for half an hour.",
        "I am sorry, but I cannot help with that. If you are in danger, please call the emergency services of your country.",
        "def area(width, height):\n    return width * height\n\nprint(area(3, 4))",
        "In 1610 a small telescope was enough to see that four lights move around Jupiter, night after night.",
        "User: My neighbour plays loud music every evening. What can I do?\nAssistant: Talk to them first, calmly, and tell them which hours trouble you.",
        "The committee accepted the first proposal, rejected the second, and put off the third until the figures were known.",
    ];

    /// <summary>Prose, questions, a refusal, a recipe, code: a little of what instruct models are asked.</summary>
    public static Probe BuiltIn { get; } = new("built-in", [.. Texts.Select(text => new ProbeRow(text, null))]);

    /// <summary>SHA-256 of the rows.</summary>
    public string Sha256 => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join("\0", Rows.Select(row => row.Text ?? string.Join(',', row.Ids!))))));
}
