// Every check of a kit passes on a plugin that is right and fails, alone, on the fault that it is there for.

using System.Text.Json.Nodes;

namespace PeftAlign.Testing.Tests;

public class KitTests
{
    private static readonly string Tests = Path.GetDirectoryName(typeof(KitTests).Assembly.Location)!;
    private string folder = null!;

    [SetUp]
    public void SetUp()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-kits-").FullName;
        CopyOutput("Sample.Faulty");
    }

    private void CopyOutput(string project)
    {
        var built = Path.GetFullPath(Path.Combine(Tests, "..", "..", project, Path.GetFileName(Tests)));
        foreach (var file in Directory.GetFiles(built, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(folder, Path.GetRelativePath(built, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
    }

    [TearDown]
    public void TearDown()
    {
        Environment.SetEnvironmentVariable("PEFTALIGN_TEST_REGISTER", null);
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>The names of the checks that fail, of those whose name begins with the subject.</summary>
    private string[] Failing(string subject) => [.. Conformance.Checks(folder).Where(check => check.Name.StartsWith(subject, StringComparison.Ordinal) && Fails(check)).Select(check => check.Name[(subject.Length + 2)..])];

    private static bool Fails(ConformanceCheck check)
    {
        try
        {
            check.Run();
            return false;
        }
        catch (ConformanceException)
        {
            return true;
        }
    }

    // As the plugin's author would have shipped it: the hashes are right.
    private void Change(string file, Action<JsonObject> change)
    {
        var path = Path.Combine(folder, "conformance", file);
        var json = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        change(json);
        File.WriteAllText(path, json.ToJsonString());
        Rehash();
    }

    private void Rehash()
    {
        var manifest = Path.Combine(folder, "plugin.json");
        var json = JsonNode.Parse(File.ReadAllText(manifest))!;
        foreach (var file in json["files"]!.AsArray())
            file!["sha256"] = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, file["path"]!.GetValue<string>()))));
        File.WriteAllText(manifest, json.ToJsonString());
    }

    // The kit's model has norms with their weights, which such an adapter starts from.
    [Test]
    public void AnAdapterOfNormsPasses()
    {
        Change("adapter.low.json", json => (json["options"], json["sites"], json["seeded"]) = (new JsonObject { ["target"] = "layernorm" }, 4, false));
        Assert.That(Failing("adapter low"), Is.Empty);
    }

    [Test]
    public void ARightPluginPasses()
    {
        Assert.That(Failing("reader pairs"), Is.Empty);
        Assert.That(Failing("benchmark sums"), Is.Empty);
        Assert.That(Failing("plugin"), Is.Empty);
        Assert.That(Failing("method margin"), Is.Empty);
        Assert.That(Failing("adapter low"), Is.Empty);
        Assert.That(Failing("merge mean"), Is.Empty);
        Assert.That(Failing("tracker notes"), Is.Empty);
        Assert.That(Failing("quantization bits"), Is.Empty);
        Assert.That(Failing("architecture shape-none"), Is.Empty);
        Assert.That(Conformance.Checks(folder).Count(check => check.Name.StartsWith("reader pairs", StringComparison.Ordinal)), Is.EqualTo(11));
        Assert.That(Conformance.Checks(folder).Count(check => check.Name.StartsWith("benchmark sums", StringComparison.Ordinal)), Is.EqualTo(8));
    }

    [TestCase("loses_the_last_row", "reads the sample")]
    [TestCase("reads_once", "reads the same again")]
    [TestCase("shares_records", "reads the same again")]
    [TestCase("numbers_nothing", "numbers rows and names their file")]
    [TestCase("knows_no_gz", "reads gz as it reads plain")]
    [TestCase("takes_a_cut_gz", "refuses a gz that is cut off")]
    [TestCase("hides_the_row", "names the broken row")]
    [TestCase("reads_eagerly", "reads lazily")]
    [TestCase("ignores_splits", "refuses a split that it has not")]
    [TestCase("throws_for_a_missing_path", "says that a path is missing")]
    public void AReadersFaultFailsItsCheck(string fault, string check)
    {
        Change("reader.pairs.json", json => json["options"] = new JsonObject { ["fault"] = fault });
        Assert.That(Failing("reader pairs"), Is.EqualTo(new[] { check }));
    }

    [TestCase("chokes_on_results", "takes a job from start to end")]
    [TestCase("chokes_on_nan", "takes numbers that are none, and none at all")]
    [TestCase("refuses_known_steps", "takes a job that goes on with steps that it knows")]
    [TestCase("chokes_on_interrupts", "takes every kind of end, and none")]
    [TestCase("writes_over", "changes neither what it is given nor the job's own files")]
    public void ATrackersFaultFailsItsCheck(string fault, string check)
    {
        Change("tracker.notes.json", json => json["options"] = new JsonObject { ["fault"] = fault });
        Assert.That(Failing("tracker notes"), Is.EqualTo(new[] { check }));
    }

    [TestCase("reads_every_folder", "knows its own folders and no others")]
    [TestCase("decodes_shifted", "decodes near what it was given", "multiplies as its decoded matrix")]
    [TestCase("says_no_bytes", "says what it holds")]
    [TestCase("forgets_the_factor", "reads what it wrote, bit for bit")]
    [TestCase("takes_any_parts", "refuses parts that are missing or do not fit")]
    [TestCase("takes_missing_parts", "refuses parts that are missing or do not fit")]
    [TestCase("decodes_narrow", "decodes into every type")]
    [TestCase("multiplies_transposed", "multiplies as its decoded matrix")]
    [TestCase("multiplies_aside", "multiplies as its decoded matrix")]
    [TestCase("takes_na_n", "refuses NaN and infinity")]
    [TestCase("writes_over", "gives the same bytes again and leaves the matrix as it is")]
    [TestCase("draws_anew", "gives the same bytes again and leaves the matrix as it is")]
    public void AQuantisationsFaultFailsItsCheck(string fault, params string[] checks)
    {
        Change("quantization.bits.json", json => json["options"] = new JsonObject { ["fault"] = fault });
        Assert.That(Failing("quantization bits"), Is.EqualTo(checks));
    }

    [TestCase("renames", "makes a model of the sample, which loads")]
    [TestCase("hidesanoption", "names all that the sample sets")]
    [TestCase("describesanew", "describes the same again", "writes a folder that it reads")]
    [TestCase("givesnan", "gives finite log-probs", "writes a folder that it reads")]
    [TestCase("leavesamatrix", "reaches every matrix")]
    [TestCase("countsitscalls", "writes a folder that it reads")]
    [TestCase("takesanything", "refuses what it cannot compute")]
    public void AnArchitecturesFaultFailsItsCheck(string fault, params string[] checks) =>
        Assert.That(Failing($"architecture shape-{fault}"), Is.EqualTo(checks));

    [TestCase("loses_an_item", "has the sample's items")]
    [TestCase("repeats_an_id", "has stable, distinct ids")]
    [TestCase("asks_anew", "asks the same again")]
    [TestCase("remembers_items", "scores the same when resumed in the middle")]
    [TestCase("divides_by_zero", "gives finite numbers with their errors")]
    [TestCase("needs_items", "answers for no items")]
    public void ABenchmarksFaultFailsItsCheck(string fault, string check)
    {
        Change("benchmark.sums.json", json => json["options"] = new JsonObject { ["fault"] = fault });
        Assert.That(Failing("benchmark sums"), Is.EqualTo(new[] { check }));
    }

    [TestCase("prepares_anew", "prepares the same groups again")]
    [TestCase("miscounts_tokens", "counts what it trains")]
    [TestCase("detaches_a_part", "gives the gradient of its loss")]
    [TestCase("trains_the_chosen_alone", "gives the gradient of its loss")]
    [TestCase("weighs_the_first", "does not care for the order of records")]
    [TestCase("remembers", "keeps no state but what it declares")]
    [TestCase("hides_a_part_of_its_state", "keeps no state but what it declares")]
    [TestCase("misses_the_reference", "has the known value at the reference")]
    [TestCase("trains_empty_rows", "refuses rows without a trained token")]
    public void AMethodsFaultFailsItsCheck(string fault, string check)
    {
        Change("method.margin.json", json => json["options"] = new JsonObject { ["fault"] = fault });
        Assert.That(Failing("method margin"), Does.Contain(check));
        Assert.That(Failing("method margin").Except(Alike(check)), Is.EqualTo(new[] { check }));
    }

    // A part that is taken out of the graph on purpose, as the sample says; an answer that no gradient reaches is none of that.
    [TestCase("detaches_a_part", false)]
    [TestCase("trains_the_chosen_alone", true)]
    public void AMethodMayStopGradientsThatItsSampleNames(string fault, bool fails)
    {
        Change("method.margin.json", json => (json["options"], json["stops_gradients"]) = (new JsonObject { ["fault"] = fault }, true));
        Assert.That(Failing("method margin").Contains("gives the gradient of its loss"), Is.EqualTo(fails));
    }

    // docs/plugins.md gives it for its loss on pairs.
    [Test]
    public void ThePagesSampleOfPairsPasses()
    {
        var page = File.ReadAllText(Path.Combine(Checkout.Root, "docs", "plugins.md")).Split("## A loss from a paper")[1];
        var sample = JsonNode.Parse(page.Split("```json\n")[1].Split("```")[0])!.AsObject();
        Change("method.margin.json", json =>
        {
            json.Clear();
            foreach (var (key, value) in sample) json[key] = value?.DeepClone();
        });
        Assert.That(Failing("method margin"), Is.Empty);
        // What the kit says of a sample without the value is what it then takes.
        Change("method.margin.json", json => json.Remove("loss_at_reference"));
        var check = Conformance.Checks(folder).Single(check => check.Name.EndsWith("has the known value at the reference", StringComparison.Ordinal));
        Assert.That(() => check.Run(), Throws.TypeOf<ConformanceException>().With.Message.Contains($"log 2 = {sample["loss_at_reference"]!.ToJsonString()},"));
    }

    [Test]
    public void AMethodWithDeclaredStatePasses()
    {
        Change("method.margin.json", json => json["options"] = new JsonObject { ["fault"] = "none_with_state" });
        Assert.That(Failing("method margin"), Is.Empty);
    }

    [TestCase("misses_a_module", "chooses the sample's modules")]
    [TestCase("draws_anew", "gives equal bytes for equal seeds")]
    [TestCase("starts_elsewhere", "starts at the base model")]
    [TestCase("forgets_a_part", "loads what it saved, bit for bit")]
    [TestCase("takes_anything", "refuses tensors that do not fit")]
    [TestCase("matches_nothing", "says that no module matches")]
    [TestCase("loads_by_options", "loads what it saved, bit for bit")]
    public void AnAdaptersFaultFailsItsCheck(string fault, string check)
    {
        Change("adapter.low.json", json =>
        {
            json["options"]!["fault"] = fault;
            json["unmatched"]!["fault"] = fault;
        });
        Assert.That(Failing("adapter low"), Is.EqualTo(new[] { check }));
    }

    // The last one writes its result into the first model, so that whatever is merged twice differs too.
    [TestCase("squares_the_weights", "has the sample's value")]
    [TestCase("loses_equal_models", "gives equal models back")]
    [TestCase("flattens_cubes", "gives the models' shape")]
    [TestCase("weighs_the_first", "has the sample's value", "does not care for the order of models")]
    [TestCase("remembers", "gives the same again, whatever came between")]
    [TestCase("draws_anew", "gives the same again, whatever came between")]
    [TestCase("computes_narrow", "computes in float32 whatever is stored")]
    [TestCase("divides_by_length", "makes no NaN of finite models")]
    [TestCase("hides_nan", "hides no NaN of a model")]
    [TestCase("holds_wide_copies", "holds few tensors at once")]
    [TestCase("returns_a_model", "does not care for the order of models", "leaves the models as they are")]
    public void AMergesFaultFailsItsCheck(string fault, params string[] checks)
    {
        Change("merge.mean.json", json => json["options"]!["fault"] = fault);
        Assert.That(Failing("merge mean"), Is.EqualTo(checks));
    }

    [Test]
    public void AMergeMustSayHowManyModelsItTakes() =>
        Assert.That(Failing("merge untold"), Is.EqualTo(new[] { "says how many models it takes" }));

    [TestCase("Methods.Sft", "method.sft", """{ "rows": [{ "prompt_ids": [1, 2], "completion_ids": [3, 4, 5] }, { "input_ids": [1, 2, 3], "labels": [-100, 2, 3] }], "untrained": { "input_ids": [1, 2], "labels": [-100, -100] } }""")]
    [TestCase("Methods.Dpo", "method.dpo", """{ "options": {}, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 7] }, { "prompt_ids": [2], "chosen_ids": [9], "rejected_ids": [8, 7, 3] }, { "prompt_ids": [5, 5, 1], "chosen_ids": [4, 2], "rejected_ids": [6] }], "untrained": { "prompt_ids": [1], "chosen_ids": [], "rejected_ids": [4] }, "loss_at_reference": 0.6931471805599453 }""")]
    [TestCase("Methods.Dpo", "method.dpo", """{ "options": { "loss_type": ["hinge", "aot", "apo_zero"], "loss_weights": [1, 2, 0.5], "ld_alpha": 0.3, "label_smoothing": 0.1 }, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 7] }, { "prompt_ids": [2], "chosen_ids": [9], "rejected_ids": [8, 7, 3] }, { "prompt_ids": [5, 5, 1], "chosen_ids": [4, 2], "rejected_ids": [6] }], "untrained": { "prompt_ids": [1], "chosen_ids": [], "rejected_ids": [4] }, "loss_at_reference": 2.886294361119891 }""")]
    [TestCase("Methods.Orpo", "method.orpo", """{ "options": { "beta": 0.5 }, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 7] }, { "prompt_ids": [2], "chosen_ids": [9], "rejected_ids": [8, 7, 3] }, { "prompt_ids": [5, 5, 1], "chosen_ids": [4, 2], "rejected_ids": [6] }], "untrained": { "prompt_ids": [1], "chosen_ids": [], "rejected_ids": [4] } }""")]
    [TestCase("Methods.Cpo", "method.cpo", """{ "options": { "label_smoothing": 0.1, "alpha": 0.1 }, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 7] }, { "prompt_ids": [2], "chosen_ids": [9], "rejected_ids": [8, 7, 3] }, { "prompt_ids": [5, 5, 1], "chosen_ids": [4, 2], "rejected_ids": [6] }], "untrained": { "prompt_ids": [1], "chosen_ids": [], "rejected_ids": [4] } }""")]
    [TestCase("Methods.Cpo", "method.simpo", """{ "options": { "cpo_alpha": 0.3 }, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 7] }, { "prompt_ids": [2], "chosen_ids": [9], "rejected_ids": [8, 7, 3] }, { "prompt_ids": [5, 5, 1], "chosen_ids": [4, 2], "rejected_ids": [6] }], "untrained": { "prompt_ids": [1], "chosen_ids": [], "rejected_ids": [4] } }""")]
    [TestCase("Methods.Kto", "method.kto", """{ "options": { "desirable_weight": 1.5 }, "rows": [{ "prompt_ids": [1, 2], "completion_ids": [3, 4, 5], "label": true }, { "prompt_ids": [2], "completion_ids": [9], "label": false }], "untrained": { "prompt_ids": [1], "completion_ids": [], "label": true }, "loss_at_reference": 0.625 }""")]
    [TestCase("Methods.Coh", "method.coh", """{ "options": { "good_marker_ids": [7], "bad_marker_ids": [8, 9] }, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 2] }, { "prompt_ids": [2], "chosen_ids": [9], "rejected_ids": [8, 7, 3] }], "untrained": { "prompt_ids": [1], "chosen_ids": [], "rejected_ids": [] } }""")]
    [TestCase("Methods.Meet", "method.meet", """{ "options": {}, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 2] }, { "prompt_ids": [2], "completion_ids": [9], "label": false }], "untrained": { "prompt_ids": [1], "completion_ids": [], "label": true } }""")]
    [TestCase("Methods.Reward", "method.reward", """{ "options": { "center_rewards_coefficient": 0.1 }, "rows": [{ "prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 7], "margin": 0.5 }, { "prompt_ids": [], "chosen_ids": [9], "rejected_ids": [8, 7, 3] }], "untrained": { "prompt_ids": [], "chosen_ids": [], "rejected_ids": [4] } }""")]
    [TestCase("Peft.Lora", "adapter.lora", """{ "options": { "rank": 2, "targets": ["q_proj", "down_proj"] }, "sites": 4, "unmatched": { "targets": ["qkv"] } }""")]
    [TestCase("Peft.IA3", "adapter.ia3", """{ "options": {}, "sites": 6, "seeded": false, "unmatched": { "targets": ["qkv"] } }""")]
    [TestCase("Peft.Prompt", "adapter.prompt", """{ "options": { "num_virtual_tokens": 3 }, "sites": 1 }""")]
    [TestCase("Peft.Prefix", "adapter.prefix", """{ "options": { "num_virtual_tokens": 3 }, "sites": 1 }""")]
    [TestCase("Peft.Bottleneck", "adapter.bottleneck", """{ "options": { "bottleneck_size": 3 }, "sites": 4, "unmatched": { "targets": ["qkv"] } }""")]
    [TestCase("Peft.Bottleneck", "adapter.bottleneck", """{ "options": { "placement": "pfeiffer", "non_linearity": "silu" }, "sites": 2, "unmatched": { "targets": ["qkv"] } }""")]
    [TestCase("Merge.Linear", "merge.linear", """{ "models": 3, "options": { "weight": [1, 2, 3] }, "values": { "inputs": [[6, 0], [0, 3], [2, 2]], "result": [2, 2] } }""")]
    [TestCase("Merge.Linear", "merge.passthrough", """{ "models": 1, "options": { "scale": [1] }, "values": { "inputs": [[6, 0]], "result": [6, 0] } }""")]
    [TestCase("Data", "reader.jsonl", """{ "good": "good.jsonl", "rows": 2, "broken": "broken.jsonl", "broken_row": 3 }""")]
    [TestCase("Data", "reader.synthetic", """{ "options": { "rows": 5 }, "rows": 5 }""")]
    [TestCase("Eval", "benchmark.preference", """{ "options": { "dataset": { "rows": [{ "prompt": "a", "chosen": "b", "rejected": "c" }, { "prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3, 4] }, { "prompt": "d", "chosen": "e", "rejected": "f" }] } }, "items": 3 }""")]
    [TestCase("Eval", "benchmark.reward", """{ "options": { "dataset": { "rows": [{ "prompt": "a" }, { "prompt": "b" }] }, "judge": { "name": "classifier", "options": { "path": "m" } } }, "items": 2 }""")]
    [TestCase("Eval", "benchmark.winrate", """{ "options": { "dataset": { "rows": [{ "prompt": "a", "chosen": "b", "rejected": "c" }, { "prompt": "d", "chosen": "e", "rejected": "f" }] }, "judge": { "name": "classifier", "options": { "path": "m" } } }, "items": 2 }""")]
    [TestCase("Eval", "benchmark.perplexity", """{ "options": { "path": "texts.jsonl" }, "items": 2 }""")]
    public void TheProductsOwnPluginPasses(string project, string contract, string sample)
    {
        Ship(project, contract, sample);
        var subject = contract.Replace('.', ' ');
        Assert.That(Conformance.Checks(folder).Count(check => check.Name.StartsWith(subject, StringComparison.Ordinal)), Is.GreaterThan(4));
        Assert.That(Failing("plugin").Concat(Failing(subject)), Is.Empty);
    }

    // The plugin as its author would ship it, with this sample.
    private void Ship(string project, string contract, string sample)
    {
        Directory.Delete(folder, recursive: true);
        CopyOutput(project);
        Dictionary<string, string> files = new()
        {
            [contract + ".json"] = sample,
            ["good.jsonl"] = "{\"prompt\": \"a\", \"completion\": \"b\"}\n\n{\"text\": \"c\"}\n",
            ["broken.jsonl"] = "{\"text\": \"a\"}\n\n{\"text\": \n",
            ["texts.jsonl"] = "{\"text\": \"a b\"}\n{\"text\": \"c\"}\n",
        };
        Directory.CreateDirectory(Path.Combine(folder, "conformance"));
        var manifest = Path.Combine(folder, "plugin.json");
        var json = JsonNode.Parse(File.ReadAllText(manifest))!;
        foreach (var (name, text) in files)
        {
            File.WriteAllText(Path.Combine(folder, "conformance", name), text);
            json["files"]!.AsArray().Add(new JsonObject { ["path"] = $"conformance/{name}", ["sha256"] = "" });
        }
        File.WriteAllText(manifest, json.ToJsonString());
        Rehash();
    }

    // A loss that grows with each call has no gradient and no order either; a loss with a part too much is another one at the reference.
    private static string[] Alike(string check) => check switch
    {
        "keeps no state but what it declares" => ["gives the gradient of its loss", "does not care for the order of records"],
        "gives the gradient of its loss" or "does not care for the order of records" => ["has the known value at the reference"],
        _ => [],
    };

    // A build refuses such a default, but plugin.json may come from an older one.
    [Test]
    public void CarelessOptionsFailTheLoadersChecks()
    {
        Assert.That(Failing("reader careless").First(), Is.EqualTo("every option has docs"));
        var manifest = Path.Combine(folder, "plugin.json");
        var json = JsonNode.Parse(File.ReadAllText(manifest))!;
        json["provides"]!.AsArray().First(provided => (string?)provided!["name"] == "careless")!["options"]![0]!["default"] = 2;
        File.WriteAllText(manifest, json.ToJsonString());
        Assert.That(Failing("reader careless").Take(2), Is.EqualTo(new[] { "its defaults keep its own limits", "every option has docs" }));
    }

    [Test]
    public void ADataSetThatIsNoRowsIsToldSo()
    {
        Ship("Eval", "benchmark.preference", """{ "options": { "dataset": { "file": "x" } }, "items": 1 }""");
        var check = Conformance.Checks(folder).First(check => check.Name == "benchmark preference: has the sample's items");
        Assert.That(Assert.Throws<ConformanceException>(() => check.Run())!.Message, Does.Contain("\"rows\": ["));
    }

    [Test]
    public void APluginWithoutSampleDataIsToldHowToAddIt()
    {
        var check = Conformance.Checks(folder).First(check => check.Name == "reader careless: reads the sample");
        Assert.That(Assert.Throws<ConformanceException>(() => check.Run())!.Message, Does.Contain("reader.careless.json is not there"));
    }

    [Test]
    public void ATamperedFileFailsTheFirstCheck()
    {
        File.AppendAllText(Path.Combine(folder, "conformance", "good.tsv"), "\n");
        Assert.That(Failing("plugin"), Does.Contain("every file is as built"));
    }

    [Test]
    public void AThrowInRegisterFailsLoading()
    {
        Environment.SetEnvironmentVariable("PEFTALIGN_TEST_REGISTER", "seeded");
        Assert.That(Failing("plugin"), Is.EqualTo(new[] { "loads and registers what plugin.json says" }));
    }

    [Test]
    public void ATestProjectThatNamesNoPluginIsTold() =>
        Assert.That(Assert.Throws<ConformanceException>(() => Conformance.Checks(typeof(KitTests).Assembly))!.Message, Does.Contain("AssemblyMetadata Include=\"PluginFolder\""));
}
