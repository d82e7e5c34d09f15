// Control tokens: which rows the vocabulary gets and what stays, what a folder that is written holds, and which tokens stand where.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Meet;
using PeftAlign.Models;
using PeftAlign.Models.Text;

namespace PeftAlign.Training.Tests;

public sealed class VanillaTests : TrainingTest
{
    private static IAlignmentMethod Vanilla(VanillaOptions? options = null) => Fixtures.Method<MeetPlugin, VanillaOptions>("vanilla", options ?? new());

    private string Model(bool tied)
    {
        var folder = Path.Combine(Folder, "model");
        ByteTokenizer.Save(folder);
        ModelFolder.Initialise(folder, "llama", new JsonObject { ["vocab_size"] = 259, ["hidden_size"] = 16, ["intermediate_size"] = 24, ["num_hidden_layers"] = 1, ["num_attention_heads"] = 2, ["max_position_embeddings"] = 64, ["tie_word_embeddings"] = tied }, 3);
        return folder;
    }

    [TestCase(true)]
    [TestCase(false)]
    public void Embedding_and_head_get_rows_and_the_others_stay(bool tied)
    {
        var folder = Model(tied);
        var model = ModelFolder.Load(folder, device: TestDevice.Here);
        var before = model.Weights.ToDictionary(w => w.Key, w => w.Value.clone());
        var added = NewTokens.Of(folder, ["<|good|>", "<|bad|>"], model.Spec.Vocabulary);
        Assert.That((added.Ids, added.Vocabulary), Is.EqualTo((new[] { ("<|good|>", 259), ("<|bad|>", 260) }, 261L)));
        var grown = added.Grown(model, 7);
        foreach (var (name, was) in before)
        {
            var now = grown.Weights[name];
            Assert.That(now.narrow(0, 0, was.size(0)).equal(was), name);
            if (now.size(0) == was.size(0)) continue;
            var apart = (now.narrow(0, 259, 2) - was.mean([0])).std().item<float>();
            Assert.That(apart, Is.InRange(0.01, 0.03), $"{name}: the mean of all rows, and noise of 0.02");
        }
        var target = Path.Combine(Folder, "written");
        ModelFolder.Save(target, grown, folder);
        added.Write(target);
        var (again, tokenizer) = (ModelFolder.Load(target, device: TestDevice.Here), TokenizerLoader.Load(target));
        Assert.That(again.Weights["model.embed_tokens.weight"].equal(grown.Weights["model.embed_tokens.weight"]));
        Assert.That(tokenizer.EncodeToIds("<|bad|>a<|good|>", addSpecialTokens: false), Is.EqualTo(new[] { 260, 97, 259 }));
        Assert.That(added.Tokenizer(folder).EncodeToIds("<|good|>hi"), Is.EqualTo(tokenizer.EncodeToIds("<|good|>hi")));
        // Once more over that folder nothing grows.
        Assert.That(NewTokens.Of(target, ["<|good|>", "<|bad|>"], 261).Vocabulary, Is.EqualTo(261));
    }

