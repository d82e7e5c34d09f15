// What an imported manifest has to say of the model's own config.json, where its folder is here.

using System.Text.Json;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Importing;

internal static class ImportedModel
{
    // What GPT2Config has where the file says nothing.
    private static readonly string[] Gpt2 = ["resid_pdrop", "embd_pdrop", "attn_pdrop"];

    /// <summary>What the same training of the model is in TRL and is not here.</summary>
    /// <param name="folder">A model's folder, or a name that leads to none.</param>
    /// <param name="method">Its objective.</param>
    /// <param name="dropout">Whether TRL trains with the model's dropout.</param>
    /// <param name="documents">Whether several documents stand in a sequence that are not to see each other.</param>
    internal static IEnumerable<string> Differences(string folder, string method, bool dropout, bool documents)
    {
        if (Config(folder) is not { } config) yield break;
        if (dropout && Dropout(config) is { Length: > 0 } rates) yield return $"the model's own dropout ({rates} by its config.json) is not applied: TRL trains with it; the only dropout here is an adapter's";
        // Whether transformers knows that a loss leaves the first token out goes by the class's name, and GPT2LMHeadModel's says nothing.
        if (method is "sft" && Type(config) is "gpt2") yield return "of gpt2 TRL divides the loss of rows of text by all their tokens, of which the first is never predicted; here, as of all other models, by those that are";
        // Their classes make the mask without the positions, at whose zeros transformers otherwise sees where a document begins.
        if (documents && (Type(config) is "falcon" or "opt")) yield return $"of {Type(config)} TRL lets the documents of a pack, and the rows of a batch without padding, see each other (its class in transformers does not look at where they begin, unless flash attention does); here they do not";
    }

    // As "resid_pdrop 0.1"; empty where it has none.
    private static string Dropout(JsonElement config)
    {
        var said = config.EnumerateObject().Where(entry => IsOfDecoder(entry.Name) && entry.Value.ValueKind is JsonValueKind.Number && entry.Value.GetDouble() > 0).Select(entry => $"{entry.Name} {entry.Value.GetRawText()}");
        return string.Join(", ", said.Concat(Gpt2.Where(name => Type(config) is "gpt2" && !config.TryGetProperty(name, out _)).Select(name => $"{name} 0.1")));
    }

    private static string? Type(JsonElement config) => config.TryGetProperty("model_type", out var type) && type.ValueKind is JsonValueKind.String ? type.GetString() : null;

    private static bool IsOfDecoder(string name) => (name.EndsWith("pdrop", StringComparison.Ordinal) || name.EndsWith("dropout", StringComparison.Ordinal)) && !name.StartsWith("classifier", StringComparison.Ordinal) && !name.StartsWith("summary", StringComparison.Ordinal);

    private static JsonElement? Config(string folder)
    {
        var file = Path.Combine(folder, "config.json");
        return folder.Length > 0 && File.Exists(file) ? StrictJson.Object(file) : null;
    }
}
