// PEFT's adapter folders: adapter_config.json (indent 2, sorted keys) and adapter_model.safetensors.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Jobs;

internal static class AdapterFolders
{
    private const string Config = "adapter_config.json";
    private const string Weights = "adapter_model.safetensors";

    internal static AdapterFiles Open(string folder)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, Config)))!.AsObject();
        using var file = SafetensorsFile.Open(Path.Combine(folder, Weights));
        return new AdapterFiles(config, file.Tensors.ToDictionary(t => t.Name, t => file.Tensor(t.Name)));
    }

    internal static void Write(string folder, AdapterFiles files)
    {
        SafetensorsWriter.Write(Path.Combine(folder, Weights), files.Tensors, new Dictionary<string, string> { ["format"] = "pt" });
        var sorted = new JsonObject(files.Config.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => new KeyValuePair<string, JsonNode?>(c.Key, c.Value?.DeepClone())));
        File.WriteAllText(Path.Combine(folder, Config), sorted.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
    }
}
