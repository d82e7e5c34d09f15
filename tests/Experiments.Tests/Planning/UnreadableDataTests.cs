// Data that a job cannot read, or whose first rows it cannot train on, are told before any job starts, by run as by run --dry-run.

namespace PeftAlign.Experiments.Tests;

public class UnreadableDataTests
{
    private const string Good = """{"prompt": "a", "completion": "b"}""" + "\n";
    private const string Pair = """{"prompt": "a", "chosen": "b", "rejected": "c"}""" + "\n";

    // The first training could be made; it is not, since another one's data would end the run.
    [TestCase("sft", Good + "{\"prompt\": \"a\", \"comple\n", "", "line 2")]
    [TestCase("sft", Good + "{\"prompt\": 5, \"completion\": \"b\"}\n", "", "line 2: field 'prompt'")]
    [TestCase("dpo", Good, "", "line 1: a preference row needs chosen and rejected")]
    [TestCase("kto", Good, "", "line 1: field 'label'")]
    [TestCase("kto", Pair + Pair + "{\"prompt\": \"a\", \"chosen\": \"b\"}\n", "", "line 3: field 'rejected'")]
    [TestCase("vanilla", Good, "", "line 1: field 'label'")]
    [TestCase("sft", Good, "{\"text\": 7}\n", "line 1: field 'text'")]
    [TestCase("sft", Good, "{\n", "line 1")]
    public void Nothing_is_begun(string method, string rows, string held, string said)
    {
        using var user = new Peftalign();
        user.Write("good.jsonl", Good);
        user.Write("rows.jsonl", rows);
        user.Write("held.jsonl", held);
        var manifest = user.Write("data.yaml", Manifests.Tiny.Replace("models:", "models:\n  ready: { path: " + Peftalign.Stories + " }", StringComparison.Ordinal) + $$"""
            datasets:
              good: { reader: jsonl, path: good.jsonl }
              rows: { reader: jsonl, path: rows.jsonl }
              {{(held.Length > 0 ? "held: { reader: jsonl, path: held.jsonl }" : "")}}
            methods:
              plain: { type: sft, max_steps: 1, batch_size: 2 }
              tune: { type: {{method}}, max_steps: 1, batch_size: 2{{(held.Length > 0 ? ", eval_data: held" : "")}} }
            train:
              - { models: tiny, datasets: good, methods: plain, seeds: 1 }
              - { models: ready, datasets: rows, methods: tune, seeds: 1 }
            """);
        foreach (var dry in (string[][])[["--dry-run"], []])
        {
            var told = Peftalign.Call(["run", manifest, "--out", user.Run, .. dry]);
            Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
            Assert.That(told.Err, Does.StartWith("peftalign: train/ready/rows/tune/s1: ").And.Contain($"{(held.Length > 0 ? "held" : "rows")}.jsonl, {said}").And.EndWith("1 fault(s); nothing was started.\n"));
            Assert.That(Directory.Exists(user.Run), Is.False);
        }
    }

    // What rows are arranged with is read as they are, and so is what the method needs to arrange them.
    [TestCase("type: kto, batch_size: 1", "", "batch_size is 1: z0 would be the rewards themselves")]
    [TestCase("type: coh, batch_size: 2, corpus: corpus, corpus_weight: 1.0", "{\"text\": 7}\n", "corpus.jsonl, line 1: field 'text'")]
    public void What_a_method_cannot_arrange_is_told_before_any_training(string method, string corpus, string said)
    {
        using var user = new Peftalign();
        user.Write("rows.jsonl", Pair + Pair);
        user.Write("corpus.jsonl", corpus);
        var told = Peftalign.Call("run", user.Write("arranged.yaml", $$"""
            peftalign: 1
            name: arranged
            seeds: [1]
            models: { ready: { path: {{Peftalign.Stories}} } }
            datasets: { rows: { reader: jsonl, path: rows.jsonl }, corpus: { reader: jsonl, path: corpus.jsonl } }
            methods: { tune: { {{method}}, max_steps: 1 } }
            train: [{ models: ready, datasets: rows, methods: tune }]
            """), "--out", user.Run, "--dry-run");
        Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
        Assert.That(told.Err, Does.StartWith("peftalign: train/ready/rows/tune/s1: ").And.Contain(said).And.EndWith("1 fault(s); nothing was started.\n"));
    }

