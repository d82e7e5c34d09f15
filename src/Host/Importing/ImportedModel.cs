// What an imported manifest has to say of the model's own config.json, where its folder is here.

using System.Text.Json;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Importing;

internal static class ImportedModel
{
    // What GPT2Config has where the file says nothing.
    private static readonly string[] Gpt2 = ["resid_pdrop", "embd_pdrop", "attn_pdrop"];

    /// <summary>The positions that the model has; null where they are not known.</summary>
    /// <param name="folder">A model's folder, or a name that leads to none.</param>
    internal static int? Positions(string folder)
    {
        if (Config(folder) is not { } config) return null;
        foreach (var name in (string[])["max_position_embeddings", "n_positions"])
            if (config.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.Number && value.TryGetInt32(out var positions) && positions > 0) return positions;
        return null;
    }

    /// <summary>The dropout that the model has in training, such as "resid_pdrop 0.1"; empty where it has none, or is not here.</summary>
    /// <param name="folder">A model's folder, or a name that leads to none.</param>
    internal static string Dropout(string folder)
    {
        if (Config(folder) is not { } config) return "";
        var said = config.EnumerateObject().Where(entry => IsOfDecoder(entry.Name) && entry.Value.ValueKind is JsonValueKind.Number && entry.Value.GetDouble() > 0).Select(entry => $"{entry.Name} {entry.Value.GetRawText()}");
        var isGpt2 = config.TryGetProperty("model_type", out var type) && type.ValueKind is JsonValueKind.String && type.GetString() is "gpt2";
        return string.Join(", ", said.Concat(Gpt2.Where(name => isGpt2 && !config.TryGetProperty(name, out _)).Select(name => $"{name} 0.1")));
    }

    private static bool IsOfDecoder(string name) => (name.EndsWith("pdrop", StringComparison.Ordinal) || name.EndsWith("dropout", StringComparison.Ordinal)) && !name.StartsWith("classifier", StringComparison.Ordinal) && !name.StartsWith("summary", StringComparison.Ordinal);

    private static JsonElement? Config(string folder)
    {
        var file = Path.Combine(folder, "config.json");
        return folder.Length > 0 && File.Exists(file) ? StrictJson.Object(file) : null;
    }
}
