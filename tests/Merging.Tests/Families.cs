// Small folders whose tensors are called as one family of models calls them, with numbers that are the folder's own.

using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Merging.Tests;

internal static class Families
{
    /// <summary>Writes a model of some shapes.</summary>
    /// <param name="root">Where its folder is made.</param>
    /// <param name="name">The folder's name, which the numbers depend on.</param>
    /// <param name="config">config.json.</param>
    /// <param name="shapes">Its tensors.</param>
    /// <param name="others">Tensors as they are.</param>
    public static string Write(string root, string name, JsonObject config, IEnumerable<(string Name, long[] Shape)> shapes, params (string Name, Tensor Tensor)[] others)
    {
        var folder = Directory.CreateDirectory(Path.Combine(root, name)).FullName;
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        var tensors = shapes.ToDictionary(s => s.Name, s => new CounterStream(1, name, s.Name).Normal(s.Shape));
        foreach (var (other, tensor) in others) tensors[other] = tensor;
        CheckpointFolder.Write(folder, tensors);
        return folder;
    }

    /// <summary>config.json with the sizes that every family has.</summary>
    public static JsonObject Config(string type, string architecture, int layers, params (string Key, JsonNode Value)[] further)
    {
        var config = new JsonObject { ["model_type"] = type, ["architectures"] = new JsonArray(architecture), ["vocab_size"] = 6, ["hidden_size"] = 4, ["num_hidden_layers"] = layers, ["num_attention_heads"] = 2, ["tie_word_embeddings"] = false };
        foreach (var (key, value) in further) config[key] = value;
        config.TryAdd("num_key_value_heads", config["num_attention_heads"]!.DeepClone()); // classes have their own number, which would not fit
        return config;
    }

    /// <summary>A llama in little: one matrix and one norm per layer.</summary>
    public static IEnumerable<(string, long[])> Llama(int layers, int hidden = 4, int vocabulary = 6, bool head = true)
    {
        IEnumerable<(string, long[])> all = [("model.embed_tokens.weight", [vocabulary, hidden]), ("model.norm.weight", [hidden])];
        foreach (var k in Enumerable.Range(0, layers)) all = [.. all, ($"model.layers.{k}.self_attn.q_proj.weight", [hidden, hidden]), ($"model.layers.{k}.input_layernorm.weight", [hidden])];
        return head ? [.. all, ("lm_head.weight", [vocabulary, hidden])] : all;
    }

    /// <summary>Merges what the text says of the models in a folder.</summary>
    public static Dictionary<string, Tensor> Merged(string root, string yaml, out string folder, out IReadOnlyList<string> warnings)
    {
        folder = Path.Combine(Workshop.Scratch("family"), "out");
        using var plan = Merger.Plan(yaml, "test.yaml", Workshop.Strategies.Find, path => Path.GetFullPath(path, root));
        new MergeRunner(plan, new MergeOptions()).Write(folder);
        warnings = plan.Warnings;
        return Workshop.Tensors(folder);
    }

    /// <summary>Merges what the text says of the models in a folder.</summary>
    public static Dictionary<string, Tensor> Merged(string root, string yaml) => Merged(root, yaml, out _, out _);

    /// <summary>One slice after another, each of one model.</summary>
    public static string Stack(string more, params (string Model, int First, int End)[] slices) =>
        $"merge_method: passthrough\n{more}slices:\n" + string.Concat(slices.Select(s => $"- sources: [{{model: {s.Model}, layer_range: [{s.First}, {s.End}]}}]\n"));
}