    // A benchmark that looks at its items' fields when it asks is asked before anything is trained.
    [Test]
    public void Rows_that_a_benchmark_cannot_ask_about_are_told_before_any_training()
    {
        using var user = new Peftalign();
        user.Write("good.jsonl", Good);
        user.Write("exam.jsonl", Pair + "{\"chosen\": \"b\", \"rejected\": \"c\"}\n");
        var manifest = user.Write("exam.yaml", $$"""
            peftalign: 1
            name: exam
            seeds: [1]
            models: { ready: { path: {{Peftalign.Stories}} } }
            datasets:
              good: { reader: jsonl, path: good.jsonl }
              exam: { reader: jsonl, path: exam.jsonl }
            methods: { tune: { type: sft, max_steps: 1, batch_size: 2 } }
            train: [{ models: ready, datasets: good, methods: tune }]
            evaluate: [{ of: trained, with: { type: preference, dataset: exam } }]
            """);
        var told = Peftalign.Call("run", manifest, "--out", user.Run);
        Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
        Assert.That(told.Err, Does.Contain("exam.jsonl, row 2: the pair has no prompt").And.EndWith("1 fault(s); nothing was started.\n"));
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    // The model's folder has no chat template; a name of the product's gives it one.
    [TestCase("", 2)]
    [TestCase(", chat_template: chatml", 0)]
    public void Conversations_without_a_chat_template_are_told_before_any_training(string template, int code)
    {
        using var user = new Peftalign();
        user.Write("good.jsonl", Good);
        user.Write("exam.jsonl", """{"prompt": [{"role": "user", "content": "a"}], "chosen": [{"role": "assistant", "content": "b"}], "rejected": [{"role": "assistant", "content": "c"}]}""" + "\n");
        var told = Peftalign.Call("run", user.Write("turns.yaml", $$"""
            peftalign: 1
            name: turns
            seeds: [1]
            models: { ready: { path: {{Peftalign.Stories}}{{template}} } }
            datasets:
              good: { reader: jsonl, path: good.jsonl }
              exam: { reader: jsonl, path: exam.jsonl }
            methods: { tune: { type: sft, max_steps: 1, batch_size: 2 } }
            train: [{ models: ready, datasets: good, methods: tune }]
            evaluate: [{ of: [untouched, trained], with: { type: preference, dataset: exam } }]
            """), "--out", user.Run, "--dry-run");
        Assert.That(told.Code, Is.EqualTo(code), told.All);
        if (code > 0) Assert.That(told.Err, Does.StartWith("peftalign: evaluate/preference/ready and 1 job more: ").And.Contain("the model has no chat template; give the model a chat_template").And.EndWith("\n1 fault(s); nothing was started.\n"));
    }

    // A model that the run makes has the template of the folder whose tokenizer it gets, or none.
    [TestCase("tokenizer: bytes", false)]
    [TestCase("tokenizer: bytes, chat_template: chatml", true)]
    [TestCase("tokenizer: { train: good, size: 270 }", false)]
    [TestCase("tokenizer: { train: good, size: 270 }, chat_template: chatml", true)]
    [TestCase("tokenizer: plain", false)]
    [TestCase("tokenizer: plain/tokenizer.json", false)]
    [TestCase("tokenizer: plain, chat_template: chatml", true)]
    [TestCase("tokenizer: chats", true)]
    [TestCase("tokenizer: chats/tokenizer.json", true)]
    public void A_made_model_without_a_chat_template_is_told_before_it_is_made(string tokenizer, bool has)
    {
        using var user = new Peftalign();
        const string turns = """[{"role": "user", "content": "a"}], """;
        user.Write("good.jsonl", Good);
        user.Write("exam.jsonl", $$"""{"prompt": {{turns}}"chosen": [{"role": "assistant", "content": "b"}], "rejected": [{"role": "assistant", "content": "c"}]}""" + "\n");
        user.Write("rows.jsonl", $$"""{"prompt": {{turns}}"completion": [{"role": "assistant", "content": "b"}]}""" + "\n");
        foreach (var folder in (string[])["plain", "chats"])
        {
            Directory.CreateDirectory(user.File(folder));
            File.Copy(Path.Combine(Peftalign.Stories, "tokenizer.json"), Path.Combine(user.File(folder), "tokenizer.json"));
        }
        File.WriteAllText(Path.Combine(user.File("chats"), "chat_template.jinja"), "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
        var told = Peftalign.Call("run", user.Write("turns.yaml", $$"""
            peftalign: 1
            name: turns
            seeds: [1]
            models: { made: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2 }, {{tokenizer}} } }
            datasets:
              good: { reader: jsonl, path: good.jsonl }
              rows: { reader: jsonl, path: rows.jsonl }
              exam: { reader: jsonl, path: exam.jsonl }
            methods: { tune: { type: sft, max_steps: 1, batch_size: 1 } }
            train: [{ models: made, datasets: [good, rows], methods: tune }]
            evaluate: [{ of: untouched, with: { type: preference, dataset: exam } }]
            """), "--out", user.Run, "--dry-run");
        Assert.That(told.Code, Is.EqualTo(has ? 0 : 2), told.All);
        if (has) return;
        Assert.That(told.Err, Does.Contain("evaluate/preference/made: The benchmark asks in conversations, but the model has no chat template"));
        var learned = tokenizer.Contains("train", StringComparison.Ordinal); // its first rows become other tokens than these
        Assert.That(told.Err, Does.EndWith($"{(learned ? 1 : 2)} fault(s); nothing was started.\n"));
        if (!learned) Assert.That(told.Err, Does.Contain("train/made/rows/tune/s1: rows.jsonl, line 1: the row holds messages, but the model has no chat template"));
    }

    // A corpus that a model of the run writes is no fault; a row beside it is.
    [TestCase(Pair, null)]
    [TestCase(Pair + "{\"prompt\": \"a\", \"chosen\": \"b\"}\n", "peftalign: train/ready/rows/tune/s1: rows.jsonl, line 2: field 'rejected'")]
    public void What_rows_are_arranged_with_may_be_made_in_the_run(string rows, string? said)
    {
        using var user = new Peftalign();
        user.Write("good.jsonl", Pair);
        user.Write("rows.jsonl", rows);
        var told = Peftalign.Call("run", user.Write("made.yaml", $$"""
            peftalign: 1
            name: made
            seeds: [1]
            models: { ready: { path: {{Peftalign.Stories}} } }
            datasets:
              good: { reader: jsonl, path: good.jsonl }
              rows: { reader: jsonl, path: rows.jsonl }
              written: { reader: sampled-pairs, prompts: good, model: ready, samples: 2, map: { completion: chosen } }
            methods: { tune: { type: coh, max_steps: 1, batch_size: 2, corpus: written, corpus_weight: 1.0 } }
            train: [{ models: ready, datasets: rows, methods: tune }]
            """), "--out", user.Run, "--dry-run");
        Assert.That(told.Code, Is.EqualTo(said is null ? 0 : 2), told.All);
        Assert.That(told.Err, Does.StartWith(said ?? ""));
    }

    // One data set for a matrix of sft and dpo, as readers of published pairs give it; each fault of a matrix is one line.
    [TestCase("", 2)]
    [TestCase(", map: { completion: chosen, chosen: chosen }", 0)]
    public void Pairs_may_be_trained_on_by_sft_and_dpo_alike(string map, int code)
    {
        using var user = new Peftalign();
        user.Write("pairs.jsonl", Pair);
        var told = Peftalign.Call("run", user.Write("both.yaml", $$"""
            peftalign: 1
            name: both
            seeds: [1, 2, 3]
            models: { ready: { path: {{Peftalign.Stories}} } }
            datasets: { pairs: { reader: jsonl, path: pairs.jsonl{{map}} } }
            methods: { tune: { type: sft, max_steps: 1 }, prefer: { type: dpo, max_steps: 1 } }
            train: [{ models: ready, datasets: pairs, methods: [tune, prefer] }]
            """), "--out", user.Run, "--dry-run");
        Assert.That(told.Code, Is.EqualTo(code), told.All);
        if (code == 0) return;
        Assert.That(told.Err.TrimEnd().Split('\n'), Has.Length.EqualTo(2), told.All);
        Assert.That(told.Err, Does.StartWith("peftalign: train/ready/pairs/tune/s1 and 2 jobs more: pairs.jsonl, line 1: sft needs ").And.Contain("map: { completion: chosen, chosen: chosen }").And.EndWith("1 fault(s); nothing was started.\n"));
    }

    // A download that was cut off, told at the line that names it; a model that no job loads may be anything.
    [TestCase("config.json", null, "config.json", true)]
    [TestCase("config.json", "{ \"model_type\": ", "config.json", true)]
    [TestCase("model.safetensors", "cut", "model.safetensors", true)]
    [TestCase("model.safetensors", null, "the folder has no weights", false)]
    [TestCase("model.safetensors.index.json", """{"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}""", "'model-00002-of-00002.safetensors' does not exist in the folder", true)]
    public void A_model_that_cannot_be_loaded_is_told_before_any_training(string file, string? content, string said, bool dryToo)
    {
        using var user = new Peftalign();
        user.Write("rows.jsonl", Good);
        foreach (var model in (string[])["whole", "broken", "unused"])
        {
            Directory.CreateDirectory(user.File(model));
            foreach (var part in Directory.GetFiles(Peftalign.Stories)) File.Copy(part, Path.Combine(user.File(model), Path.GetFileName(part)));
        }
        if (content is null || file.Contains("index", StringComparison.Ordinal)) File.Delete(user.File(Path.Combine("broken", file.Replace(".index.json", "", StringComparison.Ordinal))));
        if (content is not null) user.Write($"broken/{file}", content);
        File.Delete(user.File("unused/config.json"));
        var manifest = user.Write("models.yaml", """
            peftalign: 1
            name: models
            seeds: [1, 2]
            models:
              whole: { path: whole }
              broken: { path: broken }
              unused: { path: unused }
            datasets: { rows: { reader: jsonl, path: rows.jsonl } }
            methods: { tune: { type: sft, max_steps: 1 } }
            train: [{ models: [whole, broken], datasets: rows, methods: tune }]
            """);
        foreach (var dry in (string[][])[["--dry-run"], []])
        {
            var told = Peftalign.Call(["run", manifest, "--out", user.Run, .. dry]);
            if (dry.Length > 0 && !dryToo)
            {
                Assert.That(told.Code, Is.Zero, "weights may be fetched later");
                continue;
            }
            Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
            Assert.That(told.Err, Does.StartWith($"peftalign: {manifest}:6:").And.Contain("models.broken.path: ").And.Contain(said).And.EndWith("\n1 fault(s); nothing was started.\n"));
            Assert.That(Directory.Exists(user.Run), Is.False);
        }
    }

    // The run's files would have become part of the model, and every job would have stumbled over the lock of its own.
    [Test]
    public void The_folder_of_a_model_is_not_the_runs()
    {
        using var user = new Peftalign();
        var model = Directory.CreateDirectory(user.File("model")).FullName;
        foreach (var file in Directory.GetFiles(Peftalign.Stories)) File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        user.Write("rows.jsonl", Good);
        var before = Directory.GetFileSystemEntries(model);
        var manifest = user.Write("own.yaml", """
            peftalign: 1
            name: own
            seeds: [1]
            models: { ready: { path: model } }
            datasets: { rows: { reader: jsonl, path: rows.jsonl } }
            methods: { tune: { type: sft, max_steps: 1 } }
            train: [{ models: ready, datasets: rows, methods: tune }]
            """);
        var told = Peftalign.Call("run", manifest, "--out", model);
        Assert.That(told.Code, Is.EqualTo(2), told.All);
        Assert.That(told.Err, Is.EqualTo($"peftalign: --out {model}: is the folder that the manifest reads as 'model'; give --out a folder of its own, such as out/NAME\n"));
        Assert.That(Directory.GetFileSystemEntries(model), Is.EquivalentTo(before));
        Assert.That(Peftalign.Call("run", manifest, "--out", Path.Combine(model, "out"), "--dry-run").Code, Is.Zero, "results within are left out of what is read");
    }
}
