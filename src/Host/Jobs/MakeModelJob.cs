// Makes a model in the run: random weights after a config, and a tokenizer beside them.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Models;

namespace PeftAlign.Host.Jobs;

internal static class MakeModelJob
{
    internal static JsonObject Run(JobContext job)
    {
        var options = job.Spec.Options;
        var settings = Settings(options, job.Spec.FullPath);
        long parameters = 0;
        RunFolder.Fill(job.Folder.Model, folder =>
        {
            MadeTokenizer.Write(job, options["tokenizer"]!, folder);
            parameters = ModelFolder.Initialise(folder, Architecture(options), settings, (ulong)(long)options["seed"]!, PluginArchitectures.Of(job.Plugins), job.Cancellation);
        });
        return new JsonObject { ["parameters"] = parameters };
    }

    /// <summary>The architecture's model_type, which is a plugin's contract without the plugin's id.</summary>
    internal static string Architecture(JsonObject options) => ((string)options["architecture"]!["name"]!).Split('/')[^1];

    /// <summary>Keys of config.json: the architecture's own, and what the tokenizer decides.</summary>
    /// <param name="options">The job's.</param>
    /// <param name="full">A path from the manifest's folder.</param>
    /// <exception cref="UserErrorException">The tokenizer has more ids than vocab_size says.</exception>
    internal static JsonObject Settings(JsonObject options, Func<string, string> full)
    {
        var settings = options["architecture"]!["options"]?.DeepClone().AsObject() ?? [];
        var tokenizer = MadeTokenizer.Of(options["tokenizer"]!, full);
        if ((long?)settings["vocab_size"] is { } given && given < tokenizer.Vocabulary)
            throw new UserErrorException($"vocab_size: {given} is less than the {tokenizer.Vocabulary} ids of the model's tokenizer; give at least that, or leave it out.");
        settings.TryAdd("vocab_size", tokenizer.Vocabulary);
        foreach (var (key, id) in new (string, int?)[] { ("bos_token_id", tokenizer.Bos), ("eos_token_id", tokenizer.Eos), ("pad_token_id", tokenizer.Pad) })
            if (id is not null) settings.TryAdd(key, id);
        return settings;
    }
}
