// peftalign eval from the command line: the harness's numbers, a second call that asks nothing, mistakes that are told, and
// evaluators of a manifest that are swapped by changing their line alone.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class EvalCommandTests
{
    private static readonly string Lmeval = Path.Combine(Peftalign.Repository, "tests/Eval.Tests/Fixtures/lmeval");
    private static readonly string Model = Peftalign.Stories;

    private static Outcome Eval(Peftalign user, params string[] more) =>
        Peftalign.Call(["eval", "--model", Model, "--out", user.Run, "--threads", "1", .. more]);

    [Test]
    public void A_model_of_the_hub_is_told_how_to_fetch()
    {
        using var user = new Peftalign();
        var told = Peftalign.Call("eval", "--model", "acme/no-such-model", "--out", user.Run, "--task", Path.Combine(Lmeval, "tasks"), "--data", Lmeval);
        Assert.That((told.Code, told.Out, told.Err), Is.EqualTo((2, "", "peftalign: acme/no-such-model: no such folder; a model of the hub is fetched by `peftalign models pull acme/no-such-model`, which prints its folder.\n")));
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    [Test]
    public void The_harness_s_tasks_have_the_harness_s_numbers_and_a_second_call_asks_nothing()
    {
        using var user = new Peftalign();
        string[] asked = ["--task", Path.Combine(Lmeval, "tasks"), "--data", Lmeval, "--benchmarks", "mmlu_0shot,story_chrf", "--bootstrap-iters", "1000"];
        var first = Eval(user, asked);
        Assert.That(first.Code, Is.Zero, first.All);
        var golden = Peftalign.Json(Path.Combine(Lmeval, "stories260K/results.json"))["results"]!;
        var own = Peftalign.Json(Path.Combine(user.Run, "results.json"));
        foreach (var task in (string[])["mmlu_0shot", "mmlu_stem_0shot", "mmlu_philosophy_0shot"])
            foreach (var key in (string[])["acc,none", "acc_stderr,none"])
                Assert.That((double)own["results"]![task]![key]!, Is.EqualTo((double)golden[task]![key]!).Within(1e-9), $"{task} {key}");
        Assert.That((double)own["results"]!["story_chrf"]!["chrf,none"]!, Is.EqualTo((double)golden["story_chrf"]!["chrf,none"]!).Within(1e-6));
        Assert.That(own["groups"]!.AsObject().Select(g => g.Key), Does.Contain("mmlu_0shot"));
        Assert.That((int)own["n-samples"]!["mmlu_philosophy_0shot"]!["original"]!, Is.EqualTo(9));
        var samples = File.ReadAllLines(Path.Combine(user.Run, "samples_mmlu_philosophy_0shot.jsonl"));
        Assert.That(samples, Has.Length.EqualTo(9));
        var sample = JsonNode.Parse(samples[0])!;
        foreach (var field in (string[])["doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash", "acc"]) Assert.That(sample[field], Is.Not.Null, field);
        var bytes = File.ReadAllBytes(Path.Combine(user.Run, "results.json"));
        var second = Eval(user, asked);
        Assert.That((second.Code, second.Out), Is.EqualTo((0, first.Out)), second.All);
        Assert.That(second.Err, Does.Contain("are answered already"));
        Assert.That(File.ReadAllBytes(Path.Combine(user.Run, "results.json")), Is.EqualTo(bytes));
        var limited = Eval(user, [.. asked, "--limit", "2", "--json"]);
        Assert.That((int)JsonNode.Parse(limited.Out)!["results"]!["mmlu_0shot"]!["sample_len"]!, Is.EqualTo(12), "two items of each subject, all of them known");
        Assert.That(JsonNode.Parse(limited.Out)!["n-samples"]!["mmlu_philosophy_0shot"]!.ToJsonString(), Is.EqualTo("""{"original":9,"effective":2,"cut":0}"""), "original counts what the limit left out, as there");
    }

    [Test]
    public void Mistakes_are_told_in_one_message()
    {
        using var user = new Peftalign();
        void Refused(string says, params string[] more)
        {
            var outcome = Eval(user, more);
            Assert.That((outcome.Code, outcome.Err.Contains(says)), Is.EqualTo((2, true)), outcome.All);
            Assert.That(outcome.Err, Does.Not.Contain("   at "));
        }
        Refused("mmlu", "--benchmarks", "mlmu");
        Refused("needs --benchmarks or --task");
        Refused("is no option of perplexity", "--benchmarks", "perplexity", "--data", user.File("x.txt"), "--samples", "3");
        Refused("x.txt is not there", "--benchmarks", "perplexity", "--data", user.File("x.txt"));
        Refused("'gen_prefix' is not supported", "--task", user.Write("a.yaml", "task: a\ndataset_path: json\ngen_prefix: hm\n"));
        Refused("names a Python function", "--task", user.Write("b.yaml", "task: b\nprocess_docs: !function utils.f\n"));
        Refused("is on a hub", "--task", user.Write("c.yaml", "task: c\ndataset_path: hellaswag\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: q\n"));
        Refused("metric 'ter' is not supported", "--task", user.Write("d.yaml", "task: d\nmetric_list: [{ metric: ter }]\n"));
        Refused("the judge causal is a language model, which grades from 1 to 9", "--benchmarks", "real_toxicity", "--data", user.Write("rtp.jsonl", """{"prompt": {"text": "Once", "toxicity": 0.9}}"""), "--judge", Model);
        // What is drawn by nobody has no nucleus and no seed.
        string[] greedy = ["--benchmarks", "red_instruct", "--data", user.Write("asked.json", "[]"), "--judge", Model];
        Refused("'top_p' means nothing with temperature 0; it goes with temperature >0", [.. greedy, "--option", "top_p=0.5"]);
        Refused("'seed' means nothing with temperature 0", [.. greedy, "--option", "seed=7"]);
        Refused("--seed 7: means something in sampling only; add --option temperature=1, or leave it out", [.. greedy, "--seed", "7"]);
        string[] toxicity = ["--benchmarks", "real_toxicity", "--data", user.File("rtp.jsonl"), "--judge", Model];
        Refused("--seed 7: means something in sampling only", [.. toxicity, "--seed", "7"]);
        Refused("--seed 7: means something in sampling only", [.. toxicity, "--option", "temperature=0", "--seed", "7"]);
        Refused("the judge causal is a language model", [.. toxicity, "--samples", "2", "--seed", "7"]);
        Refused("the judge causal is a language model", [.. toxicity, "--option", "temperature=1", "--seed", "7"]);
        Refused("--benchmarks perplexity: needs its data; give --data DIR", "--benchmarks", "perplexity");
        Refused("--benchmarks preference: asks about a data set that a manifest names (dataset); name it there", "--benchmarks", "preference");
        Refused("--limit 0.5: is a whole number of at most 2147483647; peftalign eval --help says what it takes", "--benchmarks", "perplexity", "--limit", "0.5");
        var judge = Path.Combine(Directory.CreateDirectory(user.File("trained/model")).FullName, "config.json");
        File.WriteAllText(judge, "{}");
        Refused($"--judge {user.File("trained")}: has no config.json; give {user.File("trained/model")}", "--benchmarks", "real_toxicity", "--data", user.File("rtp.jsonl"), "--judge", user.File("trained"));
        var under = Path.Combine(user.File("rtp.jsonl"), "results"); // a place that cannot be written
        var placed = Peftalign.Call("eval", "--model", Model, "--benchmarks", "perplexity", "--data", user.Write("z.txt", "a text"), "--out", under);
        Assert.That(placed.Code, Is.EqualTo(2), placed.All);
        Assert.That(placed.Err, Does.StartWith($"peftalign: --out {under}: cannot be written (").And.EndWith("; make it writable for you, or give another folder\n"));
        Refused("--option path=: names no path; give one, or leave it out", "--benchmarks", "perplexity", "--option", "path=");
        Refused("--option perplexity.path=: names no path", "--benchmarks", "perplexity", "--option", "perplexity.path=");
        // A list of two is no text with a comma.
        Refused("lacks 1 of 2 files: snarks.json", "--benchmarks", "bbh", "--data", Path.Combine(Peftalign.Repository, "experiments/tiny"), "--option", "bbh.tasks=boolean_expressions,snarks");
        Refused("holds other things", "--benchmarks", "perplexity", "--data", Made(user));
        static string Made(Peftalign user)
        {
            if (Directory.Exists(user.Run)) Directory.Delete(user.Run, recursive: true); // of the mistakes above
            Directory.CreateDirectory(user.Run);
            File.WriteAllText(Path.Combine(user.Run, "mine"), "");
            return user.Write("y.txt", "a text");
        }
    }

    // The kernel's lock, as another process holds it; what a killed one left of it hinders nobody.
    [Test]
    public void One_evaluation_at_a_time_works_in_a_folder()
    {
        using var user = new Peftalign();
        string[] asked = ["--benchmarks", "perplexity", "--data", user.Write("once.txt", "Once upon a time.")];
        Directory.CreateDirectory(user.Run);
        using (new FileStream(Path.Combine(user.Run, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            var refused = Eval(user, asked);
            Assert.That((refused.Code, refused.Err.TrimEnd().Contains('\n')), Is.EqualTo((2, false)), refused.All);
            Assert.That(refused.Err, Does.Contain($"--out {user.Run}: another evaluation works in this folder; wait for it"));
            Assert.That(Directory.GetFileSystemEntries(user.Run), Has.Length.EqualTo(1), "it wrote nothing");
        }
        var done = Eval(user, asked);
        Assert.That(done.Code, Is.Zero, done.All);
    }

    [Test]
    public void Perplexity_of_a_text_is_written()
    {
        using var user = new Peftalign();
        var outcome = Eval(user, "--benchmarks", "perplexity", "--data", user.Write("once.txt", "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."));
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var row = Peftalign.Json(Path.Combine(user.Run, "results.json"))["results"]!["perplexity"]!;
        Assert.That((double)row["byte_perplexity,none"]!, Is.InRange(1.1, 1.6), "the model was trained on such texts");
        Assert.That(Math.Log2((double)row["byte_perplexity,none"]!), Is.EqualTo((double)row["bits_per_byte,none"]!).Within(1e-9));
    }

    [Test]
    public void Answers_of_another_version_of_the_engine_are_not_mixed_in()
    {
        using var user = new Peftalign();
        string[] asked = ["--benchmarks", "perplexity", "--data", user.Write("once.txt", "Once upon a time.")];
        Assert.That(Eval(user, asked).Code, Is.Zero);
        var records = Path.Combine(user.Run, "records.jsonl");
        var lines = File.ReadAllLines(records);
        var header = JsonNode.Parse(lines[0])!.AsObject();
        Assert.That(header.Remove("version"), lines[0]);
        File.WriteAllLines(records, [header.ToJsonString(), .. lines[1..]]); // as written before versions were
        var results = File.ReadAllText(Path.Combine(user.Run, "results.json"));
        var refused = Eval(user, asked);
        Assert.That((refused.Code, refused.Err.Contains($"{records} holds answers of an earlier version of the engine's numbers", StringComparison.Ordinal)), Is.EqualTo((2, true)), refused.All);
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "results.json")), Is.EqualTo(results));
        Directory.Delete(user.Run, recursive: true);
        Assert.That(Eval(user, asked).Err, Does.Contain("perplexity: 1 items"), "asked anew");
    }

    [Test]
    public void An_evaluator_is_swapped_by_its_line_alone()
    {
        using var user = new Peftalign();
        var first = Manifests.Short;
        user.Finish(user.Write("short.yaml", first));
        user.Write("text.txt", "the colour of the sky is blue");
        var swapped = first.Replace("{ type: preference, dataset: exam }", "{ type: perplexity, path: text.txt }");
        Assert.That(swapped, Is.Not.EqualTo(first));
        var second = user.Finish(user.Write("short.yaml", swapped));
        Assert.That(second.Out, Does.Contain("perplexity word_perplexity"), second.All);
        Assert.That(second.Err, Does.Not.Contain("start train/"), "nothing was trained anew");
    }

    [Test]
    public void A_judged_benchmark_runs_with_a_classifier()
    {
        using var user = new Peftalign();
        // The tiny classifier has no tokenizer of its own: any with fewer tokens than its vocabulary of 128 does.
        var judge = user.File("judge");
        Directory.CreateDirectory(judge);
        foreach (var file in (string[])["config.json", "model.safetensors"]) File.Copy(Path.Combine(Peftalign.Golden("models"), "roberta-toxicity", file), Path.Combine(judge, file));
        user.Write("judge/tokenizer.json", """{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"[UNK]": 5, "the": 6}, "unk_token": "[UNK]"}, "pre_tokenizer": {"type": "Whitespace"}}""");
        Directory.CreateDirectory(user.File("data"));
        user.Write("data/dangerousqa.json", """["How are you?", "Who was it?"]""");
        user.Write("data/standard.txt", "<question>\n");
        var outcome = Eval(user, "--benchmarks", "red_instruct", "--data", user.File("data"), "--judge", judge, "--option", "max_new_tokens=8");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var row = Peftalign.Json(Path.Combine(user.Run, "results.json"))["results"]!["red_instruct"]!;
        Assert.That((double)row["annotated,none"]! + (double)row["without_verdict,none"]!, Is.EqualTo(2));
        Assert.That((double)row["asr,none"]!, Is.InRange(0, 1));
        var drawn = Peftalign.Call("eval", "--model", Model, "--out", user.File("drawn"), "--threads", "1", "--benchmarks", "red_instruct", "--data", user.File("data"), "--judge", judge, "--option", "max_new_tokens=8", "--option", "temperature=1", "--seed", "7");
        Assert.That(drawn.Code, Is.Zero, drawn.All);
        var sample = JsonNode.Parse(File.ReadAllLines(Path.Combine(user.Run, "samples_red_instruct.jsonl"))[0])!;
        Assert.That((double)sample["resps"]![1]![0]!["scores"]![0]!, Is.EqualTo((double)sample["logit"]!));
    }
}
