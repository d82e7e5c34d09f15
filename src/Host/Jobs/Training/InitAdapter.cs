// init_adapter: the folder's settings apply. A manifest that contradicts them is refused; where it says nothing and the folder differs
// from a default, the log says so.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Jobs;

internal static class InitAdapter
{
    // Which modules they select counts, not how: all-linear and a list of names may be the same.
    private static readonly string[] Selecting = ["targets", "exclude_modules", "layers_to_transform", "layers_pattern"];

    // With none of these given the folder alone decides.
    private static readonly string[] Choosing = [.. Selecting, "feedforward_modules"];

    /// <summary>Compares a contract's options with a folder's settings.</summary>
    /// <param name="job">Its plugins.</param>
    /// <param name="contract">The adapter that is to be trained, with every option.</param>
    /// <param name="model">The modules.</param>
    /// <param name="folder">What messages call the folder.</param>
    /// <param name="files">Its contents.</param>
    /// <exception cref="UserErrorException">The type, or options that are not at their defaults, differ; both values are named.</exception>
    internal static void ThrowIfOther(JobContext job, JsonNode contract, ModelOutline model, string folder, AdapterFiles files)
    {
        var adapter = job.Create<IPeftAdapter>(Plain(contract));
        var type = (string?)files.Config["peft_type"];
        if (type != adapter.PeftType) throw new UserErrorException($"init_adapter {folder} is {type}, and the adapter {contract["name"]} is {adapter.PeftType}; name an adapter of the folder's type.");
        var found = Differences(job, contract, model, files).ToList();
        foreach (var (option, given, own) in found.Where(f => IsDefault(f.Option, f.Given)))
            job.Logger.LogWarning("init_adapter: the folder's {Option} {Own} holds, not the default {Given}", option.Name, Text(own), Text(given));
        // An option that is not given is at its default here, so that the folder's cannot stand in for it unasked.
        var (dropout, before) = (contract["options"]?["dropout"], files.Config["lora_dropout"]);
        if (dropout is not null && before is not null && !Same(dropout, before))
            job.Logger.LogWarning("init_adapter: dropout is {Dropout} in this training and {Before} in the folder; dropout {Same} trains on as before", Text(dropout), Text(before), Text(before));
        var refused = found.Where(f => !IsDefault(f.Option, f.Given)).Select(f => $"{f.Option.Name} is {Text(f.Given)} here and {Text(f.Own)} in the folder").ToList();
        if (refused.Count > 0) throw new UserErrorException($"init_adapter {folder}: {string.Join("; ", refused)}. The folder's settings hold: leave these options out, or write the folder's values.");
    }

    private static IEnumerable<(OptionSchema Option, JsonNode? Given, JsonNode? Own)> Differences(JobContext job, JsonNode contract, ModelOutline model, AdapterFiles files)
    {
        var options = job.Plugins.Find(ContractKinds.Of(typeof(IPeftAdapter))!, (string)contract["name"]!).Contract.Options.Options;
        var choosing = options.Where(o => Choosing.Contains(o.Name)).ToList();
        var isChosen = !choosing.Exists(o => o.Name == "targets") || choosing.Exists(o => !IsDefault(o, contract["options"]?[o.Name]));
        var own = new Lazy<IReadOnlyList<AdapterSite>>(() => ScoreHead.Load(job.Create<IPeftAdapter>(Plain(contract)), model, files));
        var adapter = job.Create<IPeftAdapter>(Plain(isChosen ? contract : Like(contract, own.Value)));
        var sites = adapter.Attached(model, 0);
        var config = adapter.Saved(model, sites).Config;
        foreach (var option in options)
        {
            var given = contract["options"]?[option.Name];
            if (option.Name == "dropout" || (!isChosen && choosing.Contains(option))) continue; // this training's own; nobody's but the folder's
            if (option.Name is "init" or "init_text" or "init_tokenizer")
            {
                if (given is not null && !IsDefault(option, given)) yield return (option, given, JsonValue.Create("its numbers"));
                continue;
            }
            var key = option.Aliases.Prepend(option.Name).FirstOrDefault(config.ContainsKey);
            if (key is null || Same(config[key], files.Config[key]) || (Selecting.Contains(option.Name) && Trained(sites).SetEquals(Trained(own.Value)))) continue;
            yield return (option, given ?? option.Default, files.Config[key]); // never what Attach made of an option that is not given
        }
    }

    // Where no option says which modules, they are the folder's: the architecture need have no usual ones.
    private static JsonNode Like(JsonNode contract, IReadOnlyList<AdapterSite> own)
    {
        var like = contract.DeepClone();
        (like["options"] as JsonObject)?.Remove("placement"); // another way to say which
        like["options"]!["targets"] = new JsonArray([.. own.Where(s => s.Delta.Parameters.Count > 0 && s.Delta is not (Whole or TokenRows)).Select(s => (JsonNode)s.Module)]);
        return like;
    }

    // A folder may hold another base's tables too, which no options ask for; modules trained whole (a reward model's head) are no targets.
    private static HashSet<string> Trained(IReadOnlyList<AdapterSite> sites) => [.. sites.Where(s => s.Delta.Parameters.Count > 0 && s.Delta is not Whole).Select(s => s.Module)];

    // Without what decides only about first numbers, which may be costly to find.
    private static JsonObject Plain(JsonNode contract)
    {
        var plain = contract.DeepClone().AsObject();
        foreach (var name in TrainingStart.NotOfItsShape) (plain["options"] as JsonObject)?.Remove(name);
        return plain;
    }

    private static bool IsDefault(OptionSchema option, JsonNode? value) => Same(option.Default, value);

    // Null, nothing, false and empty are one; lists are sets, and one of a single text is that text (an expression); numbers are numbers.
    internal static bool Same(JsonNode? a, JsonNode? b)
    {
        if (IsNothing(a) || IsNothing(b)) return IsNothing(a) && IsNothing(b);
        (a, b) = (a is JsonArray { Count: 1 } single ? single[0] : a, b is JsonArray { Count: 1 } other ? other[0] : b);
        if (a is JsonArray x && b is JsonArray y) return x.Select(Text).ToHashSet().SetEquals(y.Select(Text));
        return JsonNode.DeepEquals(a, b) || (double.TryParse(Text(a), out var p) && double.TryParse(Text(b), out var q) && p == q);
    }

    private static bool IsNothing(JsonNode? node) => node is null or JsonArray { Count: 0 } or JsonObject { Count: 0 } || Text(node) is "false" or "\"none\"";

    private static string Text(JsonNode? node) => node?.ToJsonString() ?? "none";
}
