// The same path on a real checkpoint with rows that are tokens already: a LLaMA of 260,000 parameters trained on stories.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class RealModelTests
{
    [Test]
    public void A_real_checkpoint_is_tuned_on_tokenised_rows_and_evaluated()
    {
        using var user = new Peftalign();
        var model = Stories();
        var rows = Rows();
        user.Write("train.jsonl", string.Join("\n", rows.Select(r => new JsonObject { ["prompt_ids"] = Ids(r.Prompt), ["completion_ids"] = Ids(r.Chosen) }.ToJsonString())));
        user.Write("exam.jsonl", string.Join("\n", rows.Select(r => new JsonObject { ["prompt_ids"] = Ids(r.Prompt), ["chosen_ids"] = Ids(r.Chosen), ["rejected_ids"] = Ids(r.Rejected) }.ToJsonString())));
        var manifest = user.Write("stories.yaml", $$"""
            peftalign: 1
            name: stories
            seeds: [1]
            models: { stories: { path: '{{model}}' } }
            datasets:
              train: { reader: jsonl, path: train.jsonl }
              exam: { reader: jsonl, path: exam.jsonl }
            adapters: { small: { type: lora, rank: 4, alpha: 8, targets: [q_proj, v_proj] } }
            methods: { tune: { type: sft, adapter: small, learning_rate: 1.0e-2, lr_scheduler: constant, batch_size: 4, max_steps: 20 } }
            train: [{ models: [stories], datasets: [train], methods: [tune] }]
            evaluate: [{ of: [untouched, trained], with: [{ type: preference, dataset: exam }] }]
            """);
        user.Finish(manifest);
        var losses = File.ReadLines(Path.Combine(user.Job("train/stories/train/tune/s1"), "metrics.jsonl")).Select(l => (double)JsonNode.Parse(l)!["loss"]!).ToList();
        Assert.That(losses[^1], Is.LessThan(losses[0] * 0.7));
        Assert.That(user.Accuracy("evaluate/preference/stories/train/tune/s1"), Is.GreaterThan(user.Accuracy("evaluate/preference/stories")).And.GreaterThan(0.9));
    }

    [Test]
    public void A_token_that_the_model_does_not_have_is_refused_by_row_and_value()
    {
        using var user = new Peftalign();
        user.Write("train.jsonl", "{\"prompt_ids\": [1, 5], \"completion_ids\": [7]}\n{\"prompt_ids\": [1], \"completion_ids\": [512]}\n");
        var manifest = user.Write("stories.yaml", $$"""
            peftalign: 1
            name: stories
            models: { stories: { path: '{{Stories()}}' } }
            datasets: { train: { reader: jsonl, path: train.jsonl } }
            methods: { full: { type: sft, max_steps: 1 } }
            train: [{ models: [stories], datasets: [train], methods: [full] }]
            """);
        var outcome = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "1");
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain("train.jsonl, line 2").And.Contain("token id 512").And.Contain("vocabulary of 512"));
    }

    // Twelve prompts of random tokens; the wrong answer is what stories are full of, the right one is what they never say.
    private static List<(int[] Prompt, int[] Chosen, int[] Rejected)> Rows()
    {
        var random = new Random(5);
        int[] Some(int n) => [.. Enumerable.Range(0, n).Select(_ => random.Next(259, 500))];
        return [.. Enumerable.Range(0, 12).Select(_ => (Prompt: (int[])[1, 403, 407, 261, .. Some(4)], Chosen: (int[])[300, 310, 320, 330], Rejected: (int[])[421, 395, 317, 426]))];
    }

    private static JsonArray Ids(int[] ids) => [.. ids.Select(i => (JsonNode)i)];

    private static string Stories()
    {
        var own = Peftalign.Stories;
        if (Directory.Exists(own)) return own;
        Assert.Ignore("tests/fixtures/stories260K is not there");
        return "";
    }
}
