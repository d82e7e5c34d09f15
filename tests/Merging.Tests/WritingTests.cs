// What a merge leaves on the disk: all or nothing; certificates; sums of adapters; files that transformers loads.

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

public class WritingTests
{
    [Test]
    public void AnInterruptedMergeLeavesNothing()
    {
        using var stop = new CancellationTokenSource();
        var folder = Workshop.Scratch();
        using var plan = Workshop.Plan(Workshop.Golden("yaml", "ties-2-models.yml"), Workshop.Golden());
        var options = new MergeOptions { Cancellation = stop.Token, Progress = (done, _, _) => { if (done == 20) stop.Cancel(); } };
        Assert.That(() => new MergeRunner(plan, options).Write(Path.Combine(folder, "out")), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Directory.EnumerateFileSystemEntries(folder), Is.Empty);
    }

    [Test]
    public void WhatAKilledMergeLeftIsGoneWithTheNext()
    {
        var folder = Workshop.Scratch();
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "out.partial-7")).FullName, "model.safetensors"), "half");
        using var plan = Workshop.Plan(Workshop.Golden("yaml", "ties-2-models.yml"), Workshop.Golden());
        new MergeRunner(plan, new MergeOptions()).Write(Path.Combine(folder, "out"));
        Assert.That(Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName), Is.EqualTo((string[])["out"]));
    }

    [Test]
    public void AFullFolderIsNotTouched()
    {
        var folder = Workshop.Scratch();
        File.WriteAllText(Path.Combine(folder, "mine.txt"), "mine");
        using var plan = Workshop.Plan(Workshop.Golden("yaml", "ties-2-models.yml"), Workshop.Golden());
        Assert.That(() => new MergeRunner(plan, new MergeOptions()).Write(folder), Throws.InstanceOf<UserErrorException>().With.Message.Contains("not empty"));
        Assert.That(Directory.EnumerateFileSystemEntries(folder).Count(), Is.EqualTo(1));
    }

    [Test]
    public void AFolderThatCannotBeMadeIsTheUsersMistake()
    {
        var file = Path.Combine(Workshop.Scratch(), "file");
        File.WriteAllText(file, "");
        using var plan = Workshop.Plan(Workshop.Golden("yaml", "ties-2-models.yml"), Workshop.Golden());
        Assert.That(() => new MergeRunner(plan, new MergeOptions()).Write(Path.Combine(file, "x", "out")), Throws.InstanceOf<UserErrorException>().With.Message.Contains("cannot be made").And.Message.Contains("give another folder"));
    }

    [Test]
    public void TheCertificateSaysWhatWentInAndCameOut()
    {
        var yaml = Workshop.Golden("yaml", "ties-3-models.yml");
        using var plan = Workshop.Plan(yaml, Workshop.Golden());
        var (ledger, folder) = (new TensorLedger(), Path.Combine(Workshop.Scratch(), "out"));
        var found = Workshop.Plugins.Find("merge", "ties");
        var request = new CertificateRequest(File.ReadAllText(yaml), found, "0.0.0", 5, new Probe("ids", [new ProbeRow(null, [1, 5, 7, 9, 3]), new ProbeRow(null, [2, 20, 11])]), ModelArchitectures.BuiltIn) { Cancellation = default };
        new MergeRunner(plan, new MergeOptions { Observe = ledger.Observe }).Write(folder, partial => MergeCertificate.Write(plan, ledger, request, partial));
        var json = Workshop.Json(Path.Combine(folder, "certificate.json"));
        Assert.That(json.GetProperty("inputs").GetArrayLength(), Is.EqualTo(4));
        Assert.That(json.GetProperty("tensors").GetArrayLength(), Is.EqualTo(plan.Tensors.Count));
        foreach (var parent in json.GetProperty("drift").GetProperty("parents").EnumerateArray())
        {
            Assert.That(parent.GetProperty("tokens").GetInt64(), Is.EqualTo(6));
            Assert.That(parent.GetProperty("kl_per_token").GetDouble(), Is.GreaterThan(0));
            Assert.That(parent.GetProperty("top1_agreement").GetDouble(), Is.InRange(0, 1));
        }
        var first = json.GetProperty("tensors")[0];
        using var scope = torch.NewDisposeScope();
        var (a, origin) = (Workshop.Tensors(Workshop.Golden("models", "a")), Workshop.Tensors(Workshop.Golden("models", "base")));
        var name = first.GetProperty("name").GetString()!;
        var length = (a[name] - origin[name]).to(torch.float64).square().sum().sqrt().item<double>();
        Assert.That(first.GetProperty("difference_norms").GetProperty("models/a").GetDouble(), Is.EqualTo(length).Within(1e-5 * length));
        Assert.That(File.ReadAllText(Path.Combine(folder, "certificate.html")), Does.Contain("models/c").And.Contain("KL(parent || result)"));
    }

    // One file of gigabytes: an interrupt that waited for its end would find nothing left to stop.
    [Test]
    public void AnInterruptEndsTheHashingOfAFile()
    {
        var folder = Workshop.Scratch();
        using (var file = File.Create(Path.Combine(folder, "model.safetensors"))) file.SetLength(8L << 30); // takes no space
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        Assert.That(() => MergeCertificate.Files(folder, _ => true, stop.Token), Throws.InstanceOf<OperationCanceledException>());
        File.WriteAllText(Path.Combine(folder, "model.safetensors"), "1");
        Assert.That((string?)MergeCertificate.Files(folder, _ => true, CancellationToken.None)["model.safetensors"], Is.EqualTo("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"));
    }

    [TestCase(false, "no row of the probe short.jsonl has two tokens; give longer ones")]
    [TestCase(true, "the merged model has no tokenizer; give a probe of token ids: rows {\"ids\": [...]}")]
    public void ADriftThatCannotBeMeasuredIsNoted(bool text, string reason)
    {
        var yaml = Workshop.Golden("yaml", "ties-2-models.yml");
        using var plan = Workshop.Plan(yaml, Workshop.Golden());
        var (ledger, folder) = (new TensorLedger(), Path.Combine(Workshop.Scratch(), "out"));
        var probe = new Probe("short.jsonl", [text ? new ProbeRow("A text.", null) : new ProbeRow(null, [3])]);
        var request = new CertificateRequest(File.ReadAllText(yaml), Workshop.Plugins.Find("merge", "ties"), "0.0.0", 5, probe, ModelArchitectures.BuiltIn) { Cancellation = default };
        IReadOnlyList<string> unmeasured = [];
        new MergeRunner(plan, new MergeOptions { Observe = ledger.Observe }).Write(folder, partial => unmeasured = MergeCertificate.Write(plan, ledger, request, partial));
        Assert.That(unmeasured, Has.One.Contains(reason));
        foreach (var parent in Workshop.Json(Path.Combine(folder, "certificate.json")).GetProperty("drift").GetProperty("parents").EnumerateArray())
            Assert.That(parent.GetProperty("not_measured").GetString(), Is.EqualTo(reason));
    }

    [Test]
    public void AMergeThatIsAParentDoesNotDrift()
    {
        using var plan = Workshop.Plan(Workshop.Golden("yaml", "lora-alone.yml"), Workshop.Golden());
        var folder = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(folder);
        var drift = Drift.Measure(plan, folder, new Probe("ids", [new ProbeRow(null, [1, 5, 7, 9, 3])]), ModelArchitectures.BuiltIn, null);
        Assert.That(drift[0].Reason, Is.Null);
        Assert.That(drift[0].Merged.Kl, Is.LessThan(1e-9));
        Assert.That(drift[0].Merged.Agreement, Is.EqualTo(1));
    }

    [TestCase("linear", "{\"weight\": [0.3, 0.9], \"normalize\": true}")]
    [TestCase("task_arithmetic", "{\"weight\": [0.3, 0.9], \"normalize\": false, \"lambda\": 0.8}")]
    public void ASumOfAdaptersIsTheMergeOfTheirModels(string method, string parameters)
    {
        using var scope = torch.NewDisposeScope();
        var (model, adapter) = (Workshop.Golden("models", "base"), Workshop.Golden("adapters", "lora1"));
        var given = JsonNode.Parse(parameters)!.AsObject();
        var folder = Workshop.Scratch();
        Assert.That(LoraSums.Write(model, [adapter, adapter], LoraSums.Weights(method, given, 2)!, folder), Is.EqualTo(8));
        var provided = Workshop.Strategies.Find(method);
        var places = new Dictionary<string, ModelPlace> { ["base"] = new(model, null), ["one"] = new(model, adapter), ["two"] = new(model, adapter), ["sum"] = new(model, folder) };
        Dictionary<string, Tensor> Merged(string strategy, string[] models, JsonObject options)
        {
            var config = Programmed.Config(strategy, Workshop.Strategies.Find(strategy).Contract.Options, models, strategy == "task_arithmetic" ? "base" : null, options);
            using var plan = Merger.Plan(config, new MergeFaults("test"), Workshop.Strategies.Find, name => places[name]);
            var target = Path.Combine(Workshop.Scratch(), "out");
            new MergeRunner(plan, new MergeOptions()).Write(target);
            return Workshop.Tensors(target);
        }
        Compare.Close(method, Merged("passthrough", ["sum"], []), Merged(method, ["one", "two"], given), 3e-7, 2e-6);
        Assert.That(LoraSums.Weights("linear", JsonNode.Parse("{\"weight\": [0.3, 0.9], \"normalize\": false}")!.AsObject(), 2), Is.Null, "it would scale the base");
        Assert.That(LoraSums.Weights("ties", given, 2), Is.Null);
        Assert.That(LoraSums.Write(model, [adapter, Workshop.Golden("adapters", "lora2")], [1, 1], Workshop.Scratch()), Is.Null, "other modules");
        foreach (var (other, why) in ((string, string)[])[("lora2", "ranks differ from module to module"), ("lora3", "it holds a head beside its pairs")])
            Assert.That(LoraSums.Write(model, [Workshop.Golden("adapters", other), Workshop.Golden("adapters", other)], [1, 1], Workshop.Scratch()), Is.Null, why);
    }

    // The forms of manifests are those of mergekit's files.
    [TestCase("task_arithmetic", """{"weight": [{"layers": [0.2, 0.8]}, 0.5]}""", "[0.2, 0.8]", "0.5")]
    [TestCase("task_arithmetic", """{"weight": {"layers": [0.1, 0.9, 0.3]}}""", "[0.1, 0.9, 0.3]", "[0.1, 0.9, 0.3]")]
    [TestCase("task_arithmetic", """{"weight": [{"filter": "mlp", "value": {"layers": [0, 1]}}, {"value": 0.25}]}""", "[{filter: mlp, value: [0, 1]}, {value: 0.25}]", "[{filter: mlp, value: [0, 1]}, {value: 0.25}]")]
    public void ParametersByLayersAndFilters_AreMergekits(string method, string parameters, string one, string two)
    {
        using var scope = torch.NewDisposeScope();
        var (root, adapters) = (Workshop.Golden("models", "base"), new[] { Workshop.Golden("adapters", "lora1"), Workshop.Golden("adapters", "lora2") });
        var places = new Dictionary<string, ModelPlace> { ["base"] = new(root, null), ["one"] = new(root, adapters[0]), ["two"] = new(root, adapters[1]) };
        Dictionary<string, Tensor> Merged(MergePlan plan)
        {
            using (plan)
            {
                Assert.That(plan.Warnings, Is.Empty);
                var target = Path.Combine(Workshop.Scratch(), "out");
                new MergeRunner(plan, new MergeOptions()).Write(target);
                return Workshop.Tensors(target);
            }
        }
        var config = Programmed.Config(method, Workshop.Strategies.Find(method).Contract.Options, ["one", "two"], "base", JsonNode.Parse(parameters)!.AsObject());
        var ours = Merged(Merger.Plan(config, new MergeFaults("test"), Workshop.Strategies.Find, name => places[name]));
        var yaml = $"merge_method: {method}\nbase_model: {root}\nmodels:\n- {{model: {root}+{adapters[0]}, parameters: {{weight: {one}}}}}\n- {{model: {root}+{adapters[1]}, parameters: {{weight: {two}}}}}\n";
        var file = Merged(Merger.Plan(yaml, "test.yaml", Workshop.Strategies.Find, path => path));
        foreach (var (name, tensor) in file) Assert.That(ours[name].equal(tensor), Is.True, name);
        Assert.That(LoraSums.Weights("task_arithmetic", JsonNode.Parse(parameters)!.AsObject(), 2), Is.Null, "no one sum of adapters");
    }

    // The loader takes such a matrix for the embedding; a merge that kept the head alone would have none.
    [Test]
    public void ATiedMatrixUnderTheHeadsNameIsMergedAsTheEmbedding()
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        var settings = new JsonObject { ["vocab_size"] = 30, ["hidden_size"] = 8, ["intermediate_size"] = 12, ["num_hidden_layers"] = 1, ["num_attention_heads"] = 2, ["max_position_embeddings"] = 32, ["tie_word_embeddings"] = true };
        var (plain, alone) = (Directory.CreateDirectory(Path.Combine(root, "plain")).FullName, Directory.CreateDirectory(Path.Combine(root, "alone")).FullName);
        ModelFolder.Initialise(plain, "llama", settings, 1);
        ModelFolder.Initialise(alone, "llama", settings, 2);
        var weights = Workshop.Tensors(alone).ToDictionary(t => t.Key, t => t.Value.clone());
        var matrix = weights["model.embed_tokens.weight"];
        weights.Remove("model.embed_tokens.weight");
        weights["lm_head.weight"] = matrix;
        CheckpointFolder.Write(alone, weights);
        var yaml = Path.Combine(root, "merge.yml");
        File.WriteAllText(yaml, "merge_method: linear\nmodels:\n  - model: plain\n    parameters: {weight: 1}\n  - model: alone\n    parameters: {weight: 3}\n");
        var merged = Workshop.Tensors(Workshop.Merge(yaml, root));
        Assert.That(merged.ContainsKey("lm_head.weight"), Is.False);
        var wanted = Workshop.Tensors(plain)["model.embed_tokens.weight"] * 0.25 + matrix * 0.75;
        Compare.Close("embedding", merged["model.embed_tokens.weight"], wanted, 1e-6, 1e-5);
    }

    // Needs a Python with transformers: PEFTALIGN_PEERS_PYTHON names it.
    [TestCase("ties-3-models")]
    [TestCase("tied-base-untied-model")]
    [TestCase("passthrough-stack")]
    public void TransformersLoadsOurOutputAndItsLogitsAreOurs(string name)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python)
        {
            Assert.Ignore("PEFTALIGN_PEERS_PYTHON names no Python with transformers");
            return;
        }
        var folder = Workshop.Merge(Workshop.Golden("yaml", name + ".yml"), Workshop.Golden());
        const string Script = "import sys, json, torch, transformers as t; m = t.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32); print(json.dumps(m(torch.tensor([[1, 5, 7, 9, 3]])).logits[0].flatten().tolist()))";
        using var process = Process.Start(new ProcessStartInfo(python, ["-c", Script, folder]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var line = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, errors.Result);
        float[] theirs = [.. JsonDocument.Parse(line.Split('\n')[^1]).RootElement.EnumerateArray().Select(x => x.GetSingle())];
        using var scope = torch.NewDisposeScope();
        using var noGrad = torch.no_grad();
        // A trailing token, since the last of a completion gets no row.
        var ours = new LogProbEngine(ModelFolder.Load(folder)).Logits([new CompletionGroup([1], [Completion.Of([5, 7, 9, 3, 0])])], ForwardMode.Plain)[0];
        Compare.Close(string.Create(CultureInfo.InvariantCulture, $"{name}: logits"), ours.reshape(-1), torch.tensor(theirs, [theirs.Length]), 2e-5, 1e-4);
    }
}
