// Makes a model in the run: random weights after a config, and a tokenizer beside them.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Jobs;

internal static class MakeModelJob
{
    internal static JsonObject Run(JobContext job)
    {
        var options = job.Spec.Options;
        var architecture = options["architecture"]!;
        var partial = job.Folder.Model + ".partial";
        if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        Directory.CreateDirectory(partial);
        var tokenizer = options["tokenizer"];
        var settings = architecture["options"]?.DeepClone().AsObject() ?? [];
        if (tokenizer is JsonValue value && (string?)value == "bytes")
        {
            ByteTokenizer.Save(partial);
            settings.TryAdd("vocab_size", ByteTokenizer.Create().VocabularySize);
            settings.TryAdd("bos_token_id", ByteTokenizer.Bos);
            settings.TryAdd("eos_token_id", ByteTokenizer.Eos);
            settings.TryAdd("pad_token_id", ByteTokenizer.Pad);
        }
        else
        {
            throw new UserErrorException($"tokenizer: {tokenizer?.ToJsonString()} is not built yet for a model made in the run; use 'bytes'.");
        }
        var parameters = ModelFolder.Initialise(partial, (string)architecture["name"]!, settings, (ulong)(long)options["seed"]!);
        Directory.Move(partial, job.Folder.Model);
        return new JsonObject { ["parameters"] = parameters };
    }
}
