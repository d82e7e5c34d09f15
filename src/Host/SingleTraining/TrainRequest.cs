// What `train` was asked, as the manifest that says the same: so that one language checks options and one planner gives the job
// its identity, whoever asked.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Templates;
using PeftAlign.Plugins;

namespace PeftAlign.Host.SingleTraining;

/// <summary>The flags as given.</summary>
internal sealed record TrainRequest
{
    public required string Method { get; init; }
    public required string Model { get; init; }
    public required string Data { get; init; }
    public required string Out { get; init; }
    public string? Adapter { get; init; }
    public string? Quantization { get; init; }
    public string? ChatTemplate { get; init; }
    public long Seed { get; init; } = 42;

    /// <summary>--device; null for the standard.</summary>
    public string? Device { get; init; }

    /// <summary>Values of flags by name, as texts.</summary>
    public required IReadOnlyDictionary<string, string> Values { get; init; }

    /// <summary>What no flag takes.</summary>
    public required IReadOnlyList<string> Unmatched { get; init; }

    /// <summary>Every flag that the command takes, as help lists them.</summary>
    public required IReadOnlyList<string> Flags { get; init; }
}

/// <summary>The job that a request asks for.</summary>
/// <param name="Job">The one training job.</param>
/// <param name="PluginFolders">Of every plugin that it may load.</param>
internal sealed record TrainPlan(PlanJob Job, IReadOnlyList<string> PluginFolders)
{
    /// <summary>The job that computes reference log-probs before; null where none is asked for.</summary>
    internal PlanJob? Reference { get; init; }

    private static readonly (string Place, string Flag)[] Places =
        [("methods.method.type", "METHOD"), ("adapters.adapter.type", "--adapter"), ("adapters.adapter.quantization", "--quantization"), ("models.model.chat_template", "--chat-template"), ("models.model", "--model"), ("datasets.data", "--data"), ("methods.method.eval_data", "--eval-data")];

    /// <summary>Plans the job; loads nothing but what may read a quantised model.</summary>
    /// <param name="request">What was asked.</param>
    /// <param name="flags">What may be asked.</param>
    /// <param name="plugins">Everything on the search path.</param>
    /// <param name="contentHash">Content of a path.</param>
    /// <exception cref="UserErrorException">Every fault at once: unknown flags, wrong types, values out of range, missing files.</exception>
    internal static TrainPlan Of(TrainRequest request, TrainFlags flags, PluginCatalogue plugins, Func<string, string?> contentHash)
    {
        var faults = Unknown(request, flags, plugins).Concat(Missing(request, flags)).ToList();
        Provided?[] named = [plugins.Find("method", request.Method), request.Adapter is { } adapter ? plugins.Find("adapter", adapter) : null, request.Quantization is { } quantization ? plugins.Find("quantization", quantization) : null];
        var parts = new FolderParts(Directory.GetCurrentDirectory(), plugins.Plugins);
        var computing = parts.Of(request.Model).Select(part => part.Plugin).ToList();
        // Third-party plugins take part only where something that they provide is named, a model's architecture and quantisation included.
        var used = plugins.Plugins.Where(p => p.Origin == PluginOrigin.Product || computing.Contains(p.Manifest.Id) || named.Any(n => n?.Plugin == p)).ToList();
        var read = Manifests.Read(Manifest(request, flags, used).ToJsonString(), "train", SchemaCatalogue.Of(used.Select(p => new KnownPlugin(p, ""))), []);
        faults.AddRange(read.Faults.Select(f => Said(f, flags)));
        if (faults.Count > 0) throw Refused(request, faults);
        var planned = Plans.Create(read.Experiment!, path => contentHash(path) ?? "", mayMiss: false, parts.Of);
        if (planned.Faults.Count > 0) throw Refused(request, planned.Faults.Select(f => Said(f, flags)));
        NotBuilt.ThrowIfAny(planned.Plan!);
        var jobs = planned.Plan!.Jobs.Where(job => job.Kind != "report").ToList();
        if (jobs.Find(job => job.Kind is not ("train" or "reference")) is { } other)
            throw new UserErrorException($"These options need a job '{other.Kind}' beside the training; write a manifest for peftalign run.");
        return new TrainPlan(jobs.Single(job => job.Kind == "train"), [.. used.Select(p => p.Path)]) { Reference = jobs.Find(job => job.Kind == "reference") };
    }

