// Makes a model in the run: random weights after a config, and a tokenizer beside them.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Models;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Jobs;

internal static class MakeModelJob
{
    internal static JsonObject Run(JobContext job)
    {
        var options = job.Spec.Options;
        if (options["tokenizer"] is not JsonValue tokenizer || (string?)tokenizer != "bytes")
            throw new UserErrorException($"tokenizer: {options["tokenizer"]?.ToJsonString()} is not built yet for a model made in the run; use 'bytes'.");
        var settings = Settings(options);
        long parameters = 0;
        RunFolder.Fill(job.Folder.Model, folder =>
        {
            ByteTokenizer.Save(folder);
            parameters = ModelFolder.Initialise(folder, Architecture(options), settings, (ulong)(long)options["seed"]!, PluginArchitectures.Of(job.Plugins), job.Cancellation);
        });
        return new JsonObject { ["parameters"] = parameters };
    }

    /// <summary>The architecture's model_type, which is a plugin's contract without the plugin's id.</summary>
    internal static string Architecture(JsonObject options) => ((string)options["architecture"]!["name"]!).Split('/')[^1];

    /// <summary>Keys of config.json: the architecture's own, and what the tokenizer decides.</summary>
    internal static JsonObject Settings(JsonObject options)
    {
        var settings = options["architecture"]!["options"]?.DeepClone().AsObject() ?? [];
        settings.TryAdd("vocab_size", ByteTokenizer.Create().VocabularySize);
        settings.TryAdd("bos_token_id", ByteTokenizer.Bos);
        settings.TryAdd("eos_token_id", ByteTokenizer.Eos);
        settings.TryAdd("pad_token_id", ByteTokenizer.Pad);
        return settings;
    }
}
