// A third party's quantisation, the template's own code: folders in its format are part of the identity of what uses them, as is the
// plugin that reads them; who has none of them keeps every identity.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

[Parallelizable(ParallelScope.Self)]
public sealed class OutsideQuantizationTests
{
    private static readonly string[] OfCodes = ["train/codes/world/teach/s1", "evaluate/perplexity/codes", "evaluate/perplexity/codes/world/teach/s1"];

    private readonly Peftalign place = new();
    private string plugins = "", plugin = "", full = "", codes = "", four = "";

    [OneTimeSetUp]
    public void BuildOutside()
    {
        (plugins, plugin) = (place.File("plugins"), Path.Combine(place.File("plugins"), "their.codes"));
        Directory.CreateDirectory(plugins);
        Build(version: 1);
        place.Finish(place.Write("made.yaml", """
            peftalign: 1
            name: made
            seeds: [1]
            plugins: [eval]
            models:
              plain: { init: llama, set: { hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }
            evaluate:
              - { of: untouched, with: { type: perplexity, path: text.txt } }
            """.Replace("text.txt", place.Write("text.txt", "One text.\n"))));
        (full, codes, four) = (Path.Combine(place.Job("make-model/plain"), "model"), place.File("codes"), place.File("four"));
        Quantize(codes, "their_codes", "--plugins", plugins);
        Quantize(four, "nf4");
    }

    // Every test that asks for another version asks for one of its own, so that it differs from what the test before left.
    private void Build(int version)
    {
        var source = Directory.CreateDirectory(place.File($"version {version}")).FullName;
        var template = Path.Combine(Peftalign.Repository, "src", "Host", "Templates", "quantization", "cs", "NAME", "Plugin.cs.template");
        File.WriteAllText(Path.Combine(source, "Plugin.cs"), File.ReadAllText(template).Replace("{{Name}}", "Their.Codes").Replace("{{Contract}}", "their_codes").Replace("resultVersion: 1", $"resultVersion: {version}"));
        if (Directory.Exists(plugin)) Directory.Delete(plugin, recursive: true);
        Directory.Move(OutsideBuild.Build(source, "Their.Codes"), plugin);
    }

    [OneTimeTearDown]
    public void Remove() => place.Dispose();

    private void Quantize(string target, string type, params string[] more)
    {
        var made = Peftalign.Call(["quantize", "--model", full, "--out", target, "--type", type, .. more]);
        Assert.That(made.Code, Is.Zero, made.All);
    }

    private string Manifest(Peftalign user, bool theirs = true)
    {
        user.Write("text.txt", "One text for all models.\n");
        return user.Write("study.yaml", $$"""
            peftalign: 1
            name: study
            seeds: [1]
            plugins: [methods.sft, peft.lora, peft.qlora, eval, data{{(theirs ? $", {{ path: '{plugin}' }}" : "")}}]
            models:
              plain: { path: '{{full}}' }
              four: { path: '{{four}}' }
              {{(theirs ? $"codes: {{ path: '{codes}' }}" : "")}}
            datasets:
              world: { reader: synthetic, rows: 12, split: train }
            adapters:
              small: { type: lora, rank: 2, targets: [q_proj] }
            methods:
              teach: { type: sft, adapter: small, learning_rate: 1.0e-3, batch_size: 4, max_steps: 2 }
            train:
              - { models: [plain, four{{(theirs ? ", codes" : "")}}], datasets: world, methods: teach }
            evaluate:
              - { of: [untouched, trained], with: { type: perplexity, path: text.txt } }
            """);
    }

    private static Dictionary<string, JsonNode> Planned(Peftalign user, string manifest)
    {
        var planned = Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run", "--json");
        Assert.That(planned.Code, Is.Zero, planned.All);
        return JsonNode.Parse(planned.Out)!["jobs"]!.AsArray().Where(job => (string?)job!["kind"] != "report").ToDictionary(job => (string)job!["label"]!, job => job!);
    }

