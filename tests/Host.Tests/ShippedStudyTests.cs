// The shipped studies beside their sets of claims: each claim finds the policies that the study's plan makes, curves end where training
// ends, and arms that a claim compares differ in what it is about.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Core.Claims;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Tests;

public sealed class ShippedStudyTests
{
    private static readonly PluginCatalogue Plugins = PluginSearch.Of(Path.GetDirectoryName(Product.Host)!, []).Scan();

    private static Plan Planned(string study, params string[] overrides)
    {
        var file = Path.Combine(SmallAdapter.Root, "experiments", study + ".yaml");
        var read = Manifests.Read(File.ReadAllText(file), file, SchemaCatalogue.Of(Plugins.Plugins.Select(p => new KnownPlugin(p, ""))), overrides);
        Assert.That(read.Faults.Select(f => f.Message), Is.Empty);
        var planned = Plans.Create(read.Experiment!, path => path);
        Assert.That(planned.Faults.Select(f => f.Message), Is.Empty);
        return planned.Plan!;
    }

    // Numbers as if the study were done; the first of each benchmark, those that claims name beside it, and the trainings' times.
    private static List<Observation> Done(Plan plan, Func<IReadOnlyDictionary<string, string>, double> value) =>
        [.. plan.Jobs.Where(job => job.Kind is "evaluate" or "train").SelectMany(job => job.Places, (job, axes) => (job.Kind, Axes: axes)).SelectMany(place => Metrics(place.Kind, place.Axes).Select((metric, k) => new Observation
        {
            Axes = place.Kind == "train" ? new Dictionary<string, string>(place.Axes) { ["benchmark"] = "train" } : place.Axes,
            Metric = metric,
            IsFirst = k == 0,
            Value = value(place.Axes),
            Items = [],
            HigherIsBetter = true,
        }))];

    private static string[] Metrics(string kind, IReadOnlyDictionary<string, string> axes) => kind == "train" ? ["seconds_per_step"] : axes["benchmark"] switch
    {
        "reward" => ["reward", "length"],
        "paraphrase" => ["acc"],
        _ => ["score"],
    };

    private static IReadOnlyList<ClaimResult> Tested(string set, List<Observation> observations) => ClaimSets.Test(ClaimSets.Read(ClaimSets.TextOf(set)!).Set!, observations, 20, 0.05, 0);

    [TestCase("deep-dive", "deep-dive")]
    [TestCase("small-lm", "small-models")]
    [TestCase("meet", "meet")]
    [TestCase("quickstart", "quickstart")]
    [TestCase("deep-dive", "deep-dive", "preset=tiny")]
    [TestCase("small-lm", "small-models", "preset=tiny")]
    [TestCase("meet", "meet", "preset=tiny")]
    public void Each_claim_finds_its_policies_in_the_plan(string study, string set, params string[] overrides)
    {
        var (plan, k) = (Planned(study, overrides), 0);
        var results = Tested(set, Done(plan, _ => 1 + (0.01 * (k++ % 7))));
        Assert.That(results, Is.Not.Empty);
        Assert.That(results.Where(r => r.Units.Count == 0).Select(r => $"{r.Id} {r.Metric}: {r.Reason}"), Is.Empty);
    }

    [TestCase]
    [TestCase("preset=tiny")]
    public void Stages_of_MEET_are_compared_at_one_length(params string[] overrides)
    {
        // Only prompts of 20 vectors are worth 3; arms of other lengths and LoRA would move the mean.
        var results = Tested("meet", Done(Planned("meet", overrides), axes => axes.GetValueOrDefault("method") is var method && method == "meet" && axes["variant"].Contains("num_virtual_tokens=20", StringComparison.Ordinal) ? 3 : method is "meet" or "meet-lora" ? 100 : 1));
        Assert.That(results.Where(r => r.Id is "M4" or "M7").Select(r => r.Estimate), Is.EqualTo(new[] { 2.0, 2.0 }).Within(1e-12));
        var one = Planned("meet", overrides).Jobs.Where(job => job.Kind == "train" && job.Axes["method"] == "meet-one").ToList();
        Assert.That(one, Is.Not.Empty);
        Assert.That(one.Select(job => job.Options), Is.All.Contains("\"num_virtual_tokens\":20").And.All.Contains("\"init\":\"sample_vocab\"").And.None.Contains("init_text"));
    }

