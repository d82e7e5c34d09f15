// Where a folder's template and special tokens come from, and what an option changes.
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;

namespace PeftAlign.Models.Tests.Templates;

public class ChatTemplateLoaderTests
{
    private static readonly ChatMessage[] Messages = [ChatMessage.Of("user", "x")];

    private string folder = "";

    [SetUp]
    public void MakeFolder() => folder = Directory.CreateTempSubdirectory("chat-template-").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(folder, recursive: true);

    private void Write(string file, string text)
    {
        string path = Path.Combine(folder, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    private string? Render(string? option = null, JsonElement? tools = null) =>
        ChatTemplateLoader.Load(folder, option)?.Render(Messages, new ChatTemplateArguments { Tools = tools }).Text;

    [Test]
    public void AFolderWithoutTemplateGivesNone() => Assert.That(Render(), Is.Null);

    [Test]
    public void AStringInTheConfigurationWithTokensOfBothFiles()
    {
        Write("special_tokens_map.json",
            """{"bos_token": "<s>", "unk_token": {"content": "<unk>"}, "additional_special_tokens": ["<a>"]}""");
        Write("tokenizer_config.json", """
            {"chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ unk_token }}{{ image_token }}",
             "bos_token": "<wrong>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null, "add_bos_token": true,
             "extra_special_tokens": {"image_token": "<image>"}}
            """);
        Assert.That(Render(), Is.EqualTo("<s>x</s><unk><image>"));
        Assert.That(ChatTemplateLoader.SpecialTokens(folder).Keys,
            Is.EquivalentTo(new[] { "bos_token", "eos_token", "unk_token", "image_token" }));
    }

    [Test]
    public void NamedTemplatesAreChosenByNameOrByTools()
    {
        Write("tokenizer_config.json", """
            {"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"},
                {"name": "rag", "template": "rag"}]}
            """);
        JsonElement tools = JsonDocument.Parse("[]").RootElement;
        Assert.That((Render(), Render("rag"), Render(tools: tools), Render("default", tools)),
            Is.EqualTo(("plain", "rag", "tools", "plain")));
    }

    [Test]
    public void AFileOfItsOwnWinsOverTheConfiguration()
    {
        Write("tokenizer_config.json", """{"chat_template": "config"}""");
        Write("chat_template.json", """{"chat_template": "processor"}""");
        Assert.That(Render(), Is.EqualTo("config"));
        Write("chat_template.jinja", "file\n");
        Write("additional_chat_templates/short.jinja", "short");
        Assert.That((Render(), Render("short")), Is.EqualTo(("file", "short")));
    }

    [Test]
    public void AnOptionNamesABuiltInTemplateOrAFile()
    {
        Write("chat_template.jinja", "own");
        Write("tokenizer_config.json", """{"eos_token": "<end>"}""");
        Write("mine.jinja", "mine {{ eos_token }}");
        Assert.That(Render("zephyr"), Is.EqualTo("<|user|>\nx<end>\n"));
        Assert.That(Render(Path.Combine(folder, "mine.jinja")), Is.EqualTo("mine <end>"));
        Assert.That(ChatTemplateLoader.Load(null, "chatml")!.Name, Is.EqualTo("chatml"));
        Assert.That(() => Render("nothing"), Throws.TypeOf<ChatTemplateException>().With.Message.Contains("chatml"));
    }

    [TestCase("tokenizer_config.json", "[1]", "not a JSON object")]
    [TestCase("tokenizer_config.json", "{\"chat_template\": 3}", "Number")]
    [TestCase("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"a\"}]}", "name and template")]
    [TestCase("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"a\", \"template\": \"\"}]}", "choose one of a")]
    [TestCase("tokenizer_config.json", "{", "cannot be read")]
    [TestCase("chat_template.jinja", "{% if %}", "line 1")]
    public void FaultyFilesAreNamed(string file, string text, string reason)
    {
        Write(file, text);
        Assert.That(() => Render(), Throws.TypeOf<ChatTemplateException>().With.Message.Contains(reason));
    }
}