    [Test]
    public void A_folder_in_its_format_is_what_its_plugin_reads()
    {
        using var user = new Peftalign();
        var manifest = Manifest(user);
        user.Finish(manifest);
        foreach (var label in OfCodes)
        {
            Assert.That((string?)Peftalign.Json(Path.Combine(user.Job(label), "result.json"))["made_with"]!["their.codes"], Is.Not.Null, label);
            foreach (var other in (string[])["plain", "four"])
                Assert.That(File.ReadAllText(Path.Combine(user.Job(label.Replace("codes", other)), "result.json")), Does.Not.Contain("their"), label);
        }

        // Built again, of the same result version: told, and made again where that is asked for.
        RebuiltPlugin.Make(plugin);
        Assert.That(user.Finish(manifest).Err, Does.Contain("3 finished job(s) were made with other files of their.codes, of the same result versions; --strict makes them again").And.Contain("nothing to do"));
        Assert.That(user.Finish(manifest, "--strict").Err, Does.Contain("they are made again").And.Contain("done train/codes/world/teach/s1").And.Not.Contain("done train/plain").And.Not.Contain("done train/four"));

        // Another result version is another job, whether or not files are compared.
        var before = Planned(user, manifest);
        Assert.That(before.Values.Select(job => (bool)job["finished"]!), Has.All.True);
        Build(version: 9);
        var raised = Planned(user, manifest);
        Assert.That(raised.Where(job => !(bool)job.Value["finished"]!).Select(job => job.Key), Is.EquivalentTo(OfCodes));
        Assert.That(raised.Where(job => (string)job.Value["id"]! != (string)before[job.Key]["id"]!).Select(job => job.Key), Is.EquivalentTo(OfCodes));
    }

    [Test]
    public void Who_has_no_folder_of_its_format_keeps_every_identity()
    {
        using var user = new Peftalign();
        var without = Planned(user, Manifest(user, theirs: false)).ToDictionary(job => job.Key, job => (string)job.Value["id"]!);
        var with = Planned(user, Manifest(user)).Where(job => !OfCodes.Contains(job.Key)).ToDictionary(job => job.Key, job => (string)job.Value["id"]!);
        Assert.That(without, Has.Count.EqualTo(6));
        Assert.That(with, Is.EquivalentTo(without));
    }

    [Test]
    public void Eval_goes_on_with_answers_of_one_result_version_alone()
    {
        using var user = new Peftalign();
        var text = user.Write("text.txt", "One text.\n");
        Outcome Eval(string model, string target) => Peftalign.Call("eval", "--model", model, "--benchmarks", "perplexity", "--option", $"path={text}", "--plugins", plugins, "--out", user.File(target), "--threads", "1");
        foreach (var (model, target) in (ValueTuple<string, string>[])[(codes, "of codes"), (four, "of four")])
            for (var time = 1; time <= 2; time++) Assert.That(Eval(model, target) is { Code: 0 } end && end.Err.Contains("answered already") == (time == 2), $"{target}, {time}");
        Build(version: 5);
        Assert.That(Eval(four, "of four").Code, Is.Zero);
        var other = Eval(codes, "of codes");
        Assert.That((other.Code, other.Err.Contains("holds answers of another model or adapter")), Is.EqualTo((2, true)), other.All);
    }

    [Test]
    public void Train_takes_the_plugin_of_the_folders_format()
    {
        using var user = new Peftalign();
        var rows = user.Write("rows.jsonl", "{\"prompt_ids\": [1, 2], \"completion_ids\": [3, 4]}\n{\"prompt_ids\": [5], \"completion_ids\": [6, 7, 8]}\n");
        string[] train = ["train", "sft", "--model", codes, "--adapter", "lora", "--rank", "2", "--targets", "q_proj", "--data", rows, "--out", user.File("trained"), "--max-steps", "1", "--batch-size", "2", "--threads", "1"];
        var refused = Peftalign.Call(train);
        Assert.That(refused.Code, Is.EqualTo(2), refused.All);
        Assert.That(refused.Err, Does.Contain("quantization_config is {").And.Contain("it must be of a format that an installed plugin reads"));
        var trained = Peftalign.Call([.. train, "--plugins", plugins]);
        Assert.That(trained.Code, Is.Zero, trained.All);
        Assert.That(File.Exists(Path.Combine(user.File("trained"), "adapter", "adapter_config.json")));
    }
}
