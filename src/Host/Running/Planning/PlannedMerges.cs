// Finds merges that the weights' files rule out, before any job starts: over 16-bit weights where a folder has only four bits, and of models
// of which only some have the tokens that a method adds. The manifest's language sees neither a folder's bits nor its vocabulary.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

/// <param name="whole">Every job, so that a part's policies can be followed to where they come from.</param>
/// <param name="run">The run's folder.</param>
/// <param name="root">The manifest's folder.</param>
/// <param name="plugins">All that the plan may name.</param>
internal sealed class PlannedMerges(Plan whole, RunFolder run, string root, PluginCatalogue plugins)
{
    private readonly Dictionary<string, PlanJob> jobs = whole.Jobs.ToDictionary(job => job.Id);
    private readonly Dictionary<string, IReadOnlyList<string>> added = [];

    /// <summary>The merges' names, each with what is wrong with it.</summary>
    internal IEnumerable<(string Merge, string Message)> Faults(Plan chosen) =>
        chosen.Jobs.Where(job => job.Kind == "merge").SelectMany(job => Faults(OptionsOf(job)).Select(message => (job.Axes["merge"], message))).Distinct();

    private IEnumerable<string> Faults(JsonObject merge)
    {
        var (parents, origin) = (merge["parents"]!.AsArray().Select(parent => parent!).ToList(), merge["base_model"]!);
        if ((string?)merge["base"] == "w16" && parents.Append(origin).Select(Folder).FirstOrDefault(IsQuantized) is { } folder)
            yield return $"base: w16 adds adapters to 16-bit weights, and {folder} is quantised; say base: dequantised (the default), or take a model of full weights";
        var (name, takes) = ((string)merge["strategy"]!["name"]!, parents);
        var measures = plugins.Find("merge", name).Contract.Traits.Contains(MergeBase.Origin);
        if (measures) takes = [.. parents, origin];
        if (takes.Find(policy => Grown(policy).Count > 0) is not { } larger || takes.Find(policy => !Grown(policy).Order().SequenceEqual(Grown(larger).Order())) is not { } other) yield break;
        var next = measures && other == origin ? $"{name.Split('/')[^1]} measures every model from the base: merge them by a strategy without one (linear, slerp), or name a base_model that has the tokens" : "merge models that all have them";
        yield return $"{Named(larger)} has a larger vocabulary than {(other == origin ? "the base model" : Named(other))}: its method adds the tokens {string.Join(", ", Grown(larger))}; {next}";
    }

    private static JsonObject OptionsOf(PlanJob job) => JsonNode.Parse(job.Options)!.AsObject();

    private PlanJob? Made(JsonNode policy) => policy["weights"] is JsonObject made ? jobs[(string)made["job"]!] : null;

    // As manifests select it: a job's label is its kind and the policy's.
    private string Named(JsonNode policy) => Made(policy) is { } job ? job.Label[(job.Label.IndexOf('/') + 1)..] : (string)policy["weights"]!;

    // The folder whose weights a policy's adapters lie over; null where the run makes these.
    private string? Folder(JsonNode policy) => Made(policy) is not { } job ? (string)policy["weights"]! : job.Kind switch
    {
        "train" when OptionsOf(job) is var training && training["adapter"] is not null => Folder(training["policy"]!),
        "select" => Folder(OptionsOf(job)["candidates"]![0]!),
        _ => null,
    };

    private bool IsQuantized(string? folder) => folder is not null && Config(folder) is { IsQuantized: true };

    // Null for what is not there yet, or broken: the job that reads it says so.
    private ModelConfig? Config(string folder)
    {
        try
        {
            var path = Full(folder);
            return File.Exists(Path.Combine(path, "config.json")) ? ModelConfig.Open(path) : null;
        }
        catch (UserErrorException)
        {
            return null;
        }
    }

    // The tokens by which trainings made the vocabulary larger than that of the model they began with.
    private IReadOnlyList<string> Grown(JsonNode policy)
    {
        if (Made(policy) is not { } job) return [];
        if (added.TryGetValue(job.Id, out var known)) return known;
        var options = OptionsOf(job);
        return added[job.Id] = job.Kind switch
        {
            "select" => Grown(options["candidates"]![0]!),
            "merge" => Grown(options["parents"]![0]!),
            "train" => [.. Grown(options["policy"]!).Union(New(job, options))],
            _ => [],
        };
    }

    private IReadOnlyList<string> New(PlanJob job, JsonObject training)
    {
        if (!plugins.Find("method", (string)training["method"]!["name"]!).Contract.Traits.Contains("tokens")) return [];
        var context = new JobContext(new JobSpec(job.Id, job.Kind, job.Label, training, root, 1, []), run.Job(job.Id), plugins, NullLogger.Instance, (_, _, _) => { }, default);
        return context.Create<IAlignmentMethod>(training["method"]!) is IAddsTokens { NewTokens: var tokens } && HasNoRoom(training["policy"]!, tokens) ? tokens : [];
    }

    // Whether the first model of a chain lacks rows for the tokens. Of a model that is not there, or that is made with a vocabulary of
    // another size than its tokenizer's, nobody knows.
    private bool HasNoRoom(JsonNode policy, IReadOnlyList<string> tokens)
    {
        try
        {
            if (Made(policy) is { } job) return MadeHasNoRoom(job.Kind, OptionsOf(job), tokens);
            var folder = Full((string)policy["weights"]!);
            return Config(folder) is { VocabularySize: var size } && NewTokens.Of(folder, tokens, size).Vocabulary > size;
        }
        catch (UserErrorException)
        {
            return false; // the job that reads it says why
        }
    }

    private bool MadeHasNoRoom(string kind, JsonObject options, IReadOnlyList<string> tokens) => kind switch
    {
        "train" => HasNoRoom(options["policy"]!, tokens),
        "select" => HasNoRoom(options["candidates"]![0]!, tokens),
        "merge" => HasNoRoom(options["parents"]![0]!, tokens),
        "make-model" when options["architecture"]!["options"]!["vocab_size"] is null => MadeTokenizer.Expected(options["tokenizer"]!, Full) is not ITokenizerDetails known || tokens.Any(token => known.TokenToId(token) is null),
        _ => false,
    };

    private string Full(string path) => Path.GetFullPath(path, root);
}
