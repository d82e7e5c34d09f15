// The flags of eval, and which benchmarks with which options they ask for. A flag goes to every benchmark that has an option of
// its name, and to at least one.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Evaluation;

/// <param name="Out">Where results go.</param>
/// <param name="Benchmarks">Name and options of each.</param>
/// <param name="ChatTemplate">Another template than the model's; null for that.</param>
internal sealed record EvalRequestLine(string Out, IReadOnlyList<(string Name, JsonObject Options)> Benchmarks, string? ChatTemplate);

internal sealed class EvalFlags
{
    private readonly Option<string?> benchmarks = new("--benchmarks") { HelpName = "A,B,...", Description = "Benchmarks, tasks, groups or tags to run." };
    private readonly Option<string[]> task = new("--task") { HelpName = "FILE_OR_FOLDER", Description = "Tasks and groups in lm-evaluation-harness's YAML; may be given several times." };
    private readonly Option<string> target = new("--out") { HelpName = "DIR", Required = true, Description = "Where results go." };
    private readonly Option<string?> data = new("--data") { HelpName = "DIR", Description = "Where benchmarks' data lies; tasks' data paths start from it (default for these: the working directory)." };
    private readonly Option<int?> shots = new("--shots") { HelpName = "K", Description = "Solved examples in front of each item (default: each benchmark's own)." };
    private readonly Option<int?> limit = new("--limit") { HelpName = "N", Description = "At most this many items of each task." };
    private readonly Option<int?> samples = new("--samples") { HelpName = "K", Description = "Answers to each prompt, for benchmarks that sample." };
    private readonly Option<string?> template = new("--template") { HelpName = "NAME", Description = "Which of a benchmark's prompts." };
    private readonly JudgeFlags judge = new();
    private readonly Option<string?> baseline = new("--baseline") { HelpName = "NAME_OR_FILE", Description = "Whose answers the model's are compared with: a name among the benchmark's outputs, or a file." };
    private readonly Option<bool> chat = new("--chat") { Description = "Prompts go through the model's chat template." };
    private readonly Option<string?> chatTemplate = new("--chat-template") { HelpName = "NAME_OR_FILE", Description = "Another chat template than the adapter's or the model's." };
    private readonly Option<bool?> bos = new("--bos") { HelpName = "true|false", Description = "Whether texts get a begin token (default: as the tokenizer's files say)." };
    private readonly Option<int?> bootstrap = new("--bootstrap-iters") { HelpName = "N", Description = "Resamples behind standard errors without a closed form." };
    private readonly Option<string[]> other = new("--option") { HelpName = "[NAME.]KEY=VALUE", Description = "Any other option of a benchmark, lists as A,B; may be given several times." };

    internal void AddTo(Command command)
    {
        foreach (var option in (Option[])[benchmarks, task, target, data, shots, limit, samples, template, baseline, chat, chatTemplate, bos, bootstrap, other]) command.Add(option);
        judge.AddTo(command);
    }

