// `runs` on real runs: list, show, compare, gc; the index is made again from the directories whatever happens to it.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class RunsTests
{
    private const string Manifest = """
        peftalign: 1
        name: little
        seeds: [1, 2]
        models:
          tiny: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }
        datasets:
          world: { reader: synthetic, rows: 24, split: train }
          exam: { reader: synthetic, rows: 10, split: test }
        methods:
          teach: { type: sft, learning_rate: 1.0e-3, batch_size: 8, max_steps: 3 }
        train:
          - { models: [tiny], datasets: [world], methods: [teach] }
        evaluate:
          - { of: [untouched, trained], with: { type: preference, dataset: exam } }
        """;

    private static JsonNode Json(params string[] args)
    {
        var outcome = Peftalign.Call([.. args, "--json"]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return JsonNode.Parse(outcome.Out)!;
    }

    private static string Text(params string[] args)
    {
        var outcome = Peftalign.Call(args);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return outcome.Out;
    }

    private static string[] Labels(JsonNode document) => [.. document["jobs"]!.AsArray().Select(job => (string)job!["label"]!).Order(StringComparer.Ordinal)];

    [Test]
    public void Runs_are_listed_shown_compared_and_cleaned()
    {
        using var user = new Peftalign();
        var (one, two) = (user.File("runs/one"), user.File("runs/deeper/two"));
        void Run(string name, string text, string run)
        {
            var outcome = Peftalign.Call("run", user.Write(name, text), "--out", run, "--threads", "1");
            Assert.That(outcome.Code, Is.Zero, outcome.All);
        }
        Run("one.yaml", Manifest, one);
        Run("two.yaml", Manifest.Replace("name: little", "name: faster").Replace("1.0e-3", "5.0e-2"), two);

        Listed(user, one, two);
        Shown(one);
        Compared(one, two);
        Rebuilt(one);
        Cleaned(user, one, Run);
    }

    private static void Listed(Peftalign user, string one, string two)
    {
        var runs = Json("runs", "list", "--root", user.File("runs"))["runs"]!.AsArray();
        Assert.That(runs.Select(run => ((string)run!["path"]!, (string)run["name"]!, (int)run["jobs"]!, (int)run["finished"]!, (int)run["running"]!, (int)run["failed"]!)),
            Is.EqualTo(new[] { (two, "faster", 6, 6, 0, 0), (one, "little", 6, 6, 0, 0) }));
        Assert.That((double)runs[0]!["seconds"]!, Is.GreaterThan(0));
        Assert.That(Text("runs", "list", "--root", user.File("runs")), Does.Match(@"(?m)^faster +6/6 +0 +0 ").And.Match(@"(?m)^little +6/6"));
        var none = Peftalign.Call("runs", "show", user.File("runs"));
        Assert.That((none.Code, none.Err), Is.EqualTo((2, $"peftalign: {user.File("runs")}: holds no run (no plan.json); name the folder that `peftalign run --out` wrote; peftalign runs list shows those of a folder\n")));
    }

    private static void Shown(string one)
    {
        var jobs = Json("runs", "show", one)["jobs"]!.AsArray();
        Assert.That(jobs.Select(job => (string)job!["state"]!), Is.All.EqualTo("finished"));
        var train = jobs.Single(job => (string)job!["label"]! == "train/tiny/world/teach/s2")!;
        var last = JsonNode.Parse(File.ReadLines(Path.Combine(one, "jobs", (string)train["id"]!, "metrics.jsonl")).Last())!;
        Assert.That((double)train["metrics"]!["grad_norm"]!, Is.EqualTo((double)last["grad_norm"]!));
        Assert.That((double)train["metrics"]!["final_loss"]!, Is.EqualTo((double)last["loss"]!));
        Assert.That(((string?)train["axes"]!["seed"], (string?)train["axes"]!["method"]), Is.EqualTo(("2", "teach")));
        Assert.That((long)train["peak_memory_bytes"]!, Is.GreaterThan(10_000_000));
        var text = Text("runs", "show", one, "--only", "evaluate/*");
        Assert.That(text, Does.Contain("3 finished").And.Match(@"finished +\d+ s +\d+ MB  evaluate/preference/tiny/world/teach/s1 +acc 0\.\d{4}").And.Not.Contain("make-model"));
        Assert.That(Peftalign.Call("runs", "show", one, "--only", "nothing*").Code, Is.EqualTo(2));
    }

    private static void Compared(string one, string two)
    {
        var rows = Json("runs", "compare", one, two)["rows"]!.AsArray();
        double Of(string run, string label) => (double)Json("runs", "show", run)["jobs"]!.AsArray().Single(job => (string)job!["label"]! == label)!["metrics"]!["final_loss"]!;
        var loss = rows.Single(row => (string)row!["label"]! == "train/tiny/world/teach/s1" && (string)row["metric"]! == "final_loss")!;
        Assert.That(loss["values"]!.AsArray().Select(value => (double)value!), Is.EqualTo(new[] { Of(one, "train/tiny/world/teach/s1"), Of(two, "train/tiny/world/teach/s1") }));
        Assert.That((bool)loss["same_job"]!, Is.False);
        var untouched = rows.Single(row => (string)row!["label"]! == "evaluate/preference/tiny" && (string)row["metric"]! == "acc")!;
        Assert.That((bool)untouched["same_job"]!, "the untouched model is the same in both");
        Assert.That(untouched["errors"]!.AsArray(), Has.Count.EqualTo(2));
        Assert.That(Text("runs", "compare", one, two, one, "--only", "evaluate/preference/tiny", "--metric", "acc"), Does.Match(@"evaluate/preference/tiny +acc +0\.\d{4} ± 0\.\d{4} +0\.\d{4} ± 0\.\d{4} +0\.\d{4}"));
        Assert.That(Peftalign.Call("runs", "compare", one).Err, Does.Contain("name two or more"));
        Assert.That(Peftalign.Call("runs", "compare", one, two, "--metric", "nothing").Code, Is.EqualTo(2));
    }

    // The directories are the truth: gone, garbage, cut, of another version, or out of date, the index says the same again.
    private static void Rebuilt(string run)
    {
        var index = Path.Combine(run, "index.sqlite");
        var expected = Text("runs", "show", run, "--json");
        Assert.That(File.ReadAllBytes(index).AsSpan(0, 15).SequenceEqual("SQLite format 3"u8));
        var whole = File.ReadAllBytes(index);
        (string Name, Action Harm)[] harms =
        [
            ("gone", () => File.Delete(index)),
            ("garbage", () => File.WriteAllText(index, new string('x', 9000))),
            ("cut", () => File.WriteAllBytes(index, whole[..(whole.Length / 2)])),
            ("holes", () => File.WriteAllBytes(index, [.. whole.Select((b, k) => k is > 2000 and < 7000 ? (byte)0xAA : b)])),
            ("another version", () => File.WriteAllBytes(index, [.. whole.Select((b, k) => k == 63 ? (byte)99 : b)])), // user_version
            ("empty", () => File.WriteAllBytes(index, [])),
        ];
        foreach (var (name, harm) in harms)
        {
            harm();
            Assert.That(Text("runs", "show", run, "--json"), Is.EqualTo(expected), name);
            Assert.That(File.ReadAllBytes(index).AsSpan(0, 15).SequenceEqual("SQLite format 3"u8), name);
        }
        File.Delete(index);
        Directory.CreateDirectory(index); // nothing can be written there
        Assert.That(Text("runs", "show", run, "--json"), Is.EqualTo(expected), "in memory");
        Directory.Delete(index);
    }

    private static void Cleaned(Peftalign user, string one, Action<string, string, string> run)
    {
        var all = Labels(Json("runs", "show", one));
        run("one.yaml", Manifest.Replace("seeds: [1, 2]", "seeds: [1]"), one);
        Assert.That(Text("runs", "show", one), Does.Match(@"finished \(not in the plan\) .*train/tiny/world/teach/s2"));
        var before = Directory.GetDirectories(Path.Combine(one, "jobs"));
        string[] superfluous = ["evaluate/preference/tiny/world/teach/s2", "train/tiny/world/teach/s2"];
        Assert.That(Labels(Json("runs", "gc", one, "--dry-run")), Is.EqualTo(superfluous));
        Assert.That(Directory.GetDirectories(Path.Combine(one, "jobs")), Is.EquivalentTo(before), "a dry run deletes nothing");
        var other = user.Write("other.yaml", Manifest);
        Assert.That(Labels(Json("runs", "gc", one, "--manifest", other)), Is.Empty, "another manifest needs them");

        // A job at work stays, and so does what is not ours.
        var train = before.Single(path => (string?)Peftalign.Json(Path.Combine(path, "job.json"))["label"] == "train/tiny/world/teach/s2");
        var notes = Directory.CreateDirectory(Path.Combine(one, "jobs", "my-notes")).FullName;
        using (new FileStream(Path.Combine(train, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            var outcome = Peftalign.Call("runs", "gc", one);
            Assert.That(outcome.Code, Is.Zero, outcome.All);
            Assert.That(outcome.Err, Does.Contain("train/tiny/world/teach/s2: is running, stays"));
            Assert.That(outcome.Out, Does.Contain("deleted evaluate/preference/tiny/world/teach/s2").And.Contain("1 job(s), "));
        }
        using (new FileStream(Path.Combine(one, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
            Assert.That(Peftalign.Call("runs", "gc", one).Err, Does.Contain("another run works in this folder"));
        Assert.That(Labels(Json("runs", "gc", one)), Is.EqualTo(superfluous[1..]));
        Assert.That(Directory.Exists(notes) && !Directory.Exists(train));
        Assert.That(Text("runs", "gc", one), Is.EqualTo("nothing to delete\n"));
        run("one.yaml", Manifest, one);
        Assert.That(Labels(Json("runs", "show", one)), Is.EqualTo(all), "what is needed again is made again");
    }
}
