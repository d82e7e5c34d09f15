// All of golden/chat through `tokenize --chat`: renderings from one file of rows per template, refusals one by one, and the
// assistant masks with the tokenizer that they were made with.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Tests.Tokenize;

public class ChatGoldenTests
{
    private static readonly string[] Templates = ["alpaca", "chatml", "gemma", "generation", "hh", "llama2", "llama3", "mistral", "multipart", "phi3", "qwen25", "vicuna", "zephyr"];

    // Errors whose text is the template's or Jinja's own, which a user may search for.
    private static readonly string[] SameWords = ["TemplateError", "UndefinedError", "TypeError", "SecurityError", "TemplateAssertionError"];

    private readonly JsonElement meta = Golden.Json("golden/chat/meta.json");
    private readonly JsonElement conversations = Golden.Json("golden/chat/conversations.json");
    private Cli cli = null!;

    [SetUp]
    public void MakeFolder() => cli = new Cli();

    [TearDown]
    public void RemoveFolder() => cli.Dispose();

    [Test]
    public void EveryTemplateIsListed() =>
        Assert.That(Golden.Lines("golden/chat/cases.jsonl").Select(Template).Distinct(), Is.EquivalentTo(Templates));

    [TestCaseSource(nameof(Templates))]
    public void ConversationsRenderAsTransformers(string name)
    {
        var model = Model(name);
        var cases = Golden.Lines("golden/chat/cases.jsonl").Where(row => Template(row) == name).ToList();
        var good = cases.Where(row => row.TryGetProperty("expected", out _)).ToList();
        var outcome = cli.OnRows(model, good.Select(Row), "--chat");
        Assert.That(outcome.Code, Is.Zero, outcome.Err);
        Assert.That(outcome.Rows.Select(row => row.GetProperty("text").GetString()), Is.EqualTo(good.Select(row => row.GetProperty("expected").GetString())));
        Assert.That(outcome.Rows.All(row => row.GetProperty("ids").GetArrayLength() == row.GetProperty("assistant_mask").GetArrayLength()));
        Assert.That(outcome.Err, name == "generation" ? Is.Empty : Does.StartWith("the chat template has no {% generation %} block").And.EndsWith("everywhere\n"));
        Assert.Multiple(() =>
        {
            foreach (var row in cases.Except(good)) CheckRefusal(model, row);
        });
        Assert.That(cases, Has.Count.GreaterThan(50));
    }

    [Test]
    public void IdsAreThoseOfTheTextWithoutFurtherSpecialTokens()
    {
        // This tokenizer puts <s> and </s> around a text.
        var model = cli.Model([(Golden.Path("golden/tokenizers/trained/bytelevel_roberta/tokenizer.json"), "tokenizer.json")]);
        var chat = Cli.Run("--model", model, "--text", "Hi there", "--chat", "--chat-template", "vicuna");
        Assert.That((chat.Code, chat.Rows), Is.EqualTo((0, chat.Rows)).And.Matches<(int, IReadOnlyList<JsonElement> Rows)>(found => found.Rows.Count == 1), chat.Err);
        var text = chat.Rows[0].GetProperty("text").GetString()!;
        var plain = Cli.Run("--model", model, "--text", text, "--no-special").Rows[0];
        var special = Cli.Run("--model", model, "--text", text).Rows[0];
        Assert.That(Golden.Ints(chat.Rows[0].GetProperty("ids")), Is.EqualTo(Golden.Ints(plain.GetProperty("ids"))).And.Not.EqualTo(Golden.Ints(special.GetProperty("ids"))));
    }

    [Test]
    public void AssistantMasksAreThoseOfTransformers()
    {
        var rows = Golden.Lines("golden/chat/assistant_masks.jsonl");
        // Made with tokenizer.json alone: a configuration's <s> and </s> would be tokens of the text, as in transformers.
        var answers = cli.Answers(Model("generation", "{}"), [.. rows.Select(Row)], "--chat");
        Assert.Multiple(() =>
        {
            foreach (var (row, answer) in rows.Zip(answers))
            {
                Assert.That(answer.GetProperty("text").GetString(), Is.EqualTo(row.GetProperty("text").GetString()));
                Assert.That(Golden.Ints(answer.GetProperty("ids")), Is.EqualTo(Golden.Ints(row.GetProperty("input_ids"))), row.ToString());
                Assert.That(Golden.Ints(answer.GetProperty("assistant_mask")), Is.EqualTo(Golden.Ints(row.GetProperty("assistant_masks"))), row.ToString());
            }
        });
        Assert.That(answers.Sum(row => Golden.Ints(row.GetProperty("assistant_mask")).Sum()), Is.GreaterThan(100));
    }

    [Test]
    public void TheFlagHoldsForRowsThatDoNotSay()
    {
        var model = Model("chatml");
        string[] texts = [.. new bool?[] { null, true, false }.Select(said =>
        {
            var row = Row(Golden.Lines("golden/chat/cases.jsonl").First(row => Template(row) == "chatml" && row.GetProperty("args").EnumerateObject().All(arg => false)));
            if (said is { } flag) row["add_generation_prompt"] = flag;
            return cli.OnRows(model, [row], "--chat", "--add-generation-prompt").Rows[0].GetProperty("text").GetString()!;
        })];
        Assert.That(texts[0], Is.EqualTo(texts[1]).And.EndWith("<|im_start|>assistant\n"));
        Assert.That(texts[1], Is.EqualTo(texts[2] + "<|im_start|>assistant\n"));
    }

    private void CheckRefusal(string model, JsonElement row)
    {
        var outcome = cli.OnRows(model, [Row(row)], "--chat");
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")), row.ToString());
        Assert.That(outcome.Err, Does.StartWith($"peftalign: {cli.Folder}").And.Contain(".jsonl, line 1: Chat template ").And.Not.Contain("   at "));
        var error = row.GetProperty("error");
        if (SameWords.Contains(error.GetProperty("type").GetString())) Assert.That(outcome.Err, Does.Contain(error.GetProperty("message").GetString()!));
    }

    private static string Template(JsonElement row) => row.GetProperty("template").GetString()!;

    private string Model(string template, string? config = null) => cli.Model(
        [
            (Golden.Path("golden/tokenizers/trained/qwen2_split/tokenizer.json"), "tokenizer.json"),
            (Golden.Path($"golden/chat/templates/{template}.jinja"), "chat_template.jinja"),
        ],
        ("tokenizer_config.json", config ?? meta.GetProperty("tokens").GetProperty(template).GetRawText()));

    private JsonObject Row(JsonElement row)
    {
        var fields = JsonObject.Create(row.GetProperty("args"))!.DeepClone().AsObject();
        fields["messages"] = JsonNode.Parse(conversations.GetProperty(row.GetProperty("conversation").GetString()!).GetRawText());
        fields["now"] = meta.GetProperty("now").GetString();
        return fields;
    }
}
