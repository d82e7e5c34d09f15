// peftalign winrate from the command line, and a judge that the run itself trains.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class WinrateTests
{
    private static readonly string Stories = Peftalign.Stories;
    private static readonly string Classifier = Path.Combine(Peftalign.Repository, "tests/fixtures/architectures/llama-score");

    [Test]
    public void Two_files_are_compared_and_their_annotations_give_the_same_rates()
    {
        using var user = new Peftalign();
        // The classifier's words are w4, w5, ...
        var a = user.Write("a.jsonl", string.Concat(Enumerable.Range(0, 12).Select(k => $$"""{"prompt":"w{{4 + k}}","response":"w{{5 + k}} w{{30 - k}}"}""" + "\n")));
        var b = user.Write("b.jsonl", string.Concat(Enumerable.Range(0, 12).Select(k => $$"""{"prompt":"w{{4 + k}}","response":"w{{39 - (2 * k)}}"}""" + "\n")));
        var judge = user.File("llama-score");
        CopyFolder(Classifier, judge);
        string[] asked = ["winrate", "--a", a, "--b", b, "--judge", judge, "--threads", "1", "--out", user.Run];
        var first = Peftalign.Call(asked);
        Assert.That(first.Code, Is.Zero, first.All);
        Assert.That(first.Out, Does.Contain("judged by classifier llama-score against b, order both"));
        using (new FileStream(Path.Combine(user.Run, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            var held = Peftalign.Call(asked);
            Assert.That((held.Code, held.Err.TrimEnd().Contains('\n')), Is.EqualTo((2, false)), held.All);
            Assert.That(held.Err, Does.Contain("another evaluation works in this folder"));
        }
        var row = Peftalign.Json(Path.Combine(user.Run, "results.json"))["results"]!["winrate"]!;
        var (wins, losses) = ((double)row["n_wins,none"]!, (double)row["n_wins_base,none"]!);
        Assert.That((wins > 0, losses > 0, wins + losses), Is.EqualTo((true, true, 12.0)), "it prefers some of each");
        Assert.That((double)row["win_rate,none"]!, Is.EqualTo(100 * wins / 12).Within(1e-9));
        Assert.That((double)row["consistency,none"]!, Is.EqualTo(1), "it rates each answer alone");
        var bill = Peftalign.Json(Path.Combine(user.Run, "judging.json"))[0]!;
        Assert.That(((long)bill["questions"]!, (long)bill["failures"]!), Is.EqualTo((24L, 0L)));
        var again = Peftalign.Call(asked);
        Assert.That((again.Code, again.Out), Is.EqualTo((0, first.Out)), again.All);
        JsonArray Bills() => Peftalign.Json(Path.Combine(user.Run, "judging.json")).AsArray();
        Assert.That(Bills().Select(one => (long)one!["questions"]!), Is.EqualTo(new[] { 24L }), "nothing was asked again");
        Outcome Given() => Peftalign.Call("winrate", "--annotations", Path.Combine(user.Run, "annotations.json"), "--out", user.File("given"), "--json");
        var given = Given();
        Assert.That(given.Code, Is.Zero, given.All);
        Assert.That((Given().Code, Given().Out), Is.EqualTo((0, given.Out)), "the folder is its own, though nobody was asked");
        var same = JsonNode.Parse(given.Out)!["results"]!["winrate"]!;
        foreach (var metric in (string[])["win_rate,none", "win_rate_stderr,none", "discrete_win_rate,none", "n_total,none", "length_controlled_winrate_minimal,none"])
            Assert.That((double)same[metric]!, Is.EqualTo((double)row[metric]!).Within(1e-9), metric);
        var named = Peftalign.Json(Path.Combine(user.Run, "annotations.json"))[0]!;
        var only = Peftalign.Call("winrate", "--annotations", Path.Combine(user.Run, "annotations.json"), "--only", (string)named["generator_2"]!, "--out", user.File("only"), "--json");
        Assert.That(only.Code, Is.Zero, only.All);
        Assert.That((double)JsonNode.Parse(only.Out)!["results"]!["winrate"]!["win_rate,none"]!, Is.EqualTo((double)row["win_rate,none"]!).Within(1e-9));
        // Another judge under the same path is another judge.
        File.AppendAllText(Path.Combine(judge, "config.json"), "\n");
        Assert.That(Peftalign.Call(asked).Code, Is.Zero);
        Assert.That(Bills().Select(one => (long)one!["questions"]!), Is.EqualTo(new[] { 24L, 24L }));
    }

    [TestCase("--a")]
    [TestCase("--b")]
    [TestCase("--prompts")]
    public void Standard_input_is_refused_with_the_reason(string option)
    {
        using var user = new Peftalign();
        var rows = user.Write("a.jsonl", """{"prompt":"w4","response":"w5"}""" + "\n");
        string[] asked = ["--a", rows, "--b", rows, "--prompts", rows];
        asked[Array.IndexOf(asked, option) + 1] = "-";
        var told = Peftalign.Call(["winrate", .. asked, "--judge", Classifier, "--out", user.Run]);
        Assert.That((told.Code, told.Err.Split(';')[0]), Is.EqualTo((2, $"peftalign: {option} -: standard input cannot be read again, and the judgements that are kept go by the files' names and content")), told.All);
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    [Test]
    public void Mistakes_are_told_in_one_message()
    {
        using var user = new Peftalign();
        var a = user.Write("a.jsonl", """{"prompt":"p","response":"x"}""" + "\n");
        void Refused(string says, params string[] args)
        {
            var outcome = Peftalign.Call(["winrate", "--out", user.Run, .. args]);
            Assert.That((outcome.Code, outcome.Err.TrimEnd().Contains('\n')), Is.EqualTo((2, false)), outcome.All);
            Assert.That(outcome.Err, Does.Contain(says));
        }
        Refused("--annotations", "--a", a);
        Refused("did you mean classifier", "--a", a, "--b", a, "--judge", "clasifier");
        Refused("model", "--a", a, "--b", a, "--judge", "openai", "--judge-option", "modle=x");
        Refused("nothere.jsonl is not there", "--a", a, "--b", user.File("nothere.jsonl"), "--judge", Classifier);
        Refused("holds both", "--annotations", a, "--a", a);
        Refused("--only x: picks a model of --annotations, and there are none; add --annotations F", "--a", a, "--b", a, "--judge", Classifier, "--only", "x");
        Assert.That(Directory.Exists(user.Run), Is.False, "nothing half-written stays");
    }

    // A name of digits is a name; the judge is asked by it.
    [Test]
    public void A_judge_s_options_have_their_types()
    {
        using var user = new Peftalign();
        var a = user.Write("a.jsonl", """{"prompt":"p","response":"x"}""" + "\n");
        var outcome = Peftalign.Call("winrate", "--out", user.Run, "--a", a, "--b", a, "--judge", "openai", "--judge-option", "model=7", "--judge-option", "offline=true", "--judge-option", $"transcript={user.File("said")}");
        Assert.That(outcome.Err, Does.Contain("the transcript holds no answer, and the judge is offline"), outcome.All);
    }

    [Test]
    public void A_reward_job_of_the_run_judges_the_run_s_policies()
    {
        using var user = new Peftalign();
        user.Finish(user.Write("judged.yaml", Manifests.Tiny + $$"""
              taught: { run: { model: tiny, method: teach } }
              stories: { path: '{{Stories}}' }
            name: judged
            seeds: [1]
            datasets:
              world: { reader: synthetic, rows: 80, split: train }
              exam: { reader: synthetic, rows: 12, split: test }
            adapters:
              small: { type: lora, rank: 4, alpha: 8, targets: all-linear }
            methods:
              teach: { type: sft, learning_rate: 3.0e-3, batch_size: 8, max_steps: 12 }
              prize: { type: reward, learning_rate: 2.0e-3, batch_size: 8, max_steps: 8 }
              prize-lora: { type: reward, adapter: small, learning_rate: 2.0e-3, batch_size: 8, max_steps: 8 }
            judges:
              fair: { run: { method: prize, seed: 1 }, join: text, append_eos: true }
              other: { run: { method: prize-lora, seed: 1 }, join: text }
            train:
              - { models: [tiny], datasets: [world], methods: [teach] }
              - { models: [taught], datasets: [world], methods: [prize, prize-lora] }
            evaluate:
              - of: { method: teach }
                with:
                  - { type: winrate, dataset: exam, judge: fair, max_new_tokens: 8 }
                  - { name: itself, type: winrate, dataset: exam, judge: fair, baseline: taught, max_new_tokens: 8 }
                  - { name: folder, type: winrate, dataset: exam, judge: fair, baseline: stories, max_new_tokens: 8, limit: 5 }
                  - { name: reward-other, type: reward, dataset: exam, judge: other, max_new_tokens: 8 }
            """));
        var winrate = user.Job("evaluate/winrate/tiny/world/teach/s1");
        var bill = Peftalign.Json(Path.Combine(winrate, "judging.json"))[0]!;
        Assert.That(((string?)bill["annotator"], (long)bill["questions"]!), Is.EqualTo(("train/taught/world/prize/s1", 24L)));
        // What the benchmark reports is what the trained folder gives for the very texts.
        var reward = user.Job("evaluate/reward-other/tiny/world/teach/s1");
        var samples = File.ReadLines(Path.Combine(reward, "samples_reward.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        var asked = user.Write("asked.jsonl", string.Concat(samples.Select(s => new JsonObject { ["text"] = (string)s["doc"]!["prompt"]! + (string)s["filtered_resps"]! }.ToJsonString() + "\n")));
        var judged = Peftalign.Call("judge", "--model", Path.Combine(user.Job("train/taught/world/prize-lora/s1"), "model"), "--in", asked, "--threads", "1");
        Assert.That(judged.Code, Is.Zero, judged.All);
        Assert.That(samples, Has.Count.EqualTo(12));
        var scores = judged.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (double)JsonNode.Parse(line)!["scores"]![0]!);
        Assert.That(samples.Select(s => (double)s["reward"]!), Is.EqualTo(scores).Within(1e-5));
        AgainstModels(user);
        var page = File.ReadAllText(Path.Combine(user.Run, "report.html"));
        Assert.That(page, Does.Contain("judged by classifier taught/world/prize s1; against chosen answers; n = 12").And.Contain("<th>Judge</th>"));
    }

    // A baseline that is a model: against itself every pair is a draw; a folder's answers are what generate gives for the prompts.
    private static void AgainstModels(Peftalign user)
    {
        var itself = Peftalign.Json(Path.Combine(user.Job("evaluate/itself/tiny/world/teach/s1"), "results.json"))["results"]!["winrate"]!;
        Assert.That(((double)itself["win_rate,none"]!, (double)itself["n_draws,none"]!), Is.EqualTo((50.0, 12.0)));
        var job = user.Job("evaluate/folder/tiny/world/teach/s1");
        Assert.That((string?)Peftalign.Json(Path.Combine(job, "results.json"))["configs"]!["winrate"]!["baseline"], Is.EqualTo("stories260K"));
        var documents = File.ReadLines(Path.Combine(job, "samples_winrate.jsonl")).Select(line => JsonNode.Parse(line)!["doc"]!).ToList();
        Assert.That(documents, Has.Count.EqualTo(5), "limit holds for the baseline too");
        var asked = user.Write("prompts.jsonl", string.Concat(documents.Select(d => new JsonObject { ["prompt"] = (string)d["instruction"]! }.ToJsonString() + "\n")));
        var written = Peftalign.Call("generate", "--model", Stories, "--in", asked, "--max-new-tokens", "8", "--threads", "1");
        Assert.That(written.Code, Is.Zero, written.All);
        Assert.That(documents.Select(d => (string)d["output_1"]!), Is.EqualTo(written.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => ((string)JsonNode.Parse(line)!["text"]!).Trim())));
    }
}
