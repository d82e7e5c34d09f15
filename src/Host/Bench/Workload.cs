// What is measured: models with random weights of known shapes, made once in a folder, and token rows drawn from a seed, the same
// for both sides.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Bench;

/// <summary>Models and rows in one folder.</summary>
/// <param name="folder">Where they are kept for the next time.</param>
internal sealed class Workload(string folder)
{
    internal const int NewTokens = 64;
    private const int Vocabulary = 32000, PromptTokens = 64, ContextTokens = 600;

    internal string Folder => folder;

    /// <summary>GPT-2's smallest, whose full training step is compared with a LoRA step.</summary>
    internal const string Gpt2 = "gpt2";

    /// <summary>Names and shapes of LLaMA models: hidden, inner, layers, heads.</summary>
    internal static IReadOnlyDictionary<string, (int Hidden, int Inner, int Layers, int Heads)> Shapes { get; } = new Dictionary<string, (int, int, int, int)>
    {
        ["llama-25m"] = (384, 1024, 8, 6),
        ["llama-110m"] = (768, 2048, 12, 12),
    };

    /// <summary>A model whose step takes a millisecond.</summary>
    internal const string Small = "llama-growth";

    /// <summary>The folder of a model, made if it is not there; another seed, other weights.</summary>
    internal string Model(string shape, ulong seed = 0)
    {
        var target = Path.Combine(folder, seed == 0 ? shape : $"{shape}-{seed}");
        if (Directory.Exists(target)) return target;
        var fresh = $"{target}.new-{Environment.ProcessId}";
        Directory.CreateDirectory(fresh);
        ModelFolder.Initialise(fresh, shape == Gpt2 ? "gpt2" : "llama", shape == Gpt2 ? new JsonObject { ["vocab_size"] = 50257 } : Llama(shape), seed);
        Directory.Move(fresh, target);
        return target;
    }

    /// <summary>A file of rows to train on.</summary>
    internal string Training(string name, TrainingRows rows) => Write($"train-{name}", rows.Json());

    private static JsonObject Llama(string shape)
    {
        var (hidden, inner, layers, heads) = shape == Small ? (16, 32, 2, 2) : Shapes[shape];
        return new JsonObject
        {
            ["vocab_size"] = Vocabulary,
            ["hidden_size"] = hidden,
            ["intermediate_size"] = inner,
            ["num_hidden_layers"] = layers,
            ["num_attention_heads"] = heads,
            ["num_key_value_heads"] = heads,
            ["max_position_embeddings"] = 2048,
        };
    }

    /// <summary>The folder of a model in 4 bits, made if it is not there.</summary>
    internal string FourBit(string shape, IQuantization quantization)
    {
        var target = Path.Combine(folder, shape + "-nf4");
        if (Directory.Exists(target)) return target;
        var fresh = $"{target}.new-{Environment.ProcessId}";
        Directory.CreateDirectory(fresh);
        QuantizedFolder.Write(fresh, Model(shape), quantization, [], ModelArchitectures.BuiltIn);
        Directory.Move(fresh, target);
        return target;
    }

    /// <summary>A file of sequences to train on.</summary>
    internal string Sequences(int count, int tokens) => Write($"sequences-{count}-{tokens}", new JsonObject { ["sequences"] = Rows(count, tokens, 200) });

    /// <summary>A file of prompts for greedy generation.</summary>
    internal string Prompts(int batch) =>
        Write($"prompts-{batch}", new JsonObject { ["prompts"] = Rows(batch, PromptTokens, batch), ["new_tokens"] = NewTokens });

    /// <summary>A file of questions: a context and four continuations each.</summary>
    internal string Questions(int items, int answerTokens)
    {
        var (contexts, answers) = (Rows(items, ContextTokens, 100), Rows(4 * items, answerTokens, 101));
        var all = contexts.Select((context, i) => (JsonNode)new JsonObject
        {
            ["context"] = context!.DeepClone(),
            ["continuations"] = new JsonArray([.. answers.Skip(4 * i).Take(4).Select(a => a!.DeepClone())]),
        });
        return Write($"questions-{items}-{answerTokens}", new JsonObject { ["items"] = new JsonArray([.. all]) });
    }

    /// <summary>A merge of three models with a base, in mergekit's YAML.</summary>
    internal string Merge(string method)
    {
        var models = Enumerable.Range(1, 3).Select(k => Model("llama-110m", (ulong)k)).ToList();
        var head = $"merge_method: {method}\ndtype: bfloat16\n";
        var text = method switch
        {
            "slerp" => head + $"base_model: {models[0]}\nmodels:\n- model: {models[0]}\n- model: {models[1]}\nparameters: {{t: 0.4}}\n",
            "linear" => head + "models:\n" + string.Concat(models.Select(m => $"- {{model: {m}, parameters: {{weight: 0.3333}}}}\n")),
            _ => head + $"base_model: {Model("llama-110m")}\nparameters: {{normalize: true}}\nmodels:\n" + string.Concat(models.Select(m => $"- {{model: {m}, parameters: {{weight: 0.5, density: 0.5}}}}\n")),
        };
        var file = Path.Combine(folder, $"merge-{method}.yml");
        File.WriteAllText(file, text);
        return file;
    }

    private string Write(string name, JsonObject rows)
    {
        var file = Path.Combine(folder, name + ".json");
        File.WriteAllText(file, rows.ToJsonString());
        return file;
    }

    private static JsonArray Rows(int count, int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (JsonNode)new JsonArray([.. Enumerable.Range(0, length).Select(_ => (JsonNode)random.Next(3, Vocabulary))]))];
    }
}
