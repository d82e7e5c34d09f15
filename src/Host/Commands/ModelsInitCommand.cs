// peftalign models init: a folder with random weights of any known architecture, which transformers loads as well.

using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Inspection;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class ModelsInitCommand
{
    private const string DefaultShard = "50GB"; // transformers'

    internal static Command Build(CommandFrame frame)
    {
        var architecture = new Argument<string>("ARCH") { Description = $"A model_type: {string.Join(", ", ModelArchitectures.BuiltIn.NamesToMake)}, or a plugin's." };
        var target = new Option<string>("--out") { HelpName = "DIR", Required = true, Description = "The new model folder." };
        var settings = new Option<string[]>("--set") { HelpName = "KEY=VALUE", Description = "A key of config.json; several are allowed. vocab_size must be given.", DefaultValueFactory = _ => [] };
        var shard = ShardSize.Option(DefaultShard);
        var plugins = PluginFolders.Option();
        var command = new Command("init", Description()) { architecture, target, settings, shard, plugins };
        frame.OnRun(command, Uses.Seed | Uses.Threads | Uses.Dtype, (parsed, session, cancel) =>
        {
            if (session.Global.Threads is { } threads) torch.set_num_threads(threads);
            var form = new NewWeightsForm(ComputeType.Named(session.Global.Dtype) ?? torch.float32, ShardSize.Bytes(parsed.GetValue(shard)!, DefaultShard), Ticker.Counter(session.Output, "tensors written"));
            return Task.FromResult(Run(parsed.GetValue(architecture)!, parsed.GetValue(target)!, parsed.GetValue(settings)!, PluginArchitectures.Of(parsed.GetValue(plugins)!), form, session, cancel));
        });
        command.Options.Single(option => option.Name == "--dtype").Description = "float32, bfloat16 or float16: the element type of the weights (default: float32).";
        return command;
    }

    private static string Description() => $"""
        Makes a model folder with random weights: config.json and model.safetensors, or shards and their index where that
        would be larger than --shard-size. Weights are normal with the standard deviation initializer_range (opt: init_std),
        norms are the identity, biases 0. The same --seed (default 0) gives the same bytes, with any number of threads.

        Keys for --set, with their defaults:
        {string.Join(Environment.NewLine, ModelArchitectures.BuiltIn.NamesToMake.Select(name => $"  {name}: {string.Join(", ", ModelArchitectures.BuiltIn.Find(name).InitOptions.Select(o => o.Default is { } d ? $"{o.Name}={d}" : o.Name))}"))}
        """;

    private static int Run(string name, string target, string[] given, ModelArchitectures architectures, NewWeightsForm form, Session session, CancellationToken cancel)
    {
        var settings = Settings(name, architectures.ToMake(name).InitOptions, given);
        var folder = Path.GetFullPath(target);
        NewFolder.ThrowIfTaken(target);
        long parameters = 0;
        NewFolder.Fill(folder, made => parameters = ModelFolder.Initialise(made, name, settings, (ulong)(session.Global.Seed ?? 0), architectures, cancel, form));
        session.Output.Result(
            () => new JsonObject { ["path"] = target, ["model_type"] = name, ["parameters"] = parameters },
            () => [$"{target}: {name} with {Sizes.Count(parameters)} parameters"]);
        return ExitCode.Done;
    }

    // KEY=VALUE with the architecture's own keys; a value is JSON, or a text where it is none.
    private static JsonObject Settings(string architecture, IReadOnlyList<InitOption> known, string[] given)
    {
        var settings = new JsonObject();
        foreach (var item in given)
        {
            var split = item.IndexOf('=', StringComparison.Ordinal);
            if (split <= 0) throw new UserError($"--set {item}", "is KEY=VALUE", "for instance --set hidden_size=64");
            var (key, value) = (item[..split], item[(split + 1)..]);
            var option = known.FirstOrDefault(o => o.Name == key)
                ?? throw new UserError($"--set {key}", $"{architecture} takes {string.Join(", ", known.Select(o => o.Name))}", Near.DidYouMean(key, known.Select(o => o.Name)) ?? "take one of them");
            if (!settings.TryAdd(key, Value(option, value))) throw new UserError($"--set {key}", "is given twice", "give it once");
        }
        return settings;
    }

    private static JsonNode Value(InitOption option, string text)
    {
        UserError Wrong(string wanted) => new($"--set {option.Name}={text}", $"must be {wanted}", option.Docs);
        if (option.Type == "string") return JsonValue.Create(text);
        JsonNode? value;
        try
        {
            value = JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            value = null;
        }
        var kind = value?.GetValueKind() ?? JsonValueKind.Null;
        var fits = option.Type switch
        {
            "integer" => kind == JsonValueKind.Number && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _),
            "number" => kind == JsonValueKind.Number,
            "boolean" => kind is JsonValueKind.True or JsonValueKind.False,
            "string[]" => kind == JsonValueKind.Array,
            _ => value is not null,
        };
        if (!fits) throw Wrong(option.Type switch { "integer" => "a whole number", "number" => "a number", "boolean" => "true or false", "string[]" => "a list like [\"a\",\"b\"]", _ => "JSON" });
        if (option.Range.Length > 0 && !Inside(option.Range, (double)value!.AsValue())) throw Wrong($"in {option.Range}");
        return value!;
    }

    // "[1,)": from 1 on; "(0,1]": more than 0, at most 1.
    private static bool Inside(string range, double value)
    {
        var limits = range[1..^1].Split(',');
        double Limit(string text, double none) => text.Length == 0 ? none : double.Parse(text, CultureInfo.InvariantCulture);
        var (low, high) = (Limit(limits[0], double.NegativeInfinity), Limit(limits[1], double.PositiveInfinity));
        return (range[0] == '[' ? value >= low : value > low) && (range[^1] == ']' ? value <= high : value < high);
    }
}
