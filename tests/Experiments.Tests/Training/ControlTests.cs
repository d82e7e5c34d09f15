// Controls as users meet them: meet's adapters, and the texts of coh and vanilla, chosen by --control in score, generate, chat and eval
// and by control: in a manifest; what an unknown one, a missing one and a prompt that no text can stand around are told.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class ControlTests
{
    private static string Stories => Peftalign.Stories;

    private const string Pairs = """
        {"prompt": "Tom had a dog.", "chosen": " It was big.", "rejected": " Go away."}
        {"prompt": "Lily saw a cat.", "chosen": " It was nice.", "rejected": " Go away now."}
        """;

    private static JsonNode Ask(Peftalign user, string row, params string[] args)
    {
        var outcome = Peftalign.Call([args[0], "--in", user.Write("row.jsonl", row + "\n"), "--threads", "1", "--json", .. args[1..]]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return JsonNode.Parse(outcome.Out)!;
    }

    private static void Refused(string why, params string[] args)
    {
        var outcome = Peftalign.Call([.. args, "--threads", "1"]);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain(why).And.Not.Contain("   at "));
    }

    private static void Train(Peftalign user, params string[] args)
    {
        var trained = Peftalign.Call(["train", .. args, "--data", user.Write("data.jsonl", Pairs), "--out", user.Run, "--batch-size", "2", "--threads", "1"]);
        Assert.That(trained.Code, Is.Zero, trained.All);
    }

    [Test]
    public void Adapters_of_controls_are_chosen_by_name()
    {
        using var user = new Peftalign();
        Train(user, "meet", "--model", Stories, "--adapter", "prompt", "--num-virtual-tokens", "3", "--init", "text", "--init-text", "A {control} story", "--learning-rate", "0.05", "--model-learning-rate", "1e-3", "--max-steps", "40");
        string At(params string[] parts) => Path.Combine([user.Run, .. parts]);
        Assert.That((string?)Peftalign.Json(At("adapter", "bad", "adapter_config.json"))["prompt_tuning_init_text"], Is.EqualTo("A bad story"));
        string[] policy = ["--model", At("model"), "--adapter", At("adapter")];
        const string row = """{"prompt": "Tom had a dog.", "completion": " It was big."}""";
        double Score(params string[] args) => (double)Ask(user, row, ["score", .. args])["logprob"]!;
        var good = Score([.. policy, "--control", "good"]);
        Assert.That(good, Is.EqualTo(Score("--model", At("model"), "--adapter", At("adapter", "good"))), "a control's folder is an adapter as any");
        Assert.That(good, Is.GreaterThan(Score([.. policy, "--control", "bad"]) + 0.1), "what good was trained on is more likely under good");
        Assert.That((string?)Ask(user, """{"prompt": "Tom had a dog."}""", ["generate", .. policy, "--control", "bad", "--max-new-tokens", "8"])["text"], Is.Not.Empty);
        var evaluated = Peftalign.Call(["eval", .. policy, "--control", "good", "--benchmarks", "perplexity", "--data", user.Write("text.txt", "Tom had a dog."), "--out", user.File("eval"), "--threads", "1"]);
        Assert.That(evaluated.Code, Is.Zero, evaluated.All);
        Assert.That((string?)Peftalign.Json(user.File("eval/results.json"))["config"]!["model_args"]!["control"], Is.EqualTo("good"));
        foreach (var command in (string[][])[["score", "--in", user.File("row.jsonl")], ["generate", "--prompt", "a"], ["chat"], ["eval", "--benchmarks", "perplexity", "--data", user.File("text.txt"), "--out", user.File("eval2")]])
        {
            Refused("choose one with --control", [.. command, .. policy]);
            Refused("has the controls bad, good; name one of them", [.. command, .. policy, "--control", "best"]);
        }
        Assert.That(Directory.Exists(user.File("eval2")), Is.False, "nothing is written before the control is known");
        // What takes one adapter says that these are several, and where.
        Refused($"holds the controls bad, good, each an adapter of its own; give one of them, such as {At("adapter", "bad")}", ["adapter", "merge", .. policy, "--out", user.File("merged")]);
        Refused("has no controls", "score", "--in", user.File("row.jsonl"), "--model", At("model"), "--control", "good");
        // The same command again: nothing is left to do; killed runs are the trainer's tests.
        Train(user, "meet", "--model", Stories, "--adapter", "prompt", "--num-virtual-tokens", "3", "--init", "text", "--init-text", "A {control} story", "--learning-rate", "0.05", "--model-learning-rate", "1e-3", "--max-steps", "40");
    }

    [Test]
    public void Texts_of_controls_stand_around_plain_prompts()
    {
        using var user = new Peftalign();
        Train(user, "coh", "--model", Stories, "--adapter", "lora", "--max-steps", "2", "--good-marker", "Good:", "--bad-marker", "Bad:", "--corpus", user.Write("corpus.jsonl", """{"text": "One day, a girl ran."}""" + "\n"));
        string[] policy = ["--model", Stories, "--adapter", Path.Combine(user.Run, "adapter")];
        var written = Ask(user, """{"prompt": "Tom had a dog.\nBad:", "completion": " Go away."}""", ["score", .. policy]);
        Assert.That(Ask(user, """{"prompt": "Tom had a dog.", "completion": " Go away."}""", ["score", .. policy, "--control", "bad"]).ToJsonString(), Is.EqualTo(written.ToJsonString()));
        Refused("has the controls", ["generate", "--prompt", "a", .. policy, "--control", "best"]);
        Refused("token ids", ["score", "--in", user.Write("ids.jsonl", """{"prompt_ids": [1], "completion_ids": [5]}""" + "\n"), .. policy, "--control", "good"]);
        Refused("a whole text", ["score", "--rolling", "--in", user.Write("text.jsonl", """{"text": "a b"}""" + "\n"), .. policy, "--control", "good"]);
    }

    [Test]
    public void New_tokens_are_the_models_own()
    {
        using var user = new Peftalign();
        string[] With(string model) => ["train", "vanilla", "--model", model, "--data", user.Write("data.jsonl", Pairs), "--out", user.File("refused")];
        Refused("leave the adapter out", [.. With(Stories), "--adapter", "lora"]);
        Refused("leave the adapter out", [.. With(Stories), "--adapter", "lora", "--dry-run"]);
        Train(user, "vanilla", "--model", Stories, "--max-steps", "2");
        var model = Path.Combine(user.Run, "model");
        Assert.That((int)Peftalign.Json(Path.Combine(model, "config.json"))["vocab_size"]!, Is.EqualTo((int)Peftalign.Json(Path.Combine(Stories, "config.json"))["vocab_size"]! + 2));
        int Longest(string folder)
        {
            var told = Peftalign.Call([.. With(folder), "--dry-run", "--json"]);
            Assert.That(told.Code, Is.Zero, told.All);
            return (int)JsonNode.Parse(told.Out)!["longest"]!;
        }
        Assert.That(Longest(Stories), Is.EqualTo(Longest(model)), "a forecast's rows are those of a model that has the tokens");
        var written = Ask(user, """{"prompt": "<|good|>Tom", "completion": " sat"}""", "score", "--model", model);
        Assert.That(Ask(user, """{"prompt": "Tom", "completion": " sat"}""", "score", "--model", model, "--control", "good").ToJsonString(), Is.EqualTo(written.ToJsonString()));
    }

    // Rows are read while planning, when no folder has the tokens yet.
    [Test]
    public void A_run_plans_and_makes_new_tokens_over_a_folder()
    {
        using var user = new Peftalign();
        user.Write("data.jsonl", Pairs);
        var manifest = user.Write("folder.yaml", $$"""
            peftalign: 1
            name: folder
            seeds: [3]
            models: { stories: { path: {{Stories}} } }
            datasets: { pairs: { reader: jsonl, path: data.jsonl } }
            methods: { vanilla: { type: vanilla, batch_size: 2, max_steps: 1 } }
            train: [{ models: stories, datasets: pairs, methods: vanilla }]
            """);
        var planned = Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run", "--json");
        Assert.That(planned.Code, Is.Zero, planned.All);
        Assert.That((bool)JsonNode.Parse(planned.Out)!["forecast"]!["assumes_longest_rows"]!, Is.False);
        user.Finish(manifest);
        Assert.That((int)Peftalign.Json(Path.Combine(user.Job("train/stories/pairs/vanilla/s3"), "model", "config.json"))["vocab_size"]!, Is.EqualTo(514));
    }

    private const string Manifest = Manifests.Tiny + """
        name: controls
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 40, split: train }
          exam: { reader: synthetic, rows: 12, split: test }
        adapters:
          soft: { type: prompt, num_virtual_tokens: 2, init: sample_vocab }
        methods:
          meet: { type: meet, adapter: soft, learning_rate: 1.0e-2, model_learning_rate: 5.0e-3, batch_size: 8, max_steps: 6 }
          first: { type: meet, adapter: soft, stages: controls, learning_rate: 1.0e-2, batch_size: 8, max_steps: 2 }
          vanilla: { type: vanilla, learning_rate: 5.0e-3, batch_size: 8, max_steps: 2 }
          more: { type: sft, learning_rate: 1.0e-3, max_steps: 1 }
        train:
          - { models: [tiny], datasets: [world], methods: [meet, first, vanilla] }
        evaluate:
          - { of: trained, control: [good, bad], with: [{ type: preference, dataset: exam }] }
          - { of: trained, with: [{ type: preference, dataset: exam }] }
        """;

    [Test]
    public void A_run_evaluates_policies_under_their_controls()
    {
        using var user = new Peftalign();
        var manifest = user.Write("controls.yaml", Manifest);
        user.Finish(manifest);
        var jobs = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Select(job => (Spec: Peftalign.Json(Path.Combine(job, "job.json")), Folder: job)).Where(job => (string?)job.Spec["kind"] == "evaluate").ToList();
        Assert.That(jobs.Count(job => (string?)job.Spec["options"]!["control"] == "good"), Is.EqualTo(3));
        Assert.That(jobs.Count(job => job.Spec["options"]!["control"] is null), Is.EqualTo(3));
        var samples = jobs.Where(job => ((string?)job.Spec["axes"]!["method"])!.Contains("meet", StringComparison.Ordinal)).Select(job => File.ReadAllText(Path.Combine(job.Folder, "records.jsonl")).Split('\n', 2)[1]).ToList();
        Assert.That(samples.Distinct().Count(), Is.EqualTo(3), "good, bad and none are three policies");
    }

    // A policy whose controls are adapters ends there; a control must be one that the policy will have. All of it is known before any job.
    [TestCase("train/tiny/world/first/world/more/s3: The policy has the controls good, bad, each an adapter of its own: it can be evaluated under one of them, but not trained further or merged.", "methods: [meet, first, vanilla]", "methods: [[first, more]]", "control: [good, bad], ", "")]
    [TestCase("merge/both/tiny/world/s3: The policy has the controls good, bad", "evaluate:", "merge: [{ name: both, method: linear, of: { method: [meet, first] }, across: method, parameters: { weight: 0.5 } }]\nevaluate:")]
    [TestCase("evaluate/preference/tiny/world/meet/s3/worst and 2 jobs more: control 'worst': the policy has the controls good, bad; name one of them.", "control: [good, bad]", "control: worst")]
    [TestCase("evaluate/preference/tiny/world/first/s3/bad: control 'bad': the policy has the controls good; name one of them.", "stages: controls", "stages: controls, controls: [good]")]
    [TestCase("'tiny/world/more/s3' has no controls, and the row asks under good, bad; leave control out", "[meet, first, vanilla]", "[meet, first, vanilla, more]")]
    [TestCase("evaluate/preference/tiny/good: control 'good': the policy has no controls; leave it out.", "of: trained, control", "of: untouched, control")]
    public void What_a_policy_will_lack_is_refused_when_planned(string says, params string[] changes)
    {
        using var user = new Peftalign();
        var manifest = changes.Chunk(2).Aggregate(Manifest, (text, change) => text.Replace(change[0], change[1], StringComparison.Ordinal));
        Assert.That(manifest, Is.Not.EqualTo(Manifest));
        var outcome = Peftalign.Call("run", user.Write("lacking.yaml", manifest), "--out", user.Run, "--threads", "1");
        Assert.That((outcome.Code, outcome.Err.Contains("   at ", StringComparison.Ordinal)), Is.EqualTo((2, false)), outcome.All);
        Assert.That(outcome.Err, Does.Contain(says).And.Contain("nothing was started"));
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    // 3 seeds x 2 data sets x 17 trainings: A1 to A4 five, prompts of 4 lengths, LoRA of 3 ranks, 5 parts left out. 8 benchmark variants
    // for each of 13 policies under 2 controls, 1 under good, 3 under none; and for the untouched model.
    [Test]
    public void The_study_of_the_paper_plans_to_its_counts()
    {
        using var user = new Peftalign();
        var planned = Peftalign.Call("run", Path.Combine(Peftalign.Repository, "experiments", "meet.yaml"), "--dry-run", "--json", "--out", user.Run);
        Assert.That(planned.Code, Is.Zero, planned.All);
        var kinds = JsonNode.Parse(planned.Out)!["jobs"]!.AsArray().CountBy(job => (string)job!["kind"]!).ToDictionary();
        Assert.That((kinds["train"], kinds["evaluate"]), Is.EqualTo((3 * 2 * 17, 3 * 2 * 8 * (13 * 2 + 1 + 3) + 2 * 8)));
    }
}
