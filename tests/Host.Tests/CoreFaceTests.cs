// Core's face as C# uses it: plain records and static functions, nulls where something is absent, lists that can be indexed. What
// stops compiling here breaks whoever uses Core.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Core.Statistics;

namespace PeftAlign.Host.Tests;

public class CoreFaceTests
{
    private static ContractSchema Contract(string kind, string name, params OptionSchema[] options) => new() { Kind = kind, Name = name, ResultVersion = 1, Options = options };

    // Fields that are left out are null, which Core reads as empty.
    private static Catalogue Known { get; } = new()
    {
        Plugins =
        [
            new PluginSchema { Id = "", Provides = [Contract("engine", "train"), Contract("engine", "report")] },
            new PluginSchema
            {
                Id = "theirs",
                Version = "1.0",
                IsProduct = true,
                Provides = [Contract("method", "sft", new OptionSchema { Name = "beta", Type = "number", Default = "0.1", Range = "(0,)" }), Contract("reader", "rows", new OptionSchema { Name = "path", Type = "path", Required = true }), Contract("tracker", "log")],
            },
        ],
    };

    private const string Manifest = """
        peftalign: 1
        name: face
        seeds: [1, 2]
        models: { m: { path: base } }
        datasets: { d: { reader: rows, path: rows.jsonl } }
        methods: { sft: { type: sft, max_steps: 3 } }
        train: [{ models: m, datasets: d, methods: sft }]
        track: [{ type: log }]
        """;

    [Test]
    public void FromTextToPlan()
    {
        var requests = Manifests.Plugins(Manifest, []);
        Assert.That((requests.HasSection, requests.Requests.Count, requests.Faults.Count), Is.EqualTo((false, 0, 0)));
        var read = Manifests.Read(Manifest, "face.yaml", Known, ["methods.sft.beta=0.2"]);
        Assert.That(read.Faults, Is.Empty);
        Experiment experiment = read.Experiment!;
        Assert.That((experiment.Name, experiment.Seeds[1], experiment.Models[0], experiment.Datasets[0]), Is.EqualTo(("face", 2, "m", "d")));
        PlanResult planned = Plans.Create(experiment, path => "hash of " + path);
        Plan plan = planned.Plan!;
        Assert.That(plan.Counts, Is.EquivalentTo(new Dictionary<string, int> { ["train"] = 2, ["report"] = 1 }));
        PlanJob job = plan.Jobs[0];
        Assert.That((job.Label, job.Axes["seed"], job.Id.Length, job.DependsOn.Count, job.Until, job.Keep.Count), Is.EqualTo(("train/m/d/sft/s1", "1", 32, 0, "", 0)));
        Assert.That((double)JsonNode.Parse(job.Options)!["method"]!["options"]!["beta"]!, Is.EqualTo(0.2));
        Assert.That(job.Inputs.Single(input => input.Place == "policy.weights"), Is.EqualTo(new PlanInput("policy.weights", "base", "hash of base")));
        Assert.That((plan.Trackers[0].Name, plan.Trackers[0].Plugin, plan.Trackers[0].Options), Is.EqualTo(("theirs/log", "theirs", "{}")));
        Assert.That(Plans.Only(plan, "*/s2").Jobs, Has.Count.EqualTo(1));
        Assert.That(() => Plans.Only(plan, "nothing"), Throws.ArgumentException);
        Assert.That((Plans.Matches("train/*/s?", job.Label), Plans.Matches("merge/*", job.Label)), Is.EqualTo((true, false)));
    }

    [Test]
    public void FaultsAreValuesNotExceptions()
    {
        var read = Manifests.Read(Manifest.Replace("reader: rows,", "reader: rowz,"), "face.yaml", Known, []);
        Assert.That(read.Experiment, Is.Null);
        Fault fault = read.Faults.Single();
        Assert.That((fault.Line, fault.Path, fault.Message), Is.EqualTo((5, "datasets.d.reader", "no reader 'rowz' is provided by the plugins of this manifest; did you mean 'rows'?")));
        var missing = Plans.Create(Manifests.Read(Manifest, "face.yaml", Known, []).Experiment!, _ => null!);
        Assert.That((missing.Plan, missing.Faults.Count), Is.EqualTo(((Plan?)null, 2)));
    }

    [Test]
    public void SchemasSchedulesAndStatisticsAreThere()
    {
        Assert.That(JsonNode.Parse(Manifests.JsonSchema(Known))!["properties"]!["track"], Is.Not.Null);
        Assert.That(Manifests.TrainingOptions.Single(option => option.Name == "learning_rate").Default, Is.Not.Null);
        Assert.That(Schedules.Factor("linear", 5, 0, 10), Is.EqualTo(0.5));
        Assert.That(Proportions.BinomialTest(5, 10, 0.5, Alternative.TwoSided), Is.EqualTo(1).Within(1e-12));
    }
}
