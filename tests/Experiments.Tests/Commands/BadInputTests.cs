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
        Judge(one, user, Peftalign.Call("train", "dpo", "--model", Peftalign.Stories, "--data", data, "--out", user.Run, "--adapter", "lora", "--max-steps", "1", "--max-length", "64", "--threads", "1"),
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

    // Opened, a pipe would wait for a writer that never comes, and a device has no end.
    [Test]
    public void Pipes_and_devices_are_refused_before_they_are_opened()
    {
        using var user = new Peftalign();
        var pipe = user.File("pipe");
        System.Diagnostics.Process.Start("mkfifo", [pipe]).WaitForExit();
        var model = Peftalign.Stories;
        var manifest = user.Write("m.yaml", $$"""
            peftalign: 1
            name: pipes
            models: { base: { path: '{{model}}' } }
            datasets: { rows: { reader: jsonl, path: '{{pipe}}' } }
            methods: { teach: { type: sft, max_steps: 1 } }
            train: [{ models: [base], datasets: [rows], methods: [teach] }]
            """);
        foreach (var (named, args) in ((string, string[])[])[
            (pipe, ["train", "sft", "--model", model, "--data", pipe, "--out", user.Run]),
            (pipe, ["run", manifest, "--out", user.Run]),
            (pipe, ["run", pipe, "--out", user.Run]),
            ("/dev/zero", ["merge", "/dev/zero", "--out", user.Run])])
        {
            var outcome = Peftalign.Call(args);
            Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
            Assert.That(outcome.Err, Does.Contain(named).And.Match("it is a (named pipe|device)").And.Not.Contain("   at "));
            Assert.That(Directory.Exists(user.Run), Is.False, "nothing is left");
        }
    }

    private static void Judge(JsonNode one, Peftalign user, Outcome outcome, string place)
    {
        var (must, made) = ((string)one["must"]!, Directory.Exists(Path.Combine(user.Run, "adapter")));
        Assert.That(outcome.All, Does.Not.Contain("   at ").And.Not.Contain("Unhandled"), "no stack trace");
        Assert.That(outcome.Code, Is.EqualTo(made ? 0 : 2), outcome.All);
        Assert.That(Directory.Exists(user.Run), Is.EqualTo(made), "what is refused leaves nothing");
        var warned = made && outcome.Err.Contains("warning:", StringComparison.Ordinal);
        Assert.That(made ? warned ? "warn" : "accept" : "refuse", Is.AnyOf([.. must.Split(" or ")]), outcome.All);
        if (!made || warned)
            foreach (var name in one["message_names"]?.AsArray() ?? []) Assert.That(outcome.Err, Does.Contain((string)name!).And.Contain(place), outcome.All);
    }
}
