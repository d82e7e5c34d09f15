// The files beside the merged weights: the leader's config.json with what the merge changed, tokenizer files, chat template, and the
// configuration of the merge itself.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Templates;

namespace PeftAlign.Merging;

internal static class OutputFiles
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly string[] Tokenizer = ["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json", ChatTemplateLoader.FileName, "chat_template.json"];

    /// <summary>Files that lose the tokens which a vocabulary of the merge's own leaves out.</summary>
    public static IReadOnlyList<string> Stripped { get; } = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

    public static void Write(MergePlan plan, string folder)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), Config(plan).ToJsonString(Indented) + "\n");
        var from = plan.Vocabulary?.From ?? plan.Leader;
        foreach (var name in Tokenizer.Append("generation_config.json").Where(name => File.Exists(Path.Combine(from.Folder, name))))
            Copy(Path.Combine(from.Folder, name), Path.Combine(folder, name));
        if (plan.Vocabulary is { } vocabulary)
        {
            File.WriteAllText(Path.Combine(folder, "tokenizer.json"), vocabulary.Json.ToJsonString(Indented) + "\n");
            var rows = from.Config.VocabularySize;
            Strip(Stripped[0], json => StrippedTokenizer.Config(json, rows, vocabulary.Ids));
            Strip(Stripped[1], json => StrippedTokenizer.Roles(json, vocabulary.Ids));
            Strip(Stripped[2], json => StrippedTokenizer.Added(json, rows));
        }
        if (MergeTemplate.Of(plan) is { } template)
        {
            File.Delete(Path.Combine(folder, "chat_template.json"));
            File.WriteAllText(Path.Combine(folder, ChatTemplateLoader.FileName), template);
        }

        // Left alone where no token goes.
        void Strip(string name, Func<JsonObject, JsonObject> of)
        {
            var file = Path.Combine(folder, name);
            if (!File.Exists(file) || JsonNode.Parse(File.ReadAllText(file)) is not JsonObject json || of(json) is var stripped && JsonNode.DeepEquals(stripped, json)) return;
            File.WriteAllText(file, stripped.ToJsonString(Indented) + "\n");
        }
    }

    // The contents alone: what is copied from a read-only folder is written to after this.
    private static void Copy(string from, string to)
    {
        using var source = File.OpenRead(from);
        using var target = new FileStream(to, FileMode.CreateNew, FileAccess.Write);
        source.CopyTo(target);
    }

    private static JsonObject Config(MergePlan plan)
    {
        var config = JsonNode.Parse(plan.Leader.Config.Whole.GetRawText())!.AsObject();
        var decoder = TextPart.In(config);
        foreach (var key in ModelConfig.LayerCountKeys)
            if (decoder.ContainsKey(key)) decoder[key] = plan.Layers;
        if (decoder != config && plan.Layers != plan.Leader.Config.LayerCount) decoder["num_hidden_layers"] = plan.Layers; // where the class's own number counted
        if (plan.Vocabulary is { } vocabulary) decoder["vocab_size"] = vocabulary.Count;
        // What a loader would ignore otherwise.
        if (plan.Tensors.Any(tensor => TensorNames.IsHead(tensor.Name))) config["tie_word_embeddings"] = false;
        config[config.ContainsKey("torch_dtype") ? "torch_dtype" : "dtype"] = plan.Tensors.First(tensor => !CopyStrategy.Takes(tensor.Result)).Result.ToString().ToLowerInvariant();
        if (plan.Leader.Decoded > 0) config.Remove("quantization_config");
        LayerLists.Follow(decoder, plan);
        return config;
    }
}
