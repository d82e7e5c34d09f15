// The flags by which commands name a judge: a folder (a classifier, or a language model that compares by log-probs), or a plugin's judge
// with its options.

using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Evaluation;

internal sealed class JudgeFlags
{
    private readonly Option<string?> judge = new("--judge") { HelpName = "NAME_OR_DIR", Description = "Who judges: a folder (a sequence classifier, or a language model), or a plugin's judge such as openai." };
    private readonly Option<string[]> options = new("--judge-option") { HelpName = "KEY=VALUE", Description = "An option of the judge, such as model=gpt-4 of openai; may be given several times." };

    internal void AddTo(Command command)
    {
        command.Add(judge);
        command.Add(options);
    }

    /// <summary>The judge as benchmarks take it; null where none is asked for.</summary>
    /// <exception cref="UserErrorException">There is no such judge.</exception>
    internal JsonObject? Read(ParseResult parsed, PluginCatalogue plugins)
    {
        var given = parsed.GetValue(options) ?? [];
        if (parsed.GetValue(judge) is not { } name) return given.Length == 0 ? null : throw new UserError($"--judge-option {given[0]}", "is an option of no judge", "give --judge");
        var folder = Directory.Exists(name);
        var known = plugins.All.Where(p => p.Contract.Kind == "judge").ToList();
        if (!folder && !known.Exists(p => p.Contract.Name == name || p.QualifiedName == name))
            throw new UserError($"--judge {name}", "is no folder and no judge of a plugin", Near.DidYouMean(name, known.Select(p => p.Contract.Name)) ?? $"judges are {string.Join(", ", known.Select(p => p.Contract.Name).Order(StringComparer.Ordinal))}");
        var type = folder ? TypeOf(name) : name;
        var bound = new JsonObject();
        if (folder) bound["path"] = Path.GetFullPath(name);
        var schema = plugins.Find("judge", type).Contract.Options;
        foreach (var text in given)
        {
            if (text.Split('=', 2) is not [var key, var value]) throw new UserError($"--judge-option {text}", "is no KEY=VALUE", "write it with =");
            var names = schema.Options.Select(o => o.Name);
            var option = schema.Find(key) ?? throw new UserError($"--judge-option {key}", $"is no option of the judge {type}", Near.DidYouMean(key, names) ?? $"it has {string.Join(", ", names)}");
            bound[key] = OptionText.Parse(option.Type, value);
        }
        return new JsonObject { ["name"] = type, ["options"] = bound };
    }

    private static string? OfTraining(string folder) => Path.Combine(folder, "model") is var model && File.Exists(Path.Combine(model, "config.json")) ? $"give {model}" : null;

    private static string TypeOf(string folder)
    {
        var file = Path.Combine(folder, "config.json");
        if (!File.Exists(file)) throw new UserError($"--judge {folder}", "has no config.json", OfTraining(folder) ?? "give the folder of a sequence classifier or of a language model");
        try
        {
            var architecture = (string?)JsonNode.Parse(File.ReadAllText(file))?["architectures"]?[0] ?? "";
            return architecture.EndsWith("ForCausalLM", StringComparison.Ordinal) || architecture.EndsWith("LMHeadModel", StringComparison.Ordinal) ? "causal" : "classifier";
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new UserError(file, $"cannot be read: {e.Message}", "fetch it again");
        }
    }
}
