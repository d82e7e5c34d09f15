// Begin and end token around a text of GPT-2's two files, where the configuration asks for them (OPT's add_bos_token): to compute with, and
// as tokenizer.json has it, beside which the configuration's word would count for nothing.

using System.Text.Json.Nodes;
using PeftAlign.Models.Text.PostProcessors;

namespace PeftAlign.Models.Text.Files;

/// <param name="Begin">Token before each text; null = none.</param>
/// <param name="End">Token behind each text; null = none.</param>
internal sealed record Gpt2Frame((int Id, string Token)? Begin, (int Id, string Token)? End)
{
    private IReadOnlyList<TemplatePart> Single => Around(0);

    private IReadOnlyList<TemplatePart> Pair => [.. Around(0), .. Around(1)];

    /// <summary>The frame that a configuration asks for; null where it asks for none, or for tokens that are not there.</summary>
    /// <param name="config">What lies beside the files.</param>
    /// <param name="begin">The begin token; null = none.</param>
    /// <param name="end">The end token; null = none.</param>
    /// <param name="idOf">A token's id; negative = it is not there.</param>
    public static Gpt2Frame? Of(TokenizerConfig config, string? begin, string? end, Func<string, int> idOf)
    {
        (int, string)? Token(bool? asked, string? token) => asked == true && token is not null && idOf(token) is >= 0 and var id ? (id, token) : null;
        var frame = new Gpt2Frame(Token(config.AddBos, begin), Token(config.AddEos, end));
        return frame is { Begin: null, End: null } ? null : frame;
    }

    public TemplatePostProcessor Processor() => new(Single, Pair);

    public JsonObject ToJson() => new()
    {
        ["type"] = "TemplateProcessing",
        ["single"] = Parts(Single),
        ["pair"] = Parts(Pair),
        ["special_tokens"] = new JsonObject(new[] { Begin, End }.OfType<(int Id, string Token)>().Distinct()
            .Select(t => KeyValuePair.Create<string, JsonNode?>(t.Token, new JsonObject { ["id"] = t.Token, ["ids"] = new JsonArray(t.Id), ["tokens"] = new JsonArray(t.Token) }))),
    };

    private IReadOnlyList<TemplatePart> Around(int text)
    {
        IEnumerable<TemplatePart> Token((int Id, string Token)? token) => token is { } there ? [TemplatePart.OfToken(there.Token, there.Id, text)] : [];
        return [.. Token(Begin), TemplatePart.OfText(text, text), .. Token(End)];
    }

    private static JsonArray Parts(IReadOnlyList<TemplatePart> parts) => [.. parts.Select(part => part.Text < 0 ? Part("SpecialToken", part.Special[0].Token, part) : Part("Sequence", part.Text == 0 ? "A" : "B", part))];

    private static JsonNode Part(string kind, string id, TemplatePart part) => new JsonObject { [kind] = new JsonObject { ["id"] = id, ["type_id"] = part.TypeId } };
}