    [TestCase("bt-harmless", 7, 700)]
    [TestCase("bt-harmless", 4, 12, "preset=tiny")]
    public void Curves_of_the_deep_dive_end_where_training_ends(string dataset, int points, int last, params string[] overrides)
    {
        var plan = Planned("deep-dive", overrides);
        var places = plan.Jobs.Where(job => job.Kind == "evaluate").SelectMany(job => job.Places.Select(axes => (job.Id, Axes: axes)))
            .Where(place => place.Axes["benchmark"] == "mmlu" && place.Axes["model"] == "mistral" && place.Axes.GetValueOrDefault("dataset") == dataset && place.Axes.GetValueOrDefault("method") == "sft-q" && place.Axes.GetValueOrDefault("seed") == "1").ToList();
        var curve = places.Where(place => place.Axes.ContainsKey("checkpoint")).ToList();
        Assert.That(curve, Has.Count.EqualTo(points));
        var end = curve.Single(place => place.Axes["checkpoint"] == $"step:{last}");
        Assert.That(places.Single(place => !place.Axes.ContainsKey("checkpoint")).Id, Is.EqualTo(end.Id), "no further evaluation");
    }

    [Test]
    public void Questions_of_the_deep_dive_go_through_the_template_of_training()
    {
        var asked = Planned("deep-dive").Jobs.Where(job => job.Kind == "evaluate" && job.Axes["benchmark"] is "alpaca_eval" or "red_instruct").ToList();
        Assert.That(asked, Has.Count.EqualTo(2 * 1570 / 5));
        Assert.That(asked.Select(job => job.Options), Is.All.Contains("\"chat\":true"));
        var dpo = Planned("deep-dive").Jobs.First(job => job.Kind == "train" && job.Axes["method"] == "dpo-q");
        Assert.That(dpo.Options, Does.Contain("\"truncation\":\"keep_end\"").And.Contain("\"max_length\":512"));
    }

    // The first rows of the folder are harmless-base's alone, and a post of TL;DR stands in several comparisons.
    [Test]
    public void Prompts_of_MEET_are_a_share_of_every_published_file_and_answered_once()
    {
        var asked = Planned("meet").Jobs.Where(job => job.Kind == "evaluate").Select(job => JsonNode.Parse(job.Options)!["benchmark"]!["options"]!).ToList();
        var data = asked.Select(options => options["dataset"]!).DistinctBy(dataset => dataset.ToJsonString()).ToList();
        Assert.That(data, Has.Count.EqualTo(2));
        var dialogues = data.Single(dataset => dataset["mixture"] is not null);
        Assert.That(dialogues["mixture"]!.AsArray().Select(part => ((string)part!["dataset"]!["reader"]!["options"]!["path"]!, part["proportion"] is null)), Is.EquivalentTo(
            new[] { "harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled" }.Select(subset => ($"data/hh-rlhf/{subset}/test.jsonl.gz", true))));
        Assert.That((bool)data.Single(dataset => dataset["mixture"] is null)["reader"]!["options"]!["one_per_post"]!);
        Assert.That(data.Select(dataset => (int)dataset["take"]!), Is.All.EqualTo(1000));
        Assert.That(asked.Select(options => (int?)options["max_new_tokens"]), Is.All.EqualTo(256), "the win rate and the reward are of answers of one length");
        Assert.That(Planned("meet").Jobs.Where(job => job.Kind == "train" && job.Label.Contains("/hh", StringComparison.Ordinal)).Select(job => job.Options), Is.All.Contains("\"rule\":\"all\"").And.All.Contains("\"take\":160800"));
    }
}
