// BBH with chat: the solved examples of its prompts as turns of a conversation.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Benchmarks;

namespace PeftAlign.Eval.Tests;

public sealed class BbhConversationTests
{
    private string folder = "";

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-bbh-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    // As bbh_fewshot and bbh_cot_fewshot make them with apply_chat_template of all 27 files, but for three words in which the authors' bare
    // prompts differ from the harness's.
    [TestCase("direct", "user: Q: a?\nA:|assistant: no way|user: Q: b?\nA:|assistant: (B)|user: Q: i\nA:", "user: Q: a?\nA: no way\n\nQ: b?\nA: (B)\n\nQ: i\nA:")]
    [TestCase("cot", "user: Q: a?\nA: Let's think step by step.\n|assistant: We go.\nSo the answer is no way.|user: Q: b?\nA: Let's think step by step.\n|assistant: Hm. So the answer is (B).|user: Q: i\nA: Let's think step by step.\n", "user: Q: a?\nA: Let's think step by step.\nWe go.\nSo the answer is no way.\n\nQ: b?\nA: Let's think step by step.\nHm. So the answer is (B).\n\nQ: i\nA: Let's think step by step.\n")]
    public void Bbh_as_a_conversation_has_the_answers_of_examples_as_the_assistant_s(string template, string apart, string together)
    {
        File.WriteAllText(Path.Combine(folder, "navigate.json"), """{"examples": [{"input": "i", "target": "Yes"}]}""");
        File.WriteAllText(Path.Combine(folder, "navigate.txt"), "canary\n-----\nFollow.\n\nQ: a?\nA: Let's think step by step.\nWe go.\nSo the answer is no way.\n\nQ: b?\nA: Let's think step by step. Hm. So the answer is (B).\n");
        File.WriteAllText(Path.Combine(folder, "direct_prompts_27.json"), """{"navigate": "Follow.\n\nQ: a?\nA: no way\n\nQ: b?\nA: (B)"}""");
        string Said(bool? turns, int shots = 3)
        {
            var benchmark = new BbhBenchmark(new BbhOptions { Path = folder, Tasks = ["navigate"], Template = template, Shots = shots, Chat = true, FewshotAsMultiturn = turns });
            Assert.That((bool)benchmark.Info.Settings!["fewshot_as_multiturn"]!, Is.EqualTo(turns != false));
            return string.Join('|', ((EvalRequest.Generate)benchmark.Requests(benchmark.Items().Single())[0]).Messages!.Select(m => $"{m.Role}: {m.Content}"));
        }
        foreach (var turns in (bool?[])[null, true]) Assert.That(Said(turns), Is.EqualTo("system: Follow.\n\n|" + apart));
        Assert.That(Said(false), Is.EqualTo("system: Follow.\n\n|" + together));
        Assert.That(Said(null, shots: 0), Is.EqualTo(apart[(apart.LastIndexOf('|') + 1)..]));
    }

    // Its tasks lie in bbh/, its prompts beside them in cot-prompts/; where it is cloned to does not matter.
    [TestCase("bbh")]
    [TestCase("BIG-Bench-Hard")]
    [TestCase("clone")]
    public void The_authors_repository_is_taken_as_it_is(string name)
    {
        string Write(string path, string text)
        {
            var file = Path.Combine(folder, name, path);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, text);
            return file;
        }
        Write("bbh/navigate.json", """{"examples": [{"input": "i", "target": "Yes"}]}""");
        Write("cot-prompts/navigate.txt", "canary\n-----\nFollow.\n\nQ: a?\nA: Let's think step by step.\nWe go. So the answer is no way.\n");
        BbhBenchmark Of(string path) => new(new BbhOptions { Path = path, Tasks = ["navigate"] });
        string Asked(string path) => ((EvalRequest.Generate)Of(path).Requests(Of(path).Items().Single())[0]).Prompt;
        Assert.That(Asked(Path.Combine(folder, name)), Is.EqualTo("Follow.\n\nQ: a?\nA: no way\n\nQ: i\nA:"));
        if (name != "clone") Assert.That(Asked(folder), Is.EqualTo(Asked(Path.Combine(folder, name) + "/")), "or the folder that holds it");
    }

    [Test]
    public void An_example_of_bbh_that_cannot_be_made_turns_is_named()
    {
        File.WriteAllText(Path.Combine(folder, "navigate.json"), """{"examples": [{"input": "i", "target": "Yes"}]}""");
        File.WriteAllText(Path.Combine(folder, "navigate.txt"), "canary\n-----\nFollow.\n\nQ: a?\nAnswer: no\n");
        BbhBenchmark Of(bool chat) => new(new BbhOptions { Path = folder, Tasks = ["navigate"], Template = "cot", Chat = chat });
        Assert.That(() => Of(chat: false).Items().ToList(), Throws.Nothing);
        Assert.That(() => Of(chat: true).Items().ToList(), Throws.TypeOf<UserErrorException>().With.Message.EndsWith("navigate: the solved example 'Q: a?' has no line 'A: Let's think step by step.'; mend it, or leave chat out."));
    }
}