    private static JsonObject Manifest(TrainRequest request, TrainFlags flags, IReadOnlyList<PluginFolder> used)
    {
        var (method, adapter) = (new JsonObject { ["type"] = request.Method }, request.Adapter is { } type ? new JsonObject { ["type"] = type } : null);
        var datasets = new JsonObject { ["data"] = Jsonl(request.Data) };
        foreach (var flag in flags.All)
        {
            if (!request.Values.TryGetValue(flag.Name, out var text)) continue;
            var value = OptionText.Parse(flag.Schema.Type, text);
            if (flag.Schema.Name == "eval_data" && flag.Section == "method") (datasets["eval"], value) = (Jsonl(text), "eval");
            else if (flag.Schema.Type.Kind == OptionKind.Dataset) (datasets[flag.Schema.Name], value) = (Jsonl(text), flag.Schema.Name);
            var section = flag.Section == "method" ? method : adapter!;
            section[flag.Schema.Name] = value;
            new OptionsSchema([flag.Schema]).ReplacePaths(section, Path.GetFullPath);
        }
        var model = new JsonObject { ["path"] = Path.GetFullPath(request.Model) };
        if (request.ChatTemplate is { } template) model["chat_template"] = File.Exists(template) ? Path.GetFullPath(template) : template;
        if (request.Quantization is { } over && adapter is not null) adapter["quantization"] = over;
        if (adapter is not null) method["adapter"] = "adapter";
        return new JsonObject
        {
            ["peftalign"] = 1,
            ["name"] = "train",
            ["seeds"] = new JsonArray(request.Seed),
            ["plugins"] = new JsonArray([.. used.Select(p => (JsonNode)p.Manifest.Id)]),
            ["models"] = new JsonObject { ["model"] = model },
            ["datasets"] = datasets,
            ["adapters"] = adapter is null ? new JsonObject() : new JsonObject { ["adapter"] = adapter },
            ["methods"] = new JsonObject { ["method"] = method },
            ["train"] = new JsonArray(new JsonObject { ["models"] = new JsonArray("model"), ["datasets"] = new JsonArray("data"), ["methods"] = new JsonArray("method") }),
        };
    }

    private static JsonObject Jsonl(string path) => new() { ["reader"] = "jsonl", ["path"] = Path.GetFullPath(path) };

    private static IEnumerable<string> Missing(TrainRequest request, TrainFlags flags)
    {
        if (request.Values.TryGetValue("init-adapter", out var start))
        {
            if (!Directory.Exists(start)) yield return $"--init-adapter {start}: no such folder; give an adapter's folder in PEFT's format";
            foreach (var fault in Otherwise(request, flags, start)) yield return fault;
            if (request.Adapter is null) yield return "--init-adapter: no adapter is trained; add --adapter TYPE";
        }
        if (!File.Exists(Path.Combine(request.Model, "config.json")) && OtherFolder.Instead(request.Model) is { } instead) yield return $"--model {request.Model}: {instead}";
        else if (!Directory.Exists(request.Model)) yield return $"--model {request.Model}: {(File.Exists(request.Model) ? "is a file" : "no such folder")}; give a model's folder, with config.json and weights";
        if (Directory.Exists(request.Model) && TemplateFault(request) is { } template) yield return $"--chat-template: {template}";
        if (request.Data == "-") yield return "--data -: a run must be able to read its rows again when it is resumed; write them to a file first";
        else if (!File.Exists(request.Data)) yield return $"--data {request.Data}: {(Directory.Exists(request.Data) ? "is a folder" : "no such file")}; give a .jsonl or .jsonl.gz file with one row per line";
        if (request.Values.TryGetValue("eval-data", out var path) && !File.Exists(path)) yield return $"--eval-data {path}: no such file; give a .jsonl or .jsonl.gz file with one row per line";
    }

