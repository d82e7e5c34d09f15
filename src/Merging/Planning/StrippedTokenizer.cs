// A tokenizer without the tokens that its model has no rows for, as mergekit strips them: ids that the result gives away again. Format:
// tokenizer.json of the `tokenizers` library, and the files of transformers beside it.

using System.Globalization;
using System.Text.Json.Nodes;

namespace PeftAlign.Merging;

internal static class StrippedTokenizer
{
    /// <summary>A copy of tokenizer.json without tokens, and merges of tokens, from a row on.</summary>
    /// <param name="json">The file.</param>
    /// <param name="rows">Rows of the model's embedding.</param>
    public static JsonObject Of(JsonObject json, long rows)
    {
        var copy = (JsonObject)json.DeepClone();
        if (copy["added_tokens"] is JsonArray added) Keep(added, token => (long)token!["id"]! < rows);
        if (copy["model"] is not JsonObject model) return copy;
        var gone = new HashSet<string>();
        if (model["vocab"] is JsonObject vocab)
            foreach (var (token, id) in vocab.ToList())
                if ((long)id! >= rows && vocab.Remove(token)) gone.Add(token);
        if (model["vocab"] is JsonArray pieces)
            while (pieces.Count > rows) pieces.RemoveAt(pieces.Count - 1);
        var prefix = (string?)model["continuing_subword_prefix"] ?? "";
        if (gone.Count > 0 && model["merges"] is JsonArray merges) Keep(merges, merge => Sides(merge!) is var (a, b) && !gone.Contains(a) && !gone.Contains(b) && !gone.Contains(Joined(a, b, prefix)));
        return copy;
    }

    /// <summary>tokenizer_config.json without these tokens, and without roles of tokens that are no part of the result.</summary>
    /// <param name="json">The file.</param>
    /// <param name="rows">Rows of the model's embedding.</param>
    /// <param name="ids">The result's tokens.</param>
    public static JsonObject Config(JsonObject json, long rows, IReadOnlyDictionary<string, long> ids)
    {
        var copy = Roles(json, ids);
        if (copy["added_tokens_decoder"] is JsonObject decoder)
            foreach (var id in decoder.Select(pair => pair.Key).ToList())
                if (long.TryParse(id, CultureInfo.InvariantCulture, out var number) && number >= rows) decoder.Remove(id);
        return copy;
    }

    /// <summary>A copy of tokenizer_config.json or special_tokens_map.json without roles of tokens that are no part of the result: a
    /// loader would add such a token again, behind the model's last row.</summary>
    /// <param name="json">The file.</param>
    /// <param name="ids">The result's tokens.</param>
    public static JsonObject Roles(JsonObject json, IReadOnlyDictionary<string, long> ids)
    {
        var copy = (JsonObject)json.DeepClone();
        bool Stays(JsonNode? token) => Content(token) is not { Length: > 0 } content || ids.ContainsKey(content);
        void Named(JsonObject from, Func<string, bool> isRole)
        {
            foreach (var name in from.Where(role => isRole(role.Key) && !Stays(role.Value)).Select(role => role.Key).ToList()) from.Remove(name);
        }
        Named(copy, name => name.EndsWith("_token", StringComparison.Ordinal));
        foreach (var further in (string[])["additional_special_tokens", "extra_special_tokens"])
            if (copy[further] is JsonArray list) Keep(list, Stays);
            else if (copy[further] is JsonObject group) Named(group, _ => true);
        return copy;
    }

    /// <summary>added_tokens.json (token to id) without these tokens.</summary>
    /// <param name="json">The file.</param>
    /// <param name="rows">Rows of the model's embedding.</param>
    public static JsonObject Added(JsonObject json, long rows)
    {
        var copy = (JsonObject)json.DeepClone();
        foreach (var (token, id) in json)
            if (id is JsonValue value && value.TryGetValue<long>(out var number) && number >= rows) copy.Remove(token);
        return copy;
    }

    // A text, or an object with the token's flags; null for what is no token (add_bos_token is a flag).
    private static string? Content(JsonNode? token) =>
        (token is JsonObject flags ? flags["content"] : token) is JsonValue value && value.TryGetValue<string>(out var content) ? content : null;

    // "a b", or ["a", "b"].
    private static (string, string) Sides(JsonNode merge) =>
        merge is JsonArray pair ? ((string)pair[0]!, (string)pair[1]!) : ((string)merge!).Split(' ', 2) is [var a, var b] ? (a, b) : ((string)merge!, "");

    private static string Joined(string a, string b, string prefix) => a + (b.StartsWith(prefix, StringComparison.Ordinal) ? b[prefix.Length..] : b);

    private static void Keep(JsonArray list, Func<JsonNode?, bool> keep)
    {
        for (var k = list.Count - 1; k >= 0; k--)
            if (!keep(list[k])) list.RemoveAt(k);
    }
}
