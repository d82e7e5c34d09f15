// Broken rows and adapters through the real `train` command: what must be refused ends with code 2, one message that names line or
// module, no stack trace and no result; what is only doubtful goes on and says so with counts.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class BadInputTests
{
    private static readonly string Fixtures = Path.Combine(Peftalign.Repository, "tests", "fixtures");
    private static readonly string Bad = Path.Combine(Fixtures, "badfiles");

    private static IEnumerable<TestCaseData> Cases(string group) => File.ReadLines(Path.Combine(Bad, "train-cases.jsonl")).Select(line => JsonNode.Parse(line)!)
        .Where(c => ((string)c["id"]!).StartsWith(group + "/", StringComparison.Ordinal)).Select(c => new TestCaseData(c).SetArgDisplayNames((string)c["id"]!));

    [TestCaseSource(nameof(Cases), ["jsonl"])]
    public void Rows(JsonNode one)
    {
        using var user = new Peftalign();
        var data = one["generate"]?["train.jsonl"] is { } made
            ? user.Write("train.jsonl", (string)made["prefix"]! + string.Concat(Enumerable.Repeat((string)made["unit"]!, (int)made["count"]!)) + (string)made["suffix"]!)
            : Path.Combine(Bad, (string)one["folder"]!, "train.jsonl");
        Judge(one, user, Peftalign.Call("train", "dpo", "--model", Path.Combine(Fixtures, "stories260K"), "--data", data, "--out", user.Run, "--adapter", "lora", "--max-steps", "1", "--max-length", "64", "--threads", "1"),
            (string)one["must"]! == "refuse" && one["message_names"] is not null ? "train.jsonl, line 2" : "");
    }

    [TestCaseSource(nameof(Cases), ["adapter"])]
    public void Adapters(JsonNode one)
    {
        using var user = new Peftalign();
        var adapter = Directory.CreateDirectory(user.File("start")).FullName;
        foreach (var folder in (string[])[Path.Combine(Bad, "good", "adapter"), Path.Combine(Bad, (string)one["folder"]!)])
            foreach (var file in Directory.GetFiles(folder)) File.Copy(file, Path.Combine(adapter, Path.GetFileName(file)), overwrite: true);
        var data = user.Write("rows.jsonl", """{"prompt_ids": [1, 5], "chosen_ids": [3, 2], "rejected_ids": [4, 2]}""" + "\n");
        Judge(one, user, Peftalign.Call("train", "dpo", "--model", Path.Combine(Bad, "good", "model"), "--data", data, "--out", user.Run, "--adapter", "lora", "--init-adapter", adapter, "--max-steps", "1", "--threads", "1"), "");
    }

    private static void Judge(JsonNode one, Peftalign user, Outcome outcome, string place)
    {
        var (must, made) = ((string)one["must"]!, Directory.Exists(Path.Combine(user.Run, "adapter")));
        Assert.That(outcome.All, Does.Not.Contain("   at ").And.Not.Contain("Unhandled"), "no stack trace");
        Assert.That(outcome.Code, Is.EqualTo(made ? 0 : 2), outcome.All);
        var warned = made && outcome.Err.Contains("warning:", StringComparison.Ordinal);
        Assert.That(made ? warned ? "warn" : "accept" : "refuse", Is.AnyOf([.. must.Split(" or ")]), outcome.All);
        if (!made || warned)
            foreach (var name in one["message_names"]?.AsArray() ?? []) Assert.That(outcome.Err, Does.Contain((string)name!).And.Contain(place), outcome.All);
    }
}