    /// <exception cref="UserErrorException">An unknown benchmark, or a flag that none of them has.</exception>
    internal EvalRequestLine Read(ParseResult parsed, PluginCatalogue plugins, long? seed)
    {
        var known = plugins.All.Where(p => p.Contract.Kind == "benchmark").ToList();
        var files = parsed.GetValue(task) ?? [];
        var names = (parsed.GetValue(benchmarks) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var own = names.Where(n => known.Any(k => k.Contract.Name == n || k.QualifiedName == n)).ToList();
        var ofTasks = names.Except(own).ToList();
        string Known() => string.Join(", ", known.Select(k => k.Contract.Name).Order(StringComparer.Ordinal));
        if (names.Length == 0 && files.Length == 0) throw new UserError("eval", "needs --benchmarks or --task", $"benchmarks are {Known()}");
        if (ofTasks.Count > 0 && files.Length == 0) throw new UserError($"--benchmarks {ofTasks[0]}", "is no benchmark", Near.DidYouMean(ofTasks[0], known.Select(k => k.Contract.Name)) ?? $"benchmarks are {Known()}; --task makes others known");
        var asked = own.Select(n => (Name: n, Options: new JsonObject())).ToList();
        if (files.Length > 0 && (names.Length == 0 || ofTasks.Count > 0)) asked.Add(("tasks", OfTasks(files, ofTasks, parsed.GetValue(data))));
        foreach (var (name, value) in Given(parsed, plugins)) Give(asked, plugins, name, _ => value.DeepClone());
        foreach (var text in parsed.GetValue(other) ?? []) Give(asked, plugins, text);
        ThrowIfLacking(asked, plugins);
        if (seed is { } number) GiveSeed(asked, plugins, number);
        return new EvalRequestLine(parsed.GetValue(target)!, asked, parsed.GetValue(chatTemplate));
    }

    private static JsonObject OfTasks(string[] files, List<string> names, string? data)
    {
        var options = new JsonObject { ["path"] = Path.GetFullPath(files[0]), ["data"] = Path.GetFullPath(data ?? ".") };
        if (files.Length > 1) options["include"] = RequestJson.Texts(files.Skip(1).Select(Path.GetFullPath));
        if (names.Count > 0) options["names"] = RequestJson.Texts(names);
        return options;
    }

    private IEnumerable<(string Name, JsonNode Value)> Given(ParseResult parsed, PluginCatalogue plugins)
    {
        if (parsed.GetValue(data) is { } folder) yield return ("path", folder);
        if (parsed.GetValue(shots) is { } k) yield return ("shots", k);
        if (parsed.GetValue(limit) is { } most) yield return ("limit", most);
        if (parsed.GetValue(samples) is { } n) yield return ("samples", n);
        if (parsed.GetValue(template) is { } prompt) yield return ("template", prompt);
        if (judge.Read(parsed, plugins) is { } by) yield return ("judge", by);
        if (parsed.GetValue(baseline) is { } other) yield return File.Exists(other) ? ("baseline_outputs", Path.GetFullPath(other)) : ("baseline", other);
        if (parsed.GetValue(chat)) yield return ("chat", true);
        if (parsed.GetValue(bos) is { } begin) yield return ("bos", begin);
        if (parsed.GetValue(bootstrap) is { } iterations) yield return ("bootstrap_iters", iterations);
    }

    // Told by the flag that gives them, and where there is none, by what does.
    private static void ThrowIfLacking(List<(string Name, JsonObject Options)> asked, PluginCatalogue plugins)
    {
        foreach (var (name, options) in asked)
        {
            foreach (var data in plugins.Find("benchmark", name).Contract.Options.Options.Where(option => option.Type.Kind == OptionKind.Dataset && option.Required))
                throw new UserError($"--benchmarks {name}", $"asks about a data set that a manifest names ({data.Name})", $"name it there, evaluate: - {{ of: ..., with: {{ type: {name}, {data.Name}: NAME }} }}, and use peftalign run");
            if (Schema(plugins, name, "path") is { Required: true } && !options.ContainsKey("path")) throw new UserError($"--benchmarks {name}", "needs its data", "give --data DIR");
        }
    }

    // One seed for all that draw; a benchmark that takes the most likely token has no use for it. --option says it last.
    private static void GiveSeed(List<(string Name, JsonObject Options)> asked, PluginCatalogue plugins, long seed)
    {
        var drawing = asked.Where(benchmark => Draws(benchmark.Options, option => Schema(plugins, benchmark.Name, option))).ToList();
        if (drawing.Count == 0) throw new UserError($"--seed {seed}", "means something in sampling only", "add --option temperature=1, or leave it out");
        if (drawing.Exists(benchmark => !benchmark.Options.ContainsKey("seed"))) Give([.. drawing.Where(benchmark => !benchmark.Options.ContainsKey("seed"))], plugins, "seed", _ => seed);
    }

    // A temperature that may be left open follows from samples: one is the most likely answer.
    private static bool Draws(JsonObject given, Func<string, OptionSchema?> schema)
    {
        var isOpen = schema("temperature") is { Type.Nullable: true };
        if (!isOpen && schema("seed")?.OnlyWith is not "temperature=>0") return true;
        JsonNode? Value(string option) => given[option] ?? schema(option)?.Default;
        if (Value("temperature") is not { } temperature) return Value("samples")?.ToJsonString() != "1";
        return temperature is not JsonValue number || !number.TryGetValue<double>(out var value) || value != 0;
    }

    // --data of tasks is their root, not their path.
    private static void Give(List<(string Name, JsonObject Options)> asked, PluginCatalogue plugins, string option, Func<OptionSchema, JsonNode?> value)
    {
        var takers = asked.Where(a => Schema(plugins, a.Name, option) is not null && !(a.Name == "tasks" && option == "path")).ToList();
        if (takers.Count == 0 && !(option == "path" && asked.Exists(a => a.Name == "tasks"))) throw new UserError($"--{(option == "path" ? "data" : option == "baseline_outputs" ? "baseline" : option.Replace('_', '-'))}", $"is no option of {string.Join(", ", asked.Select(a => a.Name))}", "leave it out");
        foreach (var taker in takers) taker.Options[option] = value(Schema(plugins, taker.Name, option)!);
    }

    private static void Give(List<(string Name, JsonObject Options)> asked, PluginCatalogue plugins, string text)
    {
        if (text.Split('=', 2) is not [var key, var value]) throw new UserError($"--option {text}", "is no KEY=VALUE", "write it with =");
        // A text's type is the schema's: a list of several stays no single text, and a model called 7 no number.
        JsonNode? Typed(OptionSchema schema) => value == "" && schema.Names == "path" ? throw new UserError($"--option {text}", "names no path", "give one, or leave it out") : OptionText.Parse(schema.Type, value);
        if (asked.FindIndex(a => key.StartsWith(a.Name + ".", StringComparison.Ordinal)) is >= 0 and var at) Give([asked[at]], plugins, key[(asked[at].Name.Length + 1)..], Typed);
        else Give(asked, plugins, key, Typed);
    }

    private static OptionSchema? Schema(PluginCatalogue plugins, string benchmark, string option) => plugins.Find("benchmark", benchmark).Contract.Options.Find(option);
}