    // As the older GPT models are published: vocab.json and merges.txt, no tokenizer.json.
    [TestCase(null)]
    [TestCase("""{"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": false, "eos_token": {"__type": "AddedToken", "content": "<|endoftext|>"}}""")]
    [TestCase("""{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true}""", 1)]
    [TestCase("""{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "add_eos_token": true}""", 1)]
    public void Two_files_of_GPT_2_become_one_that_has_the_tokens(string? config, int begins = 0)
    {
        var folder = Path.Combine(Folder, "model");
        Directory.CreateDirectory(folder);
        var vocabulary = new JsonObject();
        foreach (var token in (string[])[.. Enumerable.Range('!', '~' - '!' + 1).Select(c => $"{(char)c}"), "\u0120", "\u010a", "he", "\u0120t", "\u0120the", "<|endoftext|>"]) vocabulary[token] = vocabulary.Count;
        File.WriteAllText(Path.Combine(folder, "vocab.json"), vocabulary.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "merges.txt"), "#version: 0.2\nh e\n\u0120 t\n\u0120t he\n");
        if (config is not null) File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), config);
        var (before, end) = (TokenizerLoader.Load(folder), vocabulary.Count - 1);
        var added = NewTokens.Of(folder, ["<|good|>", "<|bad|>"], vocabulary.Count);
        Assert.That(added.Ids, Is.EqualTo(new[] { ("<|good|>", end + 1), ("<|bad|>", end + 2) }));
        var with = added.Tokenizer(folder);
        foreach (var text in (string[])["over the hedge", " the  they're\n\n 12!<|endoftext|>the"])
        {
            Assert.That(with.EncodeToIds(text), Is.EqualTo(before.EncodeToIds(text)), text);
            Assert.That(with.Decode(with.EncodeToIds(text)), Is.EqualTo(before.Decode(before.EncodeToIds(text))), text);
            Assert.That(with.EncodeToIds(text).TakeWhile(id => id == end).Count(), Is.EqualTo(begins), text);
            Assert.That(with.EncodeToIds("<|bad|>" + text, addSpecialTokens: false), Is.EqualTo((int[])[end + 2, .. before.EncodeToIds(text, addSpecialTokens: false)]), text);
            Assert.That(with.EncodeToIds("<|bad|>" + text), Is.EqualTo((int[])[.. before.EncodeToIds(text).Take(begins), end + 2, .. before.EncodeToIds(text).Skip(begins)]), text);
        }
        Assert.That((with.SpecialTokens.Bos, with.SpecialTokens.Eos), Is.EqualTo((before.SpecialTokens.Bos, before.SpecialTokens.Eos)));
        Assert.That(with.SpecialTokens.Eos, Is.EqualTo(end));
        Assert.That(Directory.GetFiles(folder).Select(Path.GetFileName), Has.None.EqualTo("tokenizer.json"), "the model's folder stays as it is");
        // RoBERTa's have another form, and OPT's, with such a vocabulary, GPT-2's.
        foreach (var token in (string[])["<s>", "</s>", "<mask>"]) vocabulary[token] = vocabulary.Count;
        File.WriteAllText(Path.Combine(folder, "vocab.json"), vocabulary.ToJsonString());
        File.Delete(Path.Combine(folder, "tokenizer_config.json"));
        Assert.That(() => NewTokens.Of(folder, ["<|good|>"], vocabulary.Count), Throws.InstanceOf<UserErrorException>().With.Message.Contains("tokenizer.json"));
    }

    [Test]
    public void OPTs_two_files_become_one_with_its_begin_token()
    {
        var folder = Path.Combine(Folder, "model");
        Directory.CreateDirectory(folder);
        var vocabulary = new JsonObject();
        foreach (var token in (string[])["<s>", "<pad>", "</s>", "<unk>", .. Enumerable.Range('!', '~' - '!' + 1).Select(c => $"{(char)c}"), "\u0120", "he", "<mask>"]) vocabulary[token] = vocabulary.Count;
        File.WriteAllText(Path.Combine(folder, "vocab.json"), vocabulary.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "merges.txt"), "#version: 0.2\nh e\n");
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}""");
        var before = TokenizerLoader.Load(folder);
        var with = NewTokens.Of(folder, ["<|good|>"], vocabulary.Count).Tokenizer(folder);
        foreach (var text in (string[])["he is the", "a</s><s><pad>he"]) Assert.That(with.EncodeToIds(text), Is.EqualTo(before.EncodeToIds(text)).And.ItemAt(0).EqualTo(2), text);
        Assert.That(with.EncodeToIds("<|good|>he"), Is.EqualTo((int[])[2, vocabulary.Count, .. before.EncodeToIds("he", addSpecialTokens: false)]));
        Assert.That((with.SpecialTokens.Bos, with.SpecialTokens.Eos, with.SpecialTokens.Pad), Is.EqualTo((before.SpecialTokens.Bos, before.SpecialTokens.Eos, before.SpecialTokens.Pad)));
    }

    [Test]
    public void Each_answer_stands_behind_its_token_and_the_prompt()
    {
        var folder = Model(tied: true);
        var context = new PrepareContext(NewTokens.Of(folder, ["<|good|>", "<|bad|>"], 259).Tokenizer(folder), 64, new MaskLedger());
        string[] Of(string row) => [.. Vanilla().Prepare([new DataRecord(JsonNode.Parse(row)!.AsObject(), "rows", 1)], context).Select(g => string.Join(' ', g.Prompt) + " | " + string.Join(' ', g.Completions.Single().Tokens))];
        string[] pair = ["256 259 63 | 97 257", "256 260 63 | 98 257"];
        Assert.That(Of("""{"prompt": "?", "chosen": "a", "rejected": "b"}"""), Is.EqualTo(pair));
        Assert.That(Of("""{"prompt_ids": [256, 63], "chosen_ids": [97, 257], "rejected_ids": [98, 257]}"""), Is.EqualTo(pair));
        Assert.That(Of("""{"prompt": "?", "completion": "b", "label": false}"""), Is.EqualTo(pair[1..]));
        Assert.That(Of("""{"prompt": "?", "completion": "b", "label": "False"}"""), Is.EqualTo(pair[1..]));
        Assert.That(() => Of("""{"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "rejected": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "c"}]}"""),
            Throws.InstanceOf<UserErrorException>().With.Message.Contains("plain text"));
        Assert.That(() => Vanilla(new() { BadToken = "<|good|>" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("two texts"));
        // A token of the configuration alone has the id that the first new one would get.
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"eos_token": "<only here>"}""");
        Assert.That(() => NewTokens.Of(folder, ["<|good|>"], 259), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'<only here>'"));
        File.Delete(Path.Combine(folder, "tokenizer.json"));
        Assert.That(() => NewTokens.Of(folder, ["<|good|>"], 259), Throws.InstanceOf<UserErrorException>().With.Message.Contains("tokenizer.json"));
    }

    // What is cut is the text: the token is what tells a good answer from a bad one.
    [TestCase(5, null, true, "259 101 102 | 120 257", 5)]
    [TestCase(64, 3, true, "259 101 102 | 120 257", 5)]
    [TestCase(64, 1, true, "259 | 120 257", 7)]
    [TestCase(64, 8, true, "256 259 97 98 99 100 101 102 | 120 257", 0)]
    [TestCase(9, null, false, "256 259 97 98 99 100 101 102 | 120", 1)]
    [TestCase(64, 3, false, "256 259 97 | 120 257", 5)]
    [TestCase(64, 1, false, "259 | 120 257", 7)]
    [TestCase(2, null, true, "259 | 257", 8)]
    [TestCase(1, null, true, null, 9)]
    public void No_cut_takes_the_token(int maxLength, int? maxPrompt, bool keepEnd, string? expected, long cut)
    {
        var tokenizer = NewTokens.Of(Model(tied: true), ["<|good|>", "<|bad|>"], 259).Tokenizer(Path.Combine(Folder, "model"));
        foreach (var row in (string[])["""{"prompt": "abcdef", "completion": "x", "label": true}""", """{"prompt_ids": [256, 97, 98, 99, 100, 101, 102], "completion_ids": [120, 257], "label": true}"""])
        {
            var ledger = new MaskLedger();
            var context = new PrepareContext(tokenizer, maxLength, ledger) { MaxPromptLength = maxPrompt, KeepEnd = keepEnd };
            var groups = Vanilla().Prepare([new DataRecord(JsonNode.Parse(row)!.AsObject(), "rows", 1)], context);
            var one = groups.Select(g => string.Join(' ', g.Prompt) + " | " + string.Join(' ', g.Completions.Single().Tokens)).SingleOrDefault();
            Assert.That((one, ledger.TokensCut), Is.EqualTo((expected, cut)), row);
        }
    }

    // As every pair of ObjectiveMatrixTests, where the base has no tokenizer to add to.
    [Test]
    public void Three_steps_lower_the_loss_and_resume_to_the_same_bytes()
    {
        string At(string name) => Path.Combine(Folder, name);
        var folder = Model(tied: false);
        TrainingRun Run(string name)
        {
            var added = NewTokens.Of(folder, ["<|good|>", "<|bad|>"], 259);
            return new TrainingRun
            {
                Model = added.Grown(ModelFolder.Load(folder, device: TestDevice.Here), 7),
                Tokenizer = added.Tokenizer(folder),
                Records = [.. Enumerable.Range(0, 8).Select(k => new DataRecord(new JsonObject { ["prompt"] = $"{k}", ["chosen"] = "yes", ["rejected"] = "no" }, "rows", k + 1))],
                Method = Vanilla(),
                Options = new TrainingOptions { LearningRate = 1e-3, LrScheduler = "constant", BatchSize = 8, MaxSteps = 3, MaxLength = 32, Shuffle = false, SaveEvery = 1, Seed = 4 },
                Folder = Directory.CreateDirectory(At(name)).FullName,
            };
        }
        var whole = Run("whole");
        Trainer.Train(whole with { Progress = p => { if (p.Step == 2) Copy(At("whole"), At("killed")); } });
        var losses = File.ReadLines(Path.Combine(At("whole"), "metrics.jsonl")).Select(line => (double)JsonNode.Parse(line)!["loss"]!).ToList();
        Assert.That(losses, Has.Count.EqualTo(3).And.Ordered.Descending);
        var again = Run("killed");
        Assert.That(Trainer.Train(again).ResumedFrom, Is.EqualTo(2));
        Assert.That(File.ReadAllBytes(Path.Combine(At("killed"), "metrics.jsonl")), Is.EqualTo(File.ReadAllBytes(Path.Combine(At("whole"), "metrics.jsonl"))));
        foreach (var (name, tensor) in whole.Model.Weights) Assert.That(again.Model.Weights[name].equal(tensor), name);
    }

    [Test]
    public void Training_lowers_the_loss_and_the_metrics_know_the_controls()
    {
        var folder = Model(tied: true);
        var loaded = ModelFolder.Load(folder, device: TestDevice.Here);
        var added = NewTokens.Of(folder, ["<|good|>", "<|bad|>"], 259);
        var run = new TrainingRun
        {
            Model = added.Grown(loaded, 7),
            Tokenizer = added.Tokenizer(folder),
            Records = [.. Enumerable.Range(0, 8).Select(k => new DataRecord(new JsonObject { ["prompt"] = $"{k}", ["chosen"] = "yes", ["rejected"] = "no" }, "rows", k + 1))],
            Method = Vanilla(),
            Options = new TrainingOptions { LearningRate = 1e-2, BatchSize = 8, MaxSteps = 40, MaxLength = 32, LrScheduler = "constant" },
            Folder = Directory.CreateDirectory(Path.Combine(Folder, "run")).FullName,
        };
        Trainer.Train(run);
        var rows = File.ReadLines(Path.Combine(run.Folder, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.That((double)rows[^1]["loss"]!, Is.LessThan(0.2 * (double)rows[0]["loss"]!), "what the token says decides the answer, which nothing else tells");
        Assert.That((double)rows[^1]["nll/good"]!, Is.LessThan(0.7).And.GreaterThan(0));
        Assert.That((double)rows[^1]["nll/bad"]!, Is.LessThan(0.7).And.GreaterThan(0));
    }
}
