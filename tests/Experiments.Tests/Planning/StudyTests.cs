// The shipped studies: whole, they plan to the counts of what they repeat, with GPU-hours; small (one --set), they plan here and run to
// their end and their report under --slow.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class StudyTests
{
    private static string Study(string name) => Path.Combine(Peftalign.Repository, "experiments", name + ".yaml");

    private static JsonNode Plan(string study, params string[] more)
    {
        var outcome = Peftalign.Call(["run", Study(study), "--out", Path.Combine(Path.GetTempPath(), "peftalign no such run"), "--dry-run", "--json", .. more]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return JsonNode.Parse(outcome.Out)!;
    }

    private static Dictionary<string, int> Counts(JsonNode plan) => plan["counts"]!.AsObject().ToDictionary(kind => kind.Key, kind => (int)kind.Value!);

    private static int Labelled(JsonNode plan, string start, Func<string, bool> also) =>
        plan["jobs"]!.AsArray().Select(job => (string)job!["label"]!).Count(label => label.StartsWith(start, StringComparison.Ordinal) && also(label));

    [Test]
    public void The_deep_dive_is_52_configurations_and_10_merges_by_5_seeds_and_1570_final_evaluations()
    {
        var plan = Plan("deep-dive");
        Assert.That(Counts(plan), Is.EquivalentTo(new Dictionary<string, int> { ["train"] = 52 * 5, ["merge"] = 10 * 5, ["evaluate"] = 1570 + 960, ["report"] = 1 }));
        // The last point of each curve, step 700, is the final evaluation itself.
        Assert.That(Labelled(plan, "evaluate/", label => !label.Contains("@step:", StringComparison.Ordinal)), Is.EqualTo(1570));
        // 260 trainings of 11,200 rows of at most 1,024 (SFT) or 512 tokens: 4 products for each weight and token, 6 with a reference.
        var forecast = plan["forecast"]!;
        Assert.That((int)forecast["kinds"]!["train"]!["not_predicted"]!, Is.Zero);
        var tokens = 11_200.0 * 130;
        const double least = 6.6e9, most = 7.3e9; // matrices of LLaMA and Mistral, their heads included
        Assert.That((double)forecast["kinds"]!["train"]!["flops"]!, Is.InRange(tokens * (1024 * 4 + 512 * 6) * least, tokens * (1024 * 4 + 512 * 6) * most));
        Assert.That((double)forecast["gpu_hours"]!, Is.EqualTo((double)forecast["flops"]! / 355e12 / 3600).Within(1e-3));
        // Full weights of Mistral in bfloat16, 50 times.
        Assert.That((double)forecast["kinds"]!["merge"]!["disk_bytes"]!, Is.EqualTo(50 * 2 * 7.24e9).Within(1).Percent);
    }

    [Test]
    public void The_small_language_model_has_5_schedules_4_trainings_3_sizes_and_a_sweep_of_beta()
    {
        var plan = Plan("small-lm");
        // By 3 sizes and 3 seeds: SFT of each training; DPO in 4 places, 4 values of beta for all weights and rank 8, one for ranks 4 and 16.
        var arms = 9 * (4 + 4 * (4 + 4 + 1 + 1));
        Assert.That(Counts(plan), Is.EquivalentTo(new Dictionary<string, int>
        {
            ["train"] = arms + 2 * 9 + 3 * (1 + 3),
            ["make-dataset"] = 2 * 3,
            // SFT on the largest size also after epochs 1 to 8.
            ["evaluate"] = 1 + arms + 2 * 9 + 4 * 3 * 4 * 10 + 4 * 3 * 8,
            ["report"] = 1,
        }));
        // Epochs by the products for each weight and token, in pairs: SFT 12 by 3, over three LoRAs by 2; DPO 12 + 9 + 6 + 3 with its
        // reference by 4 with four beta, over LoRA by 3 with 4 + 1 + 1. Rows are taken to have 256 tokens. Then 5,316 steps of 64 by 3 and by 4.
        const double body = 0.1235e9;
        var epochs = 12 * (3 + 3 * 2) + (12 + 9 + 6 + 3) * (4 * 4 + (4 + 1 + 1) * 3);
        var tokens = 256.0 * 3 * ((2_830.0 + 28_300 + 283_000) * epochs + 3 * 64.0 * 5_316 * (3 + 4));
        Assert.That((double)plan["forecast"]!["flops"]!, Is.EqualTo(2 * body * tokens).Within(4).Percent);
        Assert.That((int)plan["forecast"]!["kinds"]!["train"]!["not_predicted"]!, Is.LessThanOrEqualTo(3 * 4), "sonnets alone have rows that are not counted before");
    }

    [Test]
    public void Meet_has_the_arms_A0_to_A11_on_two_sets_of_preferences()
    {
        var plan = Plan("meet");
        // By 2 sets and 3 seeds: A1, A2, A3, A4 from A1 and from the base, A5 with 4 lengths, A6 with 3 ranks, A7, A8, A9, A10, A11.
        var arms = 1 + 1 + 1 + 2 + 4 + 3 + 1 + 1 + 1 + 1 + 1;
        Assert.That(Counts(plan)["train"], Is.EqualTo(2 * 3 * arms));
        // At 4 temperatures a rating and a win rate: of the base (once), of SFT and both DPO, of 13 arms under two controls, of A10 under one.
        Assert.That(Counts(plan)["evaluate"], Is.EqualTo(2 * 4 * 2 * (1 + 3 * (3 + (arms - 4) * 2 + 1))));
        Assert.That((int)plan["forecast"]!["kinds"]!["train"]!["not_predicted"]!, Is.Zero);
        Assert.That((double)plan["forecast"]!["gpu_hours"]!, Is.InRange(110, 160), "17 arms of one or two epochs over 254,000 rows, three times");
    }

    [TestCase("deep-dive", "make-model 4, train 53, merge 10, evaluate 426, report 1")]
    [TestCase("small-lm", "make-model 1, train 94, make-dataset 2, evaluate 119, report 1")]
    [TestCase("meet", "make-model 1, train 30, evaluate 200, report 1")]
    public void Small_they_need_nothing_that_is_not_here(string study, string counts)
    {
        var plan = Plan(study, "--set", "preset=tiny");
        Assert.That(Counts(plan), Is.EquivalentTo(counts.Split(", ").Select(part => part.Split(' ')).ToDictionary(part => part[0], part => int.Parse(part[1], System.Globalization.CultureInfo.InvariantCulture))));
    }

    // Rows as HH-RLHF publishes them: whole dialogues, of which the last answer differs.
    private static string Dialogues(Peftalign user, string name, int rows, int first)
    {
        string[] things = ["cat", "dog", "bird", "tree", "house", "boat", "ball", "car", "sun", "fish", "toy", "box"];
        using (var file = new System.IO.Compression.GZipStream(File.Create(user.File(name)), System.IO.Compression.CompressionLevel.Fastest))
            foreach (var k in Enumerable.Range(first, rows))
            {
                var before = $"\n\nHuman: Do you like my {things[k % things.Length]}?\n\nAssistant: Yes, I do.\n\nHuman: Tell me about number {k}.\n\nAssistant:";
                file.Write(System.Text.Encoding.UTF8.GetBytes(new JsonObject { ["chosen"] = before + $" The {things[k % things.Length]} is big and red.", ["rejected"] = before + " No." }.ToJsonString() + "\n"));
            }
        return user.File(name);
    }

    [Test]
    public void The_mini_study_trains_merges_and_asks_on_rows_of_the_published_schema()
    {
        using var user = new Peftalign();
        var tiny = Path.Combine(Peftalign.Repository, "experiments", "tiny");
        string[] paths =
        [
            "--set", $"models.base.path={Peftalign.Stories}",
            "--set", $"datasets.harmless.path={Dialogues(user, "a.jsonl.gz", 24, 0)}", "--set", $"datasets.harmless-test.path={Dialogues(user, "b.jsonl.gz", 8, 50)}",
            "--set", $"datasets.helpful.path={Dialogues(user, "c.jsonl.gz", 24, 100)}", "--set", $"datasets.helpful-test.path={Dialogues(user, "d.jsonl.gz", 8, 150)}",
            "--set", $"evaluate[0].with[2].path={tiny}/mmlu", "--set", "evaluate[0].with[2].subjects=[global_facts]",
            "--set", $"evaluate[0].with[3].path={tiny}/bbh", "--set", "evaluate[0].with[3].tasks=[boolean_expressions]",
            "--set", "methods.dpo.max_steps=2", "--set", "methods.dpo.batch_size=4", "--set", "train[1].set.eval_every=2", "--set", "train[2].set.eval_every=2",
        ];
        Assert.That(Counts(Plan("deep-dive-mini", paths)), Is.EquivalentTo(new Dictionary<string, int> { ["train"] = 5, ["merge"] = 4, ["evaluate"] = 10 * 4, ["report"] = 1 }));

        var outcome = Peftalign.Call(["run", Study("deep-dive-mini"), "--out", user.Run, "--threads", "1", "--jobs", "2", "--only", "*dare-dpo*", .. paths]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        foreach (var data in (string[])["harmless", "helpful"])
        {
            var job = user.Job($"train/base/{data}/dpo/s1");
            Assert.That((int)Peftalign.Json(Path.Combine(job, "ledger.json"))["rows"]!, Is.EqualTo(24), "every dialogue is a row");
            var last = JsonNode.Parse(File.ReadLines(Path.Combine(job, "metrics.jsonl")).Last())!;
            Assert.That((double)last["eval_rewards/accuracies"]!, Is.InRange(0, 1), "the held-out pairs were asked");
        }
        Assert.That(user.Accuracy("evaluate/preference/dare-dpo/base/dpo/s1"), Is.InRange(0, 1));
        Assert.That(user.Accuracy("evaluate/mmlu/dare-dpo/base/dpo/s1"), Is.InRange(0, 1));
    }

    // HH-RLHF's four folders, and GPT-Neo's files as they are published: no tokenizer.json, to which control tokens could be added.
    [Test]
    public void MEETs_arms_train_on_the_published_folders()
    {
        using var user = new Peftalign();
        foreach (var (subset, k) in ((string[])["harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled"]).Select((subset, k) => (subset, k)))
        {
            Directory.CreateDirectory(user.File("data/hh-rlhf/" + subset));
            Dialogues(user, $"data/hh-rlhf/{subset}/train.jsonl.gz", 2 + k, 10 * k);
            Dialogues(user, $"data/hh-rlhf/{subset}/test.jsonl.gz", 1, 100 + k);
        }
        // What the arm does not need must be there, too.
        Directory.CreateDirectory(user.File("data/tldr"));
        Directory.CreateDirectory(user.File("models/reward-model-deberta-v3-large-v2"));
        user.Write("data/tldr/batch3.json", "");
        user.Write("models/reward-model-deberta-v3-large-v2/config.json", "{}");
        File.Copy(Study("meet"), user.File("meet.yaml"));
        var vocabulary = new JsonObject();
        foreach (var token in (string[])[.. Enumerable.Range('!', '~' - '!' + 1).Select(c => $"{(char)c}"), "\u0120", "\u010a", "he", "\u0120t", "<|endoftext|>"]) vocabulary[token] = vocabulary.Count;
        var model = user.File("models/gpt-neo-1.3B");
        var made = Peftalign.Call("models", "init", "gpt_neo", "--out", model, "--set", $"vocab_size={vocabulary.Count}", "--set", "hidden_size=16", "--set", "num_layers=2", "--set", "num_heads=2", "--set", "max_position_embeddings=256", "--set", "attention_types=[[[\"global\",\"local\"],1]]");
        Assert.That(made.Code, Is.Zero, made.All);
        File.WriteAllText(Path.Combine(model, "vocab.json"), vocabulary.ToJsonString());
        File.WriteAllText(Path.Combine(model, "merges.txt"), "#version: 0.2\nh e\n\u0120 t\n");
        var outcome = Peftalign.Call("run", user.File("meet.yaml"), "--out", user.Run, "--only", "train/gpt-neo/hh/vanilla/s1", "--set", "models.gpt-neo={ path: models/gpt-neo-1.3B }", "--set", "methods.vanilla.batch_size=7", "--set", "seeds=[1]", "--threads", "1");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var job = user.Job("train/gpt-neo/hh/vanilla/s1");
        Assert.That((int)Peftalign.Json(Path.Combine(job, "ledger.json"))["rows"]!, Is.EqualTo(2 * (2 + 3 + 4 + 5)), "two answers of each pair of all subsets");
        Assert.That(File.ReadLines(Path.Combine(job, "metrics.jsonl")).Count(), Is.EqualTo(2), "one epoch");
        var tokenized = Peftalign.Call("tokenize", "--model", Path.Combine(job, "model"), "--text", "<|good|>the", "--json");
        Assert.That(JsonNode.Parse(tokenized.Out)!["ids"]!.AsArray().Select(id => (int)id!), Is.EqualTo(new[] { vocabulary.Count, (int)vocabulary["t"]!, (int)vocabulary["he"]! }));
    }

    [TestCase("deep-dive", "D")]
    [TestCase("small-lm", "S")]
    [TestCase("meet", "M")]
    [Category("slow")]
    public void Small_they_run_to_their_report(string study, string claims)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") != "1") Assert.Ignore("slow; ./test --slow runs it");
        using var user = new Peftalign();
        var outcome = Peftalign.Call("run", Study(study), "--set", "preset=tiny", "--out", user.Run, "--threads", "2", "--jobs", "2");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var report = Peftalign.Json(Path.Combine(user.Run, "report.json"));
        var verdicts = report["claims"]!.AsArray();
        Assert.That(verdicts, Has.Count.GreaterThanOrEqualTo(9));
        Assert.That(verdicts.Select(c => (string)c!["id"]!), Has.All.StartsWith(claims));
        // Every claim finds what it compares; one seed of nonsense need not decide it.
        Assert.That(verdicts.Where(c => ((string)c!["reason"]!).Contains("no finished evaluations fit", StringComparison.Ordinal)).Select(c => $"{c!["id"]} {c["metric"]}"), Is.Empty);
        Assert.That(new FileInfo(Path.Combine(user.Run, "report.html")).Length, Is.GreaterThan(20_000));
    }
}