    // The job does not get options that are at their defaults, so it could not tell that they contradict the folder.
    private static IEnumerable<string> Otherwise(TrainRequest request, TrainFlags flags, string folder)
    {
        var file = Path.Combine(folder, "adapter_config.json");
        var config = File.Exists(file) ? AdapterReader.Config(file) : [];
        foreach (var flag in flags.All.Where(f => f.IsOfFolder && request.Values.ContainsKey(f.Name)))
        {
            var key = flag.Schema.Aliases.Prepend(flag.Schema.Name).FirstOrDefault(config.ContainsKey);
            if (key is null || !InitAdapter.Same(OptionText.Parse(flag.Schema.Type, request.Values[flag.Name]), config[key]))
                yield return $"--{flag.Name}: the folder of --init-adapter decides this{(key is null ? "" : $" ({config[key]?.ToJsonString() ?? "none"})")}; leave it out";
        }
    }

    private static string? TemplateFault(TrainRequest request)
    {
        if (request.ChatTemplate is null) return null;
        try
        {
            ChatTemplateLoader.Load(request.Model, request.ChatTemplate);
            return null;
        }
        catch (ChatTemplateException e)
        {
            return e.Message;
        }
    }

    private static IEnumerable<string> Unknown(TrainRequest request, TrainFlags flags, PluginCatalogue plugins)
    {
        var follows = false;
        foreach (var token in request.Unmatched)
        {
            var (name, given) = (token.Split('=')[0], follows);
            follows = name.StartsWith("--", StringComparison.Ordinal) && !token.Contains('=');
            if (given && !name.StartsWith("--", StringComparison.Ordinal)) continue; // the value of an unknown flag
            var plain = TrainFlags.Dashed(name);
            var both = flags.All.Where(f => f.Name is { } own && (own == "method-" + plain.TrimStart('-') || own == "adapter-" + plain.TrimStart('-'))).ToList();
            if (both.Count > 1) yield return $"{name}: the method and the adapter both have this option; write {string.Join(" or ", both.Select(f => "--" + f.Name))}";
            else if (OfAnother(plugins, request, plain) is { } owner) yield return $"{name}: {owner}";
            else if (name.StartsWith('-')) yield return $"{name}: no such option; {Near.DidYouMean(plain, request.Flags) ?? $"peftalign train {request.Method}{(request.Adapter is null ? "" : $" --adapter {request.Adapter}")} --help lists them"}";
            else yield return $"{token}: one argument too many; values follow their flag, as in --learning-rate 1e-4, and lists are written a,b";
        }
    }

    // An option that is spelt right is none of a near name: it is another method's, or an adapter's where none or another is trained.
    private static string? OfAnother(PluginCatalogue plugins, TrainRequest request, string flag)
    {
        List<string> Owners(string kind) => [.. plugins.All.Where(p => p.Contract.Kind == kind && p.Contract.Options.Options.Any(o => o.Aliases.Prepend(o.Name).Any(name => "--" + TrainFlags.Dashed(name) == flag))).Select(p => p.Contract.Name).Distinct().Order(StringComparer.Ordinal)];
        var (adapters, methods) = (Owners("adapter"), Owners("method"));
        if (adapters.Count > 0) return $"an option of the adapter{(adapters.Count > 1 ? "s" : "")} {string.Join(", ", adapters)}, and {(request.Adapter is { } other ? $"{other} is trained" : "none is trained")}; {(request.Adapter is null ? "add" : "give")} --adapter {adapters[0]}, or leave it out";
        return methods.Count == 0 ? null : $"an option of the method{(methods.Count > 1 ? "s" : "")} {string.Join(", ", methods)}, and not of {request.Method}; leave it out";
    }

    // A place of the manifest as the flag that led there.
    private static string Said(Fault fault, TrainFlags flags)
    {
        foreach (var (place, flag) in Places)
            if (fault.Path == place) return $"{flag}: {fault.Message}";
        var flagOf = flags.All.Where(f => fault.Path.StartsWith($"{f.Section}s.{f.Section}.{f.Schema.Name}", StringComparison.Ordinal)).MaxBy(f => f.Schema.Name.Length);
        return flagOf is null ? fault.Path == "" ? fault.Message : $"{fault.Path}: {fault.Message}" : $"--{flagOf.Name}: {fault.Message}";
    }

    private static UserErrorException Refused(TrainRequest request, IEnumerable<string> faults)
    {
        var lines = faults.Distinct().ToList();
        return new UserErrorException(lines.Count == 1 ? $"train {request.Method}: {lines[0]}" : $"train {request.Method}: {lines.Count} faults; nothing was started." + string.Concat(lines.Select(line => $"{Environment.NewLine}  {line}")));
    }
}
