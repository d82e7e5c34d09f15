// Architectures: what they describe is made, loaded, computed and written by the engine, every matrix counts, and what they cannot compute
// they refuse. conformance/architecture.NAME.json: { "set": {...}, "refused": [{...}, ...] }. set: keys of a new model's config.json,
// small ones. refused: keys that make of it what cannot be computed, each object by itself.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Testing;

internal static class ArchitectureKit
{
    private static readonly CompletionGroup[] Batch = [new([1, 2], [Completion.Of([3, 4, 5]), Completion.Of([0, 6])]), new([7], [Completion.Of([2, 5, 1, 3])])];

    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Bench> Check)[] rules =
        [
            ("makes a model of the sample, which loads", MakesAModel),
            ("names all that the sample sets", NamesWhatIsSet),
            ("describes the same again", DescribesTheSame),
            ("gives finite log-probs", GivesFiniteLogProbs),
            ("reaches every matrix", ReachesEveryMatrix),
            ("writes a folder that it reads", WritesWhatItReads),
            ("refuses what it cannot compute", RefusesWhatItCannotCompute),
        ];
        foreach (var (rule, check) in rules)
            yield return new($"architecture {provided.Name}: {rule}", () =>
            {
                using var scope = torch.NewDisposeScope();
                using var folder = new TemporaryFolder();
                check(new Bench(subject, provided, subject.Sample(provided), folder.Path));
            });
    }

    private sealed record Bench(Subject Subject, ProvidedContract Provided, Sample Sample, string Folder)
    {
        public IModelArchitecture Architecture { get; } = Subject.Create<IModelArchitecture>(Provided, []);

        public ModelArchitectures Known => ModelArchitectures.BuiltIn.With([KeyValuePair.Create(Provided.Name, Architecture)]);

        public JsonObject Set => Sample.Json["set"] is JsonObject set ? set.DeepClone().AsObject() : throw new ConformanceException("The sample needs \"set\", the keys of a small model's config.json.");

        public string Made(JsonObject set, string name = "made")
        {
            var folder = Directory.CreateDirectory(Path.Combine(Folder, name)).FullName;
            if (!set.ContainsKey("vocab_size")) set["vocab_size"] = 8;
            ModelFolder.Initialise(folder, Provided.Name, set, 1, Known);
            return folder;
        }

        public DecoderModel Model(string folder) => ModelFolder.Load(folder, architectures: Known);

        public DecoderModel Model() => Model(Made(Set));
    }

    private static Tensor LogProbs(DecoderModel model)
    {
        using var off = torch.no_grad();
        return new LogProbEngine(model).LogProbs(Batch, ForwardMode.Plain);
    }

    private static void MakesAModel(Bench bench)
    {
        Expect.That(bench.Architecture.ClassName is { Length: > 0 }, "ClassName is empty; new models name it in config.json (architectures).");
        var model = bench.Model();
        Expect.That(model.Spec.ModelType == bench.Provided.Name, $"The description's ModelType is '{model.Spec.ModelType}'; it must be '{bench.Provided.Name}', under which the architecture is registered.");
    }

    private static void NamesWhatIsSet(Bench bench)
    {
        var known = bench.Architecture.InitOptions.Select(option => option.Name).Append("vocab_size").ToHashSet();
        var others = bench.Set.Select(key => key.Key).Where(key => !known.Contains(key)).ToArray();
        Expect.That(others is [], $"The sample sets {string.Join(", ", others)}, which InitOptions does not name; manifests and `models init` would refuse it.");
    }

    private static void DescribesTheSame(Bench bench)
    {
        var config = ModelConfig.Open(bench.Made(bench.Set));
        string Weights() => string.Join("; ", bench.Architecture.Describe(config).Weights().Select(weight => $"{weight.Name} [{string.Join(", ", weight.Shape)}]"));
        Expect.That(Weights() == Weights(), "Two descriptions of one config.json have other weights.");
    }

    private static void GivesFiniteLogProbs(Bench bench)
    {
        var logProbs = LogProbs(bench.Model());
        Expect.That(logProbs.isfinite().all().item<bool>() && logProbs.max().item<double>() < 0, $"Log-probs of a new model must be finite and below 0; the largest is {logProbs.max().item<double>()}.");
    }

    // A matrix that is described and not used would be trained, merged and quantised for nothing.
    private static void ReachesEveryMatrix(Bench bench)
    {
        var model = bench.Model();
        var before = LogProbs(model);
        foreach (var weight in model.Spec.Weights().Where(weight => weight.Role == WeightRole.Matrix))
        {
            var own = model.Weights[weight.Name];
            model.SetWeight(weight.Name, own * -3);
            Expect.That(!LogProbs(model).equal(before), $"Another {weight.Name} changes no log-prob; describe only what is computed with.");
            model.SetWeight(weight.Name, own);
        }
    }

    private static void WritesWhatItReads(Bench bench)
    {
        var made = bench.Made(bench.Set);
        var (model, written) = (bench.Model(made), Path.Combine(bench.Folder, "written"));
        ModelFolder.Save(written, model, made);
        Expect.That(LogProbs(bench.Model(written)).equal(LogProbs(model)), "A folder that was written and read again gives other log-probs.");
    }

    private static void RefusesWhatItCannotCompute(Bench bench)
    {
        if (bench.Sample.Json["refused"] is not JsonArray { Count: > 0 } refused) throw new ConformanceException("The sample needs \"refused\": [{ \"hidden_act\": \"mish\" }, ...], keys that make of it what cannot be computed.");
        foreach (var change in refused.Select(keys => keys!.AsObject()))
        {
            var config = JsonNode.Parse(File.ReadAllText(Path.Combine(bench.Made(bench.Set), "config.json")))!.AsObject();
            foreach (var (key, value) in change) config[key] = value?.DeepClone();
            var error = Expect.UserError(() => bench.Known.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(config))), $"config.json has {change.ToJsonString()}");
            Expect.That(change.Any(key => error.Message.Contains(key.Key, StringComparison.Ordinal)), $"The message must name the key of {change.ToJsonString()}; it is: {error.Message}");
            Directory.Delete(Path.Combine(bench.Folder, "made"), recursive: true);
        }
    }
}
